import type { Construct } from 'constructs';
import type { PageName } from '#contracts/pages.ts';
import type { ShownViewId, ViewId } from '../api/page-view.ts';
import type { DatabaseName, Platform } from '../platform.ts';
import { databaseAccess, databaseUsers } from './database-access.ts';
import { kafkaAccess } from './kafka-access.ts';
import { roleJob } from './role-job.ts';
import type { EnvironmentVariable } from './role-pod.ts';

const component = 'migrate';

/** Creates the topic, or changes its settings to ours. Not used when the topic is a `KafkaTopic` or not ours. */
export function topicJob(scope: Construct, platform: Platform): void {
  const { kafka } = platform.spec;
  if (kafka.mode === 'strimzi' || (kafka.mode === 'external' && !kafka.external.createTopic)) return;
  const access = kafkaAccess(platform, 'migrate');
  job(scope, platform, 'topics', access.volumes, [
    { name: 'TC_TARGET', value: 'topics' },
    { name: 'TC_PARTITIONS', value: String(kafka.partitions) },
    { name: 'TC_REPLICATION', value: String(kafka.replication) },
    ...access.env,
  ]);
}

/** Migrates a database without views. */
export function databaseJob(scope: Construct, platform: Platform, target: 'source' | 'self-view'): void {
  const { volumes } = databaseAccess(platform, 'migrate', {});
  job(scope, platform, target, volumes, databaseSettings(platform, target));
}

/** Migrates a page's own tables and, unless null, a view beside them. */
export const pageJob = (scope: Construct, platform: Platform, page: PageName, view: ViewId | null): void =>
  jobOfPage(scope, platform, page, view, []);

/** Migrates a view, and has the page show it instead of another one: a view that is shown again is another job. */
export const shownViewJob = (scope: Construct, platform: Platform, page: PageName, view: ShownViewId): void =>
  jobOfPage(
    scope,
    platform,
    page,
    view,
    [{ name: 'TC_SHOW', value: 'true' }],
    view.since === undefined ? {} : { 'topclients.dev/shown-since': view.since },
  );

function jobOfPage(
  scope: Construct,
  platform: Platform,
  page: PageName,
  view: ViewId | null,
  more: readonly EnvironmentVariable[],
  annotations: Readonly<Record<string, string>> = {},
): void {
  const { volumes } = databaseAccess(platform, 'migrate', {});
  const env = [
    ...databaseSettings(platform, page),
    { name: 'TC_DELIVERY', value: view?.delivery ?? 'off' },
    ...(view ? [{ name: 'TC_VIEW_VERSION', value: String(view.version) }] : []),
    ...more,
  ];
  const name = view ? `${page}-${view.delivery}-v${view.version}` : page;
  job(scope, platform, name, volumes, env, annotations);
}

/** The settings of `migrate` for a database; of a page only for its own tables. */
export function databaseSettings(
  platform: Platform,
  target: 'source' | 'self-view' | PageName,
): EnvironmentVariable[] {
  const database: DatabaseName = target === 'self-view' ? 'selfView' : target;
  return [
    { name: 'TC_TARGET', value: target },
    ...databaseAccess(platform, 'migrate', { TC_DATABASE_URL: database }).env,
    ...databaseUsers(platform, database),
  ];
}

function job(
  scope: Construct,
  platform: Platform,
  target: string,
  volumes: ReturnType<typeof databaseAccess>['volumes'],
  env: readonly EnvironmentVariable[],
  annotations: Readonly<Record<string, string>> = {},
): void {
  roleJob(scope, platform, {
    name: `top-clients-migrate-${target}`,
    role: 'migrate',
    component,
    instance: target,
    env,
    annotations,
    volumes,
    memory: '192Mi',
    deadlineSeconds: 1_200,
    // Ten tries wait about half an hour for a store; the deadline above ends them.
    retries: 10,
  });
}
