import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import type { Platform } from '../platform.ts';
import { metadataOf, selectorOf } from './labels.ts';

/**
 * At most one pod of a workload is evicted at a time. Nothing for a workload that never has a second one: it would
 * either say nothing (one may go) or keep a node from ever being drained (none may go).
 * @param replicas how many the workload can have, at most
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
      // A pod that never became ready holds up nobody.
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    },
  });
}
