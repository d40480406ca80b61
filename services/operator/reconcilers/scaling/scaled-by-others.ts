import type { KubeObject } from '#cdk8s/kube-object.ts';
import type { ClusterSnapshot } from '../../runtime/cluster-snapshot.ts';
import { type ConditionValue, no } from '../../runtime/conditions.ts';
import { refOf } from '../../runtime/objects.ts';
import { scaledByOthers } from '../../runtime/replicas.ts';

/** Says which workloads somebody else has scaled; null when nobody has. */
export function sayScaledByOthers(
  workloads: readonly KubeObject[],
  snapshot: ClusterSnapshot,
): ConditionValue | null {
  const scaled = workloads.flatMap((wanted) => scaledByOthers(wanted, snapshot.find(refOf(wanted))) ?? []);
  if (scaled.length === 0) return null;
  const each = scaled.map(
    ({ name, replicas, wanted, by }) =>
      `${name} has ${replicas} pods${by === null ? '' : ` by ${by}`}, the spec says ${wanted}`,
  );
  return no(
    'ScaledByOthers',
    `${each.join('; ')}. That is left as it is, and the number of the spec is applied again once it is changed there`,
  );
}
