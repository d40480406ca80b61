import type { Condition } from '#cdk8s/api/page-view.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import type { Said, Trouble } from './conditions.ts';
import type { Existing } from './gather.ts';
import { objectKey, refOf } from './kinds.ts';
import type { Ref, StoredObject } from './kube/kube.ts';
import { jobState, lastWords, type Pods, podsOf } from './readiness.ts';
import type { MadeSecret } from './secrets.ts';

/** Something to delete; the uid keeps a successor of that name safe. */
export interface Removal {
  readonly ref: Ref;
  readonly uid: string;
}

/** What a reconcile is going to do. It is data: nothing has happened yet. */
export interface Plan {
  /** Made before all else, and only where they are absent. */
  readonly secrets: readonly MadeSecret[];
  /** Exchanged next. */
  readonly rotated: readonly { readonly secret: MadeSecret; readonly live: StoredObject }[];
  /** Applied in this order. */
  readonly ensure: readonly KubeObject[];
  /** Deleted after that. */
  readonly remove: readonly Removal[];
  /** Projectors to write into the spec by its scale subresource; null to leave it. */
  readonly scaleTo: number | null;
  /** Fields of the status that hold whatever becomes of the objects. */
  readonly status: Readonly<Record<string, unknown>>;
  /** A decision that must not be lost when what follows from it is done: it is written before. */
  readonly decided: boolean;
  /** The generation of the spec that `said` speaks of. */
  readonly observed: number;
  /** All conditions but Degraded. */
  readonly said: Readonly<Record<string, Said>>;
  readonly troubles: readonly Trouble[];
  readonly events: readonly {
    readonly type: 'Normal' | 'Warning';
    readonly reason: string;
    readonly message: string;
  }[];
  readonly againInMs: number | null;
}

/** One reason why a reconcile cannot go further now, and how far it may go. Facts are tested in their order. */
export interface Fact<S, G extends string> {
  /** The reason that the condition Progressing gives. */
  readonly name: string;
  /** The last group of objects that may be applied while this holds. */
  readonly upTo: G;
  /** It will not pass by itself. */
  readonly alarming?: boolean;
  /** A sentence when it holds, else null. */
  readonly because: (sight: S) => string | null;
}

/** The first fact that holds; null when nothing is in the way. */
export function firstFact<S, G extends string>(
  facts: readonly Fact<S, G>[],
  sight: S,
): (Fact<S, G> & { readonly message: string }) | null {
  for (const fact of facts) {
    const message = fact.because(sight);
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
  existing: Existing,
): { readonly objects: readonly KubeObject[]; readonly missing: readonly string[] } {
  const missing = objects.filter((object) => !existing.serves(object));
  return {
    objects: objects.filter((object) => existing.serves(object)),
    missing: [...new Set(missing.map(({ apiVersion, kind }) => `${kind} (${apiVersion})`))],
  };
}

/** How the migrations of a group stand together. */
export interface Migrations {
  readonly complete: boolean;
  readonly failed: readonly { readonly job: StoredObject; readonly at: number; readonly message: string }[];
  /** Those that are neither complete nor failed. */
  readonly pending: readonly string[];
}

export function migrationsOf(wanted: readonly KubeObject[], existing: Existing): Migrations {
  const jobs = wanted.map((job) => {
    const live = existing.find(refOf(job));
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
              message: `${name}: ${lastWords(name, existing.pods) ?? state.because}`,
            },
          ]
        : [],
    ),
    pending: jobs
      .filter(({ state }) => state.state === 'absent' || state.state === 'running')
      .map(({ name }) => name),
  };
}

const SHORTEST_RETRY_MS = 30_000;
const LONGEST_RETRY_MS = 600_000;

/**
 * When a failed job may be replaced by a new try: after as long again as it has been failing, which doubles the waits
 * without anything to remember but the condition.
 */
export function retryAt(failedAt: number, degraded: Condition | undefined): number {
  const since = degraded?.status === 'True' ? Date.parse(degraded.lastTransitionTime) : failedAt;
  return failedAt + Math.min(LONGEST_RETRY_MS, Math.max(SHORTEST_RETRY_MS, failedAt - since));
}

/** Objects of this owner that it wants no more. Claims are none of them: they are the StatefulSets'. */
export function toPrune(
  owner: StoredObject,
  wanted: readonly KubeObject[],
  existing: Existing,
  options: { readonly jobsToo: boolean },
): readonly Removal[] {
  const names = new Set(wanted.map((object) => objectKey(refOf(object))));
  return existing
    .all()
    .filter((object) => object.metadata.ownerReferences?.some(({ uid }) => uid === owner.metadata.uid))
    .filter((object) => !names.has(objectKey(refOf(object))) && !object.metadata.deletionTimestamp)
    .filter((object) => object.kind !== 'Job' || options.jobsToo || isOver(object))
    .map(removal);
}
const isOver = (job: StoredObject): boolean => ['complete', 'failed'].includes(jobState(job).state);

export const removal = (object: StoredObject): Removal => ({ ref: refOf(object), uid: object.metadata.uid });

/** The pods of all workloads among the objects. */
export const workloadsOf = (objects: readonly KubeObject[], existing: Existing): readonly Pods[] =>
  objects
    .filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet')
    .map((object) => podsOf(object, existing.find(refOf(object))));

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

/** A sentence about kinds that the cluster lacks. */
export const lacking = (kinds: readonly string[], remedy: string): string =>
  `this cluster does not serve ${kinds.join(', ')}; ${remedy}`;

/** A plan that changes nothing, for a spec that cannot be read: what runs goes on. */
export function leaveAsItIs(object: StoredObject, before: readonly Condition[], trouble: Trouble): Plan {
  const { conditions: _, ...status } = (object.status ?? {}) as Record<string, unknown>;
  const said = Object.fromEntries(
    before
      .filter(({ type }) => type !== 'Degraded')
      .map(({ type, status, reason, message }) => [type, { status, reason, message }]),
  );
  return {
    secrets: [],
    rotated: [],
    ensure: [],
    remove: [],
    scaleTo: null,
    status,
    decided: false,
    observed: (object.status?.observedGeneration as number | undefined) ?? 0,
    said,
    troubles: [trouble],
    events: [],
    againInMs: null,
  };
}

/** Conditions as the last status has them. */
export const conditionsIn = (object: StoredObject): readonly Condition[] =>
  (object.status?.conditions as Condition[] | undefined) ?? [];
