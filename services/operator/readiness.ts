import type { KubeObject } from '#cdk8s/kube-object.ts';
import { nameOf, refOf } from './kinds.ts';
import type { StoredObject } from './kube/kube.ts';

type KubeCondition = {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
};
const conditionOf = (object: StoredObject, type: string): KubeCondition | undefined =>
  (object.status?.conditions as KubeCondition[] | undefined)?.find((one) => one.type === type);
/** Its controller has seen what is in its spec. */
const isSeen = ({ metadata, status }: StoredObject): boolean =>
  (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
const wantedPods = ({ spec }: StoredObject): number => spec?.replicas ?? 1;

/** What keeps a store from being used; null when nothing does, or when its kind is nothing to wait for. */
export function storeNotReady(wanted: KubeObject, live: StoredObject | undefined): string | null {
  const name = nameOf(refOf(wanted));
  if (!live) return `${name} is not there yet`;
  const group = wanted.apiVersion.split('/')[0];
  if (wanted.kind === 'StatefulSet') {
    const { readyReplicas: ready = 0, updatedReplicas: updated = 0 } = live.status ?? {};
    const all = wantedPods(live);
    // A pod of before is ready until it is replaced.
    if (isSeen(live) && updated >= all && ready >= all) return null;
    return `${name} has ${Math.min(ready, updated)} of ${all} pods ready`;
  }
  // A pool has no condition of its own; its cluster tells.
  if (group === 'kafka.strimzi.io' && wanted.kind !== 'KafkaNodePool') return sayReady(name, live);
  if (group !== 'postgresql.cnpg.io') return null;
  if (wanted.kind === 'Cluster') return sayReady(name, live);
  return live.status?.applied === true
    ? null
    : `${name} is not applied yet: ${live.status?.message ?? 'nothing said'}`;
}

function sayReady(name: string, live: StoredObject): string | null {
  const ready = conditionOf(live, 'Ready');
  if (ready?.status === 'True') return null;
  return `${name} is not ready: ${ready?.message ?? ready?.reason ?? 'its operator has not said anything yet'}`;
}

/** A workload's pods. */
export interface Pods {
  readonly name: string;
  readonly wanted: number;
  readonly ready: number;
  /** Enough of them to do the work, as its own strategy counts. */
  readonly available: boolean;
  /** All of them are of the newest kind, and none of an older is left. */
  readonly rolledOut: boolean;
  /** Why it will not get any further by itself; null when it may. */
  readonly stuck: string | null;
}

/** @param live undefined when it is not there */
export function podsOf(wanted: KubeObject, live: StoredObject | undefined): Pods {
  const name = wanted.metadata.name;
  const asked = (wanted['spec'] as { readonly replicas?: number } | undefined)?.replicas;
  if (!live) return { name, wanted: asked ?? 1, ready: 0, available: false, rolledOut: false, stuck: null };
  const all = wantedPods(live);
  const { readyReplicas = 0, availableReplicas = 0, updatedReplicas = 0, replicas = 0 } = live.status ?? {};
  if (wanted.kind === 'StatefulSet') {
    const complete = isSeen(live) && readyReplicas >= all && updatedReplicas >= all;
    return {
      name,
      wanted: all,
      ready: readyReplicas,
      available: readyReplicas > 0,
      rolledOut: complete,
      stuck: null,
    };
  }
  const progressing = conditionOf(live, 'Progressing');
  const overdue = isSeen(live) && progressing?.reason === 'ProgressDeadlineExceeded';
  return {
    name,
    wanted: all,
    ready: availableReplicas,
    available: conditionOf(live, 'Available')?.status === 'True',
    rolledOut:
      isSeen(live) && updatedReplicas >= all && availableReplicas >= all && replicas === updatedReplicas,
    stuck: overdue
      ? `${name} does not get its pods running: ${progressing.message ?? 'no reason given'}`
      : null,
  };
}

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
export function lastWords(job: string, pods: readonly StoredObject[]): string | null {
  const ends = pods
    .filter(({ metadata }) => metadata.labels?.['batch.kubernetes.io/job-name'] === job)
    .flatMap(({ status }) => [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])])
    .map(({ state }) => state?.terminated as { finishedAt?: string; message?: string } | undefined)
    .filter((end) => end?.message?.trim())
    .sort((a, b) => Date.parse(a?.finishedAt ?? '') - Date.parse(b?.finishedAt ?? ''));
  return ends.at(-1)?.message?.trim() ?? null;
}
