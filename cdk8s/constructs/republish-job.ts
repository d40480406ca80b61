import type { Construct } from 'constructs';
import type { Platform } from '../platform.ts';
import { databaseAccess } from './database-access.ts';
import { kafkaAccess } from './kafka-access.ts';
import { roleJob } from './role-job.ts';
import type { EnvironmentVariable } from './role-pod.ts';

const component = 'republish';

/** Grows the layout to this many partitions, and publishes the sellers who move again. */
export function growthJobOf(scope: Construct, platform: Platform, partitions: number): void {
  const { kafka } = platform.spec;
  const access = kafkaAccess(platform, 'republish');
  const isOurs = kafka.mode === 'embedded' || (kafka.mode === 'external' && kafka.external.createTopic);
  job(scope, platform, 'growth', access.volumes, [
    { name: 'TC_REASON', value: 'growth' },
    { name: 'TC_PARTITIONS', value: String(partitions) },
    // Otherwise the topic is a `KafkaTopic`, or not ours.
    { name: 'TC_GROW_TOPIC', value: String(isOurs) },
    ...access.env,
  ]);
}

/** Publishes every seller again. */
export function republishJobOf(scope: Construct, platform: Platform, request: string): void {
  job(scope, platform, 'request', [], [{ name: 'TC_REQUEST', value: request }]);
}

/** Brings a source that was restored to an earlier point above everything that it had published. */
export function restoredJobOf(scope: Construct, platform: Platform, request: string): void {
  const access = kafkaAccess(platform, 'republish');
  // Another request is another Job; the role itself needs no name for its run.
  const asked = { 'topclients.dev/restored': request };
  job(scope, platform, 'restored', access.volumes, access.env, 'after-restore', asked);
}

function job(
  scope: Construct,
  platform: Platform,
  instance: string,
  volumes: ReturnType<typeof kafkaAccess>['volumes'],
  env: readonly EnvironmentVariable[],
  role: 'republish' | 'after-restore' = 'republish',
  annotations: Readonly<Record<string, string>> = {},
): void {
  const database = databaseAccess(platform, role, { TC_DATABASE_URL: 'source' });
  roleJob(scope, platform, {
    name: `top-clients-republish-${instance}`,
    role,
    annotations,
    component,
    instance,
    env: [...database.env, ...env],
    volumes: [...database.volumes, ...volumes],
    memory: '192Mi',
    // Ten million sellers take an hour and a half; a run that is stopped resumes where it was.
    deadlineSeconds: 86_400,
    retries: 20,
  });
}
