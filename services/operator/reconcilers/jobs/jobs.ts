import type { KubeObject } from '#cdk8s/kube-object.ts';
import type { ClusterSnapshot } from '../../runtime/cluster-snapshot.ts';
import { type Condition, conditionOf } from '../../runtime/conditions.ts';
import type { StoredObject } from '../../runtime/kube.ts';
import { refOf } from '../../runtime/objects.ts';

export type JobState =
  | { readonly state: 'absent' | 'running' | 'complete' }
  | { readonly state: 'failed'; readonly because: string; readonly at: number };

export function jobState(live: StoredObject | undefined): JobState {
  if (!live) return { state: 'absent' };
  if (conditionOf(live, 'Complete')?.status === 'True') return { state: 'complete' };
  const failed = conditionOf(live, 'Failed');
  if (failed?.status !== 'True') return { state: 'running' };
  return {
    state: 'failed',
    because: failed.message ?? failed.reason ?? 'no reason given',
    at: Date.parse(failed.lastTransitionTime ?? live.metadata.creationTimestamp),
  };
}

/** The last thing that a job's pods said before they ended; null when none ended or none said anything. */
export function terminationMessage(job: string, pods: readonly StoredObject[]): string | null {
  const ends = pods
    .filter(({ metadata }) => metadata.labels?.['batch.kubernetes.io/job-name'] === job)
    .flatMap(({ status }) => [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])])
    .map(({ state }) => state?.terminated as { finishedAt?: string; message?: string } | undefined)
    .filter((end) => end?.message?.trim())
    .sort((a, b) => Date.parse(a?.finishedAt ?? '') - Date.parse(b?.finishedAt ?? ''));
  return ends.at(-1)?.message?.trim() ?? null;
}

/** The combined state of a group's migrations. */
export interface Migrations {
  readonly complete: boolean;
  readonly failed: readonly { readonly job: StoredObject; readonly at: number; readonly message: string }[];
  /** Those that are neither complete nor failed; of one that is tried again, with what it said last. */
  readonly pending: readonly string[];
}

export function migrationsOf(wanted: readonly KubeObject[], snapshot: ClusterSnapshot): Migrations {
  const jobs = wanted.map((job) => {
    const live = snapshot.find(refOf(job));
    return { name: job.metadata.name, live, state: jobState(live) };
  });
  return {
    complete: jobs.every(({ state }) => state.state === 'complete'),
    failed: jobs.flatMap(({ name, live, state }) =>
      state.state === 'failed' && live
        ? [
            {
              job: live,
              at: state.at,
              message: `${name}: ${terminationMessage(name, snapshot.pods) ?? state.because}`,
            },
          ]
        : [],
    ),
    pending: jobs
      .filter(({ state }) => state.state === 'absent' || state.state === 'running')
      .map(({ name }) => {
        const said = terminationMessage(name, snapshot.pods);
        return said === null ? name : `${name}, which is tried again: ${said}`;
      }),
  };
}

const SHORTEST_RETRY_MS = 30_000;
const LONGEST_RETRY_MS = 600_000;

/**
 * When a failed job may be replaced by a new try: after another wait as long as the failure has lasted so far. This
 * doubles the waits, and only the condition has to be remembered.
 */
export function retryAt(failedAt: number, degraded: Condition | undefined): number {
  const since = degraded?.status === 'True' ? Date.parse(degraded.lastTransitionTime) : failedAt;
  return failedAt + Math.min(LONGEST_RETRY_MS, Math.max(SHORTEST_RETRY_MS, failedAt - since));
}
