import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import type { Platform } from '../platform.ts';
import { fingerprint } from './fingerprint.ts';
import { metadataOf } from './labels.ts';
import { type RolePod, rolePod } from './role-pod.ts';

/** A Job's name is a label of its pods, and no label is longer. */
const LONGEST_NAME = 63;
/** The exit code of a role with a wrong configuration; a retry would not help. */
const WRONG_CONFIGURATION = 2;

export interface RoleJob extends Omit<RolePod, 'ends' | 'serves' | 'resources' | 'settings'> {
  /** The prefix of the object's name, cut where it is too long; a fingerprint of its content follows. */
  readonly name: string;
  readonly deadlineSeconds: number;
  readonly retries: number;
  readonly memory: string;
}

/**
 * Runs a role that ends by itself. A Job's pods cannot be changed, so its name has a fingerprint of them: another image
 * or setting is another Job, and the same content is no change. A complete Job stays as the sign that it is done;
 * whoever applies the next one removes it.
 */
export function roleJob(scope: Construct, platform: Platform, job: RoleJob): void {
  const { name, component, instance = component, deadlineSeconds, retries, memory } = job;
  const spec = {
    backoffLimit: retries,
    activeDeadlineSeconds: deadlineSeconds,
    podFailurePolicy: {
      rules: [
        { action: 'FailJob', onExitCodes: { operator: 'In', values: [WRONG_CONFIGURATION] } },
        // An eviction is no failure.
        { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
      ],
    },
    template: rolePod(platform, {
      ...job,
      settings: platform.spec.jobs.pod,
      ends: true,
      resources: { requests: { cpu: '50m', memory }, limits: { memory } },
    }),
  };
  new ApiObject(scope, name, {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: metadataOf(platform, nameOf(name, fingerprint(spec)), component, instance),
    spec,
  });
}

const nameOf = (name: string, print: string): string =>
  `${name.slice(0, LONGEST_NAME - print.length - 1).replace(/-+$/, '')}-${print}`;
