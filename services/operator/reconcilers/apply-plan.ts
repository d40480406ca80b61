import type { KubeObject } from '#cdk8s/kube-object.ts';
import { OPERATOR } from '#cdk8s/own-names.ts';
import {
  type ApplyOutcome,
  applyObjects,
  type LastApplied,
  ownerReference,
  setOwned,
} from '../runtime/apply.ts';
import type { ClusterSnapshot } from '../runtime/cluster-snapshot.ts';
import { type Kube, KubeError, type Ref, type StoredObject } from '../runtime/kube.ts';
import { HORIZONTAL_POD_AUTOSCALER, isStore, SCALED_OBJECT } from './kinds.ts';
import type { Plan } from './plan.ts';
import { madeSecret, rotatedSecret } from './platform/secrets.ts';
import { withSecretRevisions } from './secret-revisions.ts';

/** What became of a plan's objects. */
export interface PlanOutcome extends ApplyOutcome {
  readonly removed: number;
}

/**
 * Carries out a plan in its order: secrets, autoscalers that go, objects, removals.
 * @throws KubeError when the API server is busy or unreachable; what was done so far stays
 */
export async function applyPlan(
  kube: Pick<Kube, 'get' | 'apply' | 'create' | 'patch' | 'delete'>,
  owner: StoredObject,
  plan: Plan,
  snapshot: ClusterSnapshot,
  last: LastApplied,
): Promise<PlanOutcome> {
  let secrets = 0;
  for (const secret of plan.secrets) {
    try {
      await kube.create(madeSecret(secret, owner.metadata.namespace!, ownerReference(owner)));
      secrets += 1;
    } catch (err) {
      // Somebody has made it since it was observed: it is used as it is.
      if (!(err instanceof KubeError) || err.code !== 409) throw err;
    }
  }
  for (const { secret, live } of plan.rotated) {
    await kube.apply(rotatedSecret(secret, live));
    secrets += 1;
  }
  for (const { live, owned } of plan.secretOwners) {
    await setOwned(kube, live, owner, owned);
    secrets += 1;
  }
  // An autoscaler that lives on could take back at once the number that is applied instead of its own.
  const scalers = plan.remove.filter(({ ref }) => isScaler(ref));
  for (const { ref, uid } of scalers) await kube.delete(ref, { uid });
  const wanted = await withSecretRevisions(kube, plan.ensure);
  const outcome = await applyObjects(kube, owner, wanted, snapshot, last, OPERATOR, {
    outlives: (object: KubeObject) => plan.storesStay && isStore(object),
    scaledByUs: plan.scaledByUs ?? [],
  });
  for (const { ref, uid } of plan.remove) if (!isScaler(ref)) await kube.delete(ref, { uid });
  return { ...outcome, applied: outcome.applied + secrets, removed: plan.remove.length };
}

const isScaler = ({ kind }: Ref): boolean =>
  kind === HORIZONTAL_POD_AUTOSCALER.kind || kind === SCALED_OBJECT.kind;
