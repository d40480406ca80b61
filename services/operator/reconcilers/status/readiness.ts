import type { KubeObject } from '#cdk8s/kube-object.ts';
import type { ClusterSnapshot } from '../../runtime/cluster-snapshot.ts';
import { conditionOf, type Trouble } from '../../runtime/conditions.ts';
import type { StoredObject } from '../../runtime/kube.ts';
import { nameOf, refOf } from '../../runtime/objects.ts';
import { SCHEDULED_BACKUP } from '../kinds.ts';

/** Whether its controller has seen the current spec. */
const isSeen = ({ metadata, status }: StoredObject): boolean =>
  (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
const wantedPods = ({ spec }: StoredObject): number => spec?.replicas ?? 1;

/** Why a store cannot be used yet; null when it can, or when nobody has to wait for its kind. */
export function storeNotReady(wanted: KubeObject, live: StoredObject | undefined): string | null {
  // Nothing is kept in it, and nothing waits for a backup.
  if (wanted.kind === SCHEDULED_BACKUP.kind) return null;
  const name = nameOf(refOf(wanted));
  if (!live) return `${name} is not there yet`;
  const group = wanted.apiVersion.split('/')[0];
  if (wanted.kind === 'StatefulSet') {
    const { wanted: all, ready, rolledOut } = podsOf(wanted, live);
    // A pod of the earlier version still counts as ready until it is replaced.
    const updated: number = live.status?.updatedReplicas ?? 0;
    return rolledOut ? null : `${name} has ${Math.min(ready, updated)} of ${all} pods ready`;
  }
  // A node pool has no condition of its own; its cluster reports for it.
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
  /** Enough pods to do the work, as the workload's own strategy counts. */
  readonly available: boolean;
  /** All pods are of the newest version, and none of an older one is left. */
  readonly rolledOut: boolean;
  /** Why it cannot proceed by itself; null when it can. */
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
    // A Deployment without pods, scaled so by somebody, is available in Kubernetes' words.
    available: conditionOf(live, 'Available')?.status === 'True' && availableReplicas > 0,
    rolledOut:
      isSeen(live) && updatedReplicas >= all && availableReplicas >= all && replicas === updatedReplicas,
    stuck: overdue
      ? `${name} does not get its pods running: ${progressing.message ?? 'no reason given'}`
      : null,
  };
}

/** The pods of all workloads among the objects. */
export const workloadsOf = (objects: readonly KubeObject[], snapshot: ClusterSnapshot): readonly Pods[] =>
  objects
    .filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet')
    .map((object) => podsOf(object, snapshot.find(refOf(object))));

export const stuck = (workloads: readonly Pods[]): Trouble[] =>
  workloads.flatMap(({ stuck }) => (stuck === null ? [] : [{ reason: 'RolloutStuck', message: stuck }]));

/** A sentence about the first workloads that are not complete; null when all are. */
export function rollingOut(workloads: readonly Pods[]): string | null {
  const behind = workloads.filter(({ rolledOut }) => !rolledOut);
  if (behind.length === 0) return null;
  const some = behind.slice(0, 3).map(({ name, ready, wanted }) => `${name} (${ready} of ${wanted} pods)`);
  const more = behind.length > some.length ? ` and ${behind.length - some.length} more` : '';
  return `waiting for ${some.join(', ')}${more}`;
}
