import { fingerprint } from '#cdk8s/constructs/fingerprint.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import type { ClusterSnapshot } from './cluster-snapshot.ts';
import type { Trouble } from './conditions.ts';
import { type Kube, KubeError, type OwnerReference, type StoredObject } from './kube.ts';
import { matchesDesired } from './matches-desired.ts';
import { nameOf, objectKey, refOf } from './objects.ts';
import { scaledByOthers, withReplicasNoted } from './replicas.ts';

/** The label that names the manager of an object. */
export const MANAGED_BY = 'app.kubernetes.io/managed-by';

/** What became of desired objects. */
export interface ApplyOutcome {
  readonly applied: number;
  readonly troubles: readonly Trouble[];
  /** An object of a desired name is being deleted and must be gone first. */
  readonly waits: boolean;
}

/** What was applied last to each object, so that a reconcile of a settled system writes nothing. Lives for one term. */
export class LastApplied {
  readonly #fingerprints = new Map<string, string>();

  isLast(object: KubeObject, live: StoredObject): boolean {
    return (
      this.#fingerprints.get(this.#key(object, live)) === fingerprint(object) && matchesDesired(live, object)
    );
  }
  remember(object: KubeObject, live: StoredObject): void {
    this.#fingerprints.set(this.#key(object, live), fingerprint(object));
  }

  #key(object: KubeObject, live: StoredObject): string {
    return `${objectKey(refOf(object))} ${live.metadata.uid}`;
  }
}

export const ownerReference = (owner: StoredObject): OwnerReference => ({
  apiVersion: owner.apiVersion,
  kind: owner.kind,
  name: owner.metadata.name,
  uid: owner.metadata.uid,
  controller: true,
  blockOwnerDeletion: true,
});

const isOwnedBy = ({ metadata }: StoredObject, owner: StoredObject): boolean =>
  metadata.ownerReferences?.some(({ uid }) => uid === owner.metadata.uid) === true;

/**
 * Makes an object go with its owner, or stay without it. A reference that we have not applied, but created, is not
 * removed by leaving it out.
 * @throws KubeError 409 when the object has changed since it was read
 */
export async function setOwned(
  kube: Pick<Kube, 'patch'>,
  object: StoredObject,
  owner: StoredObject,
  wanted: boolean,
): Promise<StoredObject> {
  if (isOwnedBy(object, owner) === wanted) return object;
  const { ownerReferences = [], resourceVersion } = object.metadata;
  const others = ownerReferences.filter(({ uid }) => uid !== owner.metadata.uid);
  return kube.patch(refOf(object), {
    metadata: { ownerReferences: wanted ? [...others, ownerReference(owner)] : others, resourceVersion },
  });
}

export type Ownership = 'ours' | 'foreign' | 'leaving';

/**
 * Who owns an existing object of a desired name. An object with our label and without a controller was made from the
 * plain manifests, and is taken over. An object of an earlier owner of the same name is deleted with that owner.
 */
export function ownershipOf(live: StoredObject, owner: StoredObject, manager: string): Ownership {
  const { ownerReferences = [], labels, deletionTimestamp } = live.metadata;
  if (ownerReferences.some(({ uid }) => uid === owner.metadata.uid))
    return deletionTimestamp ? 'leaving' : 'ours';
  const controller = ownerReferences.find((reference) => reference.controller);
  if (controller) {
    return controller.kind === owner.kind && controller.name === owner.metadata.name ? 'leaving' : 'foreign';
  }
  if (labels?.[MANAGED_BY] !== manager) return 'foreign';
  return deletionTimestamp ? 'leaving' : 'ours';
}

/** Refused for good: the same request will be refused again. Every other failure is retried later. */
const isRefusal = (err: unknown): err is KubeError =>
  err instanceof KubeError && [400, 403, 404, 405, 413, 415, 422].includes(err.code);

/** What `applyObjects` does otherwise for some objects. */
export interface Treated {
  /** Whether an object has no owner, so that it stays when the owner is deleted. */
  readonly outlives?: (object: KubeObject) => boolean;
  /** Names of Deployments whose number of pods is decided here all the time. */
  readonly scaledByUs?: readonly string[];
}

/**
 * Applies objects in their order, by server-side apply; skips those that neither drifted nor changed in the plan. An
 * object that is refused does not hold back the others. A Deployment that somebody scaled keeps its number of pods.
 * @param manager the value of `MANAGED_BY` on objects of ours
 * @param treated what is otherwise for some of the objects
 * @throws KubeError when the API server is busy or unreachable; what was done so far stays
 */
export async function applyObjects(
  kube: Pick<Kube, 'get' | 'apply' | 'patch'>,
  owner: StoredObject,
  objects: readonly KubeObject[],
  snapshot: ClusterSnapshot,
  last: LastApplied,
  manager: string,
  treated: Treated = {},
): Promise<ApplyOutcome> {
  const { outlives = () => false, scaledByUs = [] } = treated;
  const troubles: Trouble[] = [];
  const reference = ownerReference(owner);
  let applied = 0;
  let waits = false;
  for (const object of objects) {
    try {
      // The snapshot lists only objects with our label, so one without it has to be asked for.
      const live = snapshot.find(refOf(object)) ?? (await kube.get(refOf(object)));
      const isTheirs =
        !scaledByUs.includes(object.metadata.name) && scaledByOthers(object, live ?? undefined);
      const noted = withReplicasNoted(object, Boolean(isTheirs));
      const stays = outlives(object);
      const owned = stays
        ? noted
        : { ...noted, metadata: { ...noted.metadata, ownerReferences: [reference] } };
      if (live) {
        const ownership = ownershipOf(live, owner, manager);
        if (ownership === 'foreign') {
          troubles.push(foreign(object, live, manager));
          continue;
        }
        if (ownership === 'leaving') {
          waits = true;
          continue;
        }
        if (last.isLast(owned, live) && !(stays && isOwnedBy(live, owner))) continue;
        await leaveReplicas(kube, owned, live, manager);
      }
      const stored = await kube.apply(owned);
      last.remember(owned, stays ? await setOwned(kube, stored, owner, false) : stored);
      applied += 1;
    } catch (err) {
      if (!isRefusal(err)) throw err;
      troubles.push({
        reason: 'ApplyFailed',
        message: `the API server refuses ${nameOf(refOf(object))}: ${err.message}`,
      });
    }
  }
  return { applied, troubles, waits };
}

/** The field manager that keeps `replicas` once we no longer decide it, until whoever scales writes another number. */
const replicasLeftBy = (manager: string) => `${manager}-replicas`;

/**
 * A field that its only owner stops applying is removed, so `replicas` would fall to the default of 1 before an
 * autoscaler takes over. A second owner keeps it as it is.
 */
async function leaveReplicas(
  kube: Pick<Kube, 'apply'>,
  wanted: KubeObject & { readonly spec?: { readonly replicas?: number } },
  live: StoredObject,
  manager: string,
): Promise<void> {
  const { replicas } = live.spec ?? {};
  if (wanted.kind !== 'Deployment' || wanted.spec?.replicas !== undefined || replicas === undefined) return;
  const { apiVersion, kind, metadata } = wanted;
  const { name, namespace } = metadata;
  const held = {
    apiVersion,
    kind,
    metadata: { name, ...(namespace ? { namespace } : {}) },
    spec: { replicas },
  };
  try {
    await kube.apply(held, { fieldManager: replicasLeftBy(manager), force: false });
  } catch (err) {
    // Whoever scales owns it already, with a newer number than ours.
    if (!(err instanceof KubeError) || err.code !== 409) throw err;
  }
}

/** Kinds by which something is reached or run: with somebody else's in the place, nobody reaches ours. */
const SERVING = new Set(['Service', 'Deployment', 'StatefulSet']);

function foreign(object: KubeObject, live: StoredObject, manager: string): Trouble {
  const name = nameOf(refOf(object));
  const controller = live.metadata.ownerReferences?.find((reference) => reference.controller);
  const whose = controller
    ? `it belongs to ${controller.kind} ${controller.name}`
    : 'this operator did not make it';
  return {
    reason: 'ForeignObject',
    notReady: SERVING.has(object.kind),
    message:
      `${name} is not touched, for ${whose}; remove or rename it, ` +
      `or label it ${MANAGED_BY}=${manager} to have it taken over`,
  };
}
