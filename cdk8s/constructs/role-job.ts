import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import type { Platform } from '../platform.ts';
import { fingerprint } from './fingerprint.ts';
import { metadataOf } from './labels.ts';
import { type RolePod, rolePod } from './role-pod.ts';

/** What a role that ends says when its configuration is wrong; trying again would not help. */
const WRONG_CONFIGURATION = 2;

export interface RoleJob extends Omit<RolePod, 'ends' | 'serves' | 'resources'> {
  /** What the object's name begins with; a fingerprint of its content follows. */
  readonly name: string;
  readonly deadlineSeconds: number;
  readonly retries: number;
  readonly memory: string;
}

/**
 * Runs a role that ends. A Job's pods cannot be changed, so its name carries a fingerprint of them: another image or
 * setting is another Job, and the same one again is no change. It stays when it is done, for that is how one sees
 * that it was; whoever applies the next one removes it.
 */
export function roleJob(scope: Construct, platform: Platform, job: RoleJob): void {
  const { name, component, instance = component, deadlineSeconds, retries, memory } = job;
  const spec = {
    backoffLimit: retries,
    activeDeadlineSeconds: deadlineSeconds,
    podFailurePolicy: {
      rules: [
        { action: 'FailJob', onExitCodes: { operator: 'In', values: [WRONG_CONFIGURATION] } },
        // An evicted pod has not failed.
        { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
      ],
    },
    template: rolePod(platform, {
      ...job,
      ends: true,
      resources: { requests: { cpu: '50m', memory }, limits: { memory } },
    }),
  };
  new ApiObject(scope, name, {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: metadataOf(platform, `${name}-${fingerprint(spec)}`, component, instance),
    spec,
  });
}
