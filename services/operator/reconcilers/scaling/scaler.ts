import { PROJECTOR_CONNECTIONS } from '#cdk8s/api/page-view.ts';

/** How many projectors a page needed at some instant. */
export interface Recommendation {
  /** ms since the epoch */
  readonly at: number;
  readonly replicas: number;
}

export interface ScalerSituation {
  readonly now: number;
  /** Lag in records. */
  readonly lag: number;
  /** The number of projectors in the spec. */
  readonly current: number;
  /** Lag in records per projector, above which another projector is added. */
  readonly lagThreshold: number;
  readonly minReplicas: number;
  readonly maxReplicas: number;
  /** Projectors beyond the number of partitions are idle. */
  readonly partitions: number;
  readonly maxDatabaseConnections: number;
  readonly scaleDownStabilizationMs: number;
  /** Earlier answers of this function; empty after a start. */
  readonly history: readonly Recommendation[];
}

/** How many projectors may run, and which limit sets that number. */
export function mostProjectors(
  limits: Pick<ScalerSituation, 'maxReplicas' | 'partitions' | 'maxDatabaseConnections'>,
): { readonly replicas: number; readonly because: string } {
  const [lowest] = [
    { replicas: limits.maxReplicas, because: 'autoscaling.maxReplicas' },
    { replicas: limits.partitions, because: 'the partitions of the topic' },
    {
      replicas: Math.floor(limits.maxDatabaseConnections / PROJECTOR_CONNECTIONS),
      because: `projector.maxDatabaseConnections, ${PROJECTOR_CONNECTIONS} each`,
    },
  ].sort((a, b) => a.replicas - b.replicas);
  return { replicas: Math.max(1, lowest!.replicas), because: lowest!.because };
}

/**
 * Scales up at once. Scales down only to the highest recommendation of the stabilisation window, so that a lull between
 * two bursts removes nothing. After a start the window is unknown: the current number counts as recommended.
 */
export function decideReplicas(situation: ScalerSituation): {
  readonly replicas: number;
  readonly history: readonly Recommendation[];
} {
  const { now, lag, current, lagThreshold, minReplicas, scaleDownStabilizationMs } = situation;
  const most = mostProjectors(situation).replicas;
  const clamp = (replicas: number) => Math.max(Math.min(minReplicas, most), Math.min(most, replicas));
  const recommended = clamp(Math.ceil(lag / lagThreshold));
  const before = situation.history.length > 0 ? situation.history : [{ at: now, replicas: current }];
  const history = [
    ...before.filter(({ at }) => at > now - scaleDownStabilizationMs),
    { at: now, replicas: recommended },
  ];
  const floor = Math.max(...history.map(({ replicas }) => replicas));
  // A lowered limit holds at once, also against earlier recommendations.
  return { replicas: clamp(Math.max(recommended, Math.min(current, floor))), history };
}
