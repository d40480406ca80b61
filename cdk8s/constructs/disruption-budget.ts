import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import type { Platform } from '../platform.ts';
import { metadataOf, selectorOf } from './labels.ts';

/**
 * At most one pod of a workload is evicted at a time. A workload that never has a second pod gets no budget: the budget
 * would either have no effect (one may be evicted) or keep a node from ever being drained (none may).
 * @param replicas the most that the workload can have
 */
export function disruptionBudget(
  scope: Construct,
  platform: Platform,
  workload: {
    readonly name: string;
    readonly component: string;
    readonly instance?: string;
    readonly replicas: number;
  },
): void {
  const { name, component, instance, replicas } = workload;
  if (replicas < 2) return;
  new ApiObject(scope, `${name}-budget`, {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: metadataOf(platform, name, component, instance),
    spec: {
      maxUnavailable: 1,
      selector: { matchLabels: selectorOf(component, instance) },
      // A pod that never became ready must not block a drain.
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    },
  });
}
