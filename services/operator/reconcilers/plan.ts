import type { Condition } from '#cdk8s/api/page-view.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import type { ClusterSnapshot } from '../runtime/cluster-snapshot.ts';
import { type ConditionValue, no, type Trouble } from '../runtime/conditions.ts';
import type { Ref, StoredObject } from '../runtime/kube.ts';
import { objectKey, refOf } from '../runtime/objects.ts';
import { jobState } from './jobs/jobs.ts';
import { isStore, TOP_CLIENTS } from './kinds.ts';
import type { MadeSecret } from './platform/secrets.ts';

/** An object to delete; the uid protects a later object of the same name. */
export interface Removal {
  readonly ref: Ref;
  readonly uid: string;
}

/** What a reconcile will do. It is data: nothing has happened yet. */
export interface Plan {
  /** Made first, and only if absent. */
  readonly secrets: readonly MadeSecret[];
  /** Rotated next. */
  readonly rotated: readonly { readonly secret: MadeSecret; readonly live: StoredObject }[];
  /** Secrets that are to go with the object, or to stay without it. */
  readonly secretOwners: readonly { readonly live: StoredObject; readonly owned: boolean }[];
  /** Whether stores stay when the object is deleted. */
  readonly storesStay: boolean;
  /** Whether the object is to carry our finalizer; absent: whatever it has stays. */
  readonly finalizer?: boolean;
  /** Applied in this order. */
  readonly ensure: readonly KubeObject[];
  /** Deployments whose number of pods we decide all the time, whoever else scales them; absent: none. */
  readonly scaledByUs?: readonly string[];
  /** Deleted last, but for autoscalers. */
  readonly remove: readonly Removal[];
  /** Projectors to write into the spec by its scale subresource; null to leave it. */
  readonly scaleTo: number | null;
  /** Fields of the status that are true whatever becomes of the objects. */
  readonly status: Readonly<Record<string, unknown>>;
  /** Whether the status holds a decision that must not be lost: it is then written before the plan is applied. */
  readonly decided: boolean;
  /** The generation of the spec that `conditions` speak of. */
  readonly observedGeneration: number;
  /** All conditions but Degraded. */
  readonly conditions: Readonly<Record<string, ConditionValue>>;
  readonly troubles: readonly Trouble[];
  readonly events: readonly {
    readonly type: 'Normal' | 'Warning';
    readonly reason: string;
    readonly message: string;
  }[];
  readonly requeueAfterMs: number | null;
}

/** One reason why a reconcile cannot go further now, and how far it may go. Facts are tested in their order. */
export interface Fact<S, G extends string> {
  /** The reason that the condition Progressing gives. */
  readonly name: string;
  /** The last group of objects that may be applied while this holds. */
  readonly upTo: G;
  /** It will not go away by itself. */
  readonly alarming?: boolean;
  /** A sentence when it holds, else null. */
  readonly because: (observed: S) => string | null;
}

/** The first fact that holds; null when nothing is in the way. */
export function firstFact<S, G extends string>(
  facts: readonly Fact<S, G>[],
  observed: S,
): (Fact<S, G> & { readonly message: string }) | null {
  for (const fact of facts) {
    const message = fact.because(observed);
    if (message !== null) return { ...fact, message };
  }
  return null;
}

/** Groups up to one, in order; all of them when nothing is in the way. */
export function groupsUpTo<G extends string>(
  groups: Readonly<Record<G, readonly KubeObject[]>>,
  upTo: G | null,
): readonly KubeObject[] {
  const order = Object.keys(groups) as G[];
  const last = upTo === null ? order.length : order.indexOf(upTo) + 1;
  return order.slice(0, last).flatMap((group) => groups[group]);
}

/** Kinds among the objects that this cluster does not serve, and the objects without them. */
export function served(
  objects: readonly KubeObject[],
  snapshot: ClusterSnapshot,
): { readonly objects: readonly KubeObject[]; readonly missing: readonly string[] } {
  const missing = objects.filter((object) => !snapshot.serves(object));
  return {
    objects: objects.filter((object) => snapshot.serves(object)),
    missing: [...new Set(missing.map(({ apiVersion, kind }) => `${kind} (${apiVersion})`))],
  };
}

/**
 * Objects of this owner that are no longer wanted. What holds data is never among them, claims neither: it goes only
 * with its owner, or by hand.
 */
export function toPrune(
  owner: StoredObject,
  wanted: readonly KubeObject[],
  snapshot: ClusterSnapshot,
  options: { readonly jobsToo: boolean },
): readonly Removal[] {
  const names = new Set(wanted.map((object) => objectKey(refOf(object))));
  return snapshot
    .all()
    .filter((object) => belongsTo(object, owner) && !holdsData(object))
    .filter((object) => !names.has(objectKey(refOf(object))) && !object.metadata.deletionTimestamp)
    .filter((object) => object.kind !== 'Job' || options.jobsToo || isOver(object))
    .map(removal);
}
/** A store that stays has no owner; the snapshot has only what carries our label. */
function belongsTo(object: StoredObject, owner: StoredObject): boolean {
  const { ownerReferences = [] } = object.metadata;
  if (ownerReferences.some(({ uid }) => uid === owner.metadata.uid)) return true;
  return isStore(object) && owner.kind === TOP_CLIENTS.kind && !ownerReferences.some((one) => one.controller);
}

const DATA = new Set(['Cluster', 'Kafka', 'KafkaNodePool', 'KafkaTopic']);
const holdsData = ({ kind, spec }: StoredObject): boolean =>
  DATA.has(kind) ||
  (kind === 'StatefulSet' && spec?.persistentVolumeClaimRetentionPolicy?.whenDeleted === 'Delete');

const isOver = (job: StoredObject): boolean => ['complete', 'failed'].includes(jobState(job).state);

export const removal = (object: StoredObject): Removal => ({ ref: refOf(object), uid: object.metadata.uid });

/** A sentence about kinds that the cluster lacks. */
export const lacking = (kinds: readonly string[], remedy: string): string =>
  `this cluster does not serve ${kinds.join(', ')}; ${remedy}`;

/** Where something else than the workloads decides it: why the object is not ready after all. */
export const notReadyFor = (troubles: readonly Trouble[]): Readonly<Record<string, ConditionValue>> => {
  const first = troubles.find(({ notReady }) => notReady);
  return first ? { Ready: no(first.reason, first.message) } : {};
};

/** A plan that changes nothing, for a spec that cannot be read: everything keeps running. */
export function leaveAsItIs(object: StoredObject, before: readonly Condition[], trouble: Trouble): Plan {
  const { conditions: _, ...status } = (object.status ?? {}) as Record<string, unknown>;
  const conditions = Object.fromEntries(
    before
      .filter(({ type }) => type !== 'Degraded')
      .map(({ type, status, reason, message }) => [type, { status, reason, message }]),
  );
  return {
    secrets: [],
    rotated: [],
    secretOwners: [],
    storesStay: true,
    ensure: [],
    remove: [],
    scaleTo: null,
    status,
    decided: false,
    observedGeneration: (object.status?.observedGeneration as number | undefined) ?? 0,
    conditions: { ...conditions, ...notReadyFor([trouble]) },
    troubles: [trouble],
    events: [],
    requeueAfterMs: null,
  };
}
