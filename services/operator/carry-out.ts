import { fingerprint } from '#cdk8s/constructs/fingerprint.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { carries } from './carries.ts';
import type { Trouble } from './conditions.ts';
import type { Existing } from './gather.ts';
import { MANAGED_BY, nameOf, OPERATOR, objectKey, refOf } from './kinds.ts';
import { type Kube, KubeError, type OwnerReference, type StoredObject } from './kube/kube.ts';
import type { Plan } from './plan.ts';
import { madeSecret, rotatedSecret } from './secrets.ts';

/** What became of a plan's objects. */
export interface Outcome {
  readonly applied: number;
  readonly removed: number;
  readonly troubles: readonly Trouble[];
  /** Something of our name is on its way out and must be gone first. */
  readonly waits: boolean;
}

/** What was applied last to each object, so that a reconcile of a settled system writes nothing. Lives with a term. */
export class Applied {
  readonly #fingerprints = new Map<string, string>();

  isLast(object: KubeObject, live: StoredObject): boolean {
    return this.#fingerprints.get(this.#key(object, live)) === fingerprint(object) && carries(live, object);
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

export type Ownership = 'ours' | 'foreign' | 'leaving';

/**
 * Whose an object of a wanted name is. With our label and without a controller it was made from the plain manifests,
 * and is taken over. One of an owner that was there before under the same name goes with that owner.
 */
export function ownershipOf(live: StoredObject, owner: StoredObject): Ownership {
  const { ownerReferences = [], labels, deletionTimestamp } = live.metadata;
  if (ownerReferences.some(({ uid }) => uid === owner.metadata.uid))
    return deletionTimestamp ? 'leaving' : 'ours';
  const controller = ownerReferences.find((reference) => reference.controller);
  if (controller) {
    return controller.kind === owner.kind && controller.name === owner.metadata.name ? 'leaving' : 'foreign';
  }
  if (labels?.[MANAGED_BY] !== OPERATOR) return 'foreign';
  return deletionTimestamp ? 'leaving' : 'ours';
}

/** Refused for good: the same request will be refused again, whereas all else is tried again later. */
const isRefusal = (err: unknown): err is KubeError =>
  err instanceof KubeError && [400, 403, 404, 405, 413, 415, 422].includes(err.code);

/**
 * Does what a plan says, in its order. One object that is refused keeps none of the others back.
 * @throws KubeError when the API server is busy or away; what was done so far stays
 */
export async function carryOut(
  kube: Pick<Kube, 'get' | 'apply' | 'create' | 'delete'>,
  owner: StoredObject,
  plan: Plan,
  existing: Existing,
  applied: Applied,
): Promise<Outcome> {
  const troubles: Trouble[] = [];
  const reference = ownerReference(owner);
  let count = 0;
  let waits = false;

  for (const secret of plan.secrets) {
    try {
      await kube.create(madeSecret(secret, owner.metadata.namespace!, reference));
      count += 1;
    } catch (err) {
      // Made by somebody since we looked: it is used as it is.
      if (!(err instanceof KubeError) || err.code !== 409) throw err;
    }
  }

  for (const { secret, live } of plan.rotated) {
    await kube.apply(rotatedSecret(secret, live));
    count += 1;
  }

  for (const object of plan.ensure) {
    const owned = { ...object, metadata: { ...object.metadata, ownerReferences: [reference] } };
    const listed = existing.find(refOf(object));
    try {
      // Without our label it is in no list of ours.
      const live = listed ?? (await kube.get(refOf(object)));
      if (live) {
        const ownership = ownershipOf(live, owner);
        if (ownership === 'foreign') {
          troubles.push(foreign(object, live));
          continue;
        }
        if (ownership === 'leaving') {
          waits = true;
          continue;
        }
        if (applied.isLast(owned, live)) continue;
        await leaveReplicas(kube, owned, live);
      }
      applied.remember(owned, await kube.apply(owned));
      count += 1;
    } catch (err) {
      if (!isRefusal(err)) throw err;
      troubles.push({
        reason: 'ApplyFailed',
        message: `the API server refuses ${nameOf(refOf(object))}: ${err.message}`,
      });
    }
  }

  for (const { ref, uid } of plan.remove) await kube.delete(ref, { uid });
  return { applied: count, removed: plan.remove.length, troubles, waits };
}

/** In whose name a number of replicas stays that we do not decide any more, until an autoscaler writes its own. */
const REPLICAS_LEFT = 'top-clients-operator-replicas';

/**
 * A field that its only owner stops applying is removed, and `replicas` would fall to the default of 1 on the way to
 * an autoscaler. Owned by a second name it stays as it is.
 */
async function leaveReplicas(
  kube: Pick<Kube, 'apply'>,
  wanted: KubeObject & { readonly spec?: { readonly replicas?: number } },
  live: StoredObject,
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
    await kube.apply(held, { fieldManager: REPLICAS_LEFT, force: false });
  } catch (err) {
    // An autoscaler has it already, with a number that is newer than what we know.
    if (!(err instanceof KubeError) || err.code !== 409) throw err;
  }
}

function foreign(object: KubeObject, live: StoredObject): Trouble {
  const name = nameOf(refOf(object));
  const controller = live.metadata.ownerReferences?.find((reference) => reference.controller);
  const whose = controller
    ? `it belongs to ${controller.kind} ${controller.name}`
    : 'this operator did not make it';
  return {
    reason: 'ForeignObject',
    message:
      `${name} is not touched, for ${whose}; remove or rename it, ` +
      `or label it ${MANAGED_BY}=${OPERATOR} to have it taken over`,
  };
}
