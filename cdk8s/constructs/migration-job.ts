import type { Construct } from 'constructs';
import type { PageName } from '#contracts/pages.ts';
import type { ViewId } from '../api/page-view.ts';
import { replicationOf } from '../api/top-clients.ts';
import { type DatabaseOf, databaseOf, type PageOf, type Platform, type SwitchedTo } from '../platform.ts';
import { type DatabaseAccess, databaseAccess, databaseUsers, pagePod } from './database-access.ts';
import { kafkaAccess } from './kafka-access.ts';
import { roleJob } from './role-job.ts';
import type { EnvironmentVariable, Volume } from './role-pod.ts';

const component = 'migrate';

/** Creates the topic, or changes its settings to ours. Not used when the topic is a `KafkaTopic` or not ours. */
export function topicJob(scope: Construct, platform: Platform): void {
  const { kafka } = platform.spec;
  if (kafka.mode === 'strimzi' || (kafka.mode === 'external' && !kafka.external.createTopic)) return;
  const access = kafkaAccess(platform, 'migrate');
  job(scope, platform, 'topics', access.volumes, [
    { name: 'TC_TARGET', value: 'topics' },
    { name: 'TC_PARTITIONS', value: String(kafka.partitions) },
    { name: 'TC_REPLICATION', value: String(replicationOf(kafka)) },
    ...access.env,
  ]);
}

/** Migrates a database without views. */
export const databaseJob = (scope: Construct, platform: Platform, target: 'source' | 'self-view'): void => {
  const { env, volumes } = settingsOf(platform, target, target === 'self-view' ? 'selfView' : target);
  job(scope, platform, target, volumes, env);
};

/** Migrates a page's own tables and, unless null, a view beside them. */
export const pageJob = (scope: Construct, platform: Platform, page: PageOf, view: ViewId | null): void =>
  jobOfPage(scope, platform, page, view, []);

/** Migrates a view, and has the page show it instead of another one: a view that is shown again is another job. */
export const shownViewJob = (scope: Construct, platform: Platform, page: PageOf, view: SwitchedTo): void =>
  jobOfPage(scope, platform, page, view, [{ name: 'TC_SHOW', value: 'true' }], {
    'topclients.dev/shown-since': view.since,
  });

function jobOfPage(
  scope: Construct,
  platform: Platform,
  page: PageOf,
  view: ViewId | null,
  more: readonly EnvironmentVariable[],
  annotations: Readonly<Record<string, string>> = {},
): void {
  const { external } = page.spec;
  const access = settingsOf(platform, page.name, databaseOf(page));
  const env = [
    ...access.env,
    { name: 'TC_DELIVERY', value: view?.delivery ?? 'off' },
    ...(view ? [{ name: 'TC_VIEW_VERSION', value: String(view.version) }] : []),
    ...(external ? [{ name: 'TC_EXTERNAL', value: 'true' }] : []),
    ...(external && external.readerRoles.length > 0
      ? [{ name: 'TC_READER_ROLES', value: external.readerRoles.join(',') }]
      : []),
    ...more,
  ];
  const target = view ? `${page.name}-${view.delivery}-v${view.version}` : page.name;
  const pod = pagePod(page);
  job(scope, platform, target, access.volumes, env, {
    ...pod,
    annotations: { ...pod.annotations, ...annotations },
  });
}

/** The settings of `migrate` for a database of ours; of a page only for its own tables. */
export const databaseSettings = (
  platform: Platform,
  target: 'source' | 'self-view' | PageName,
): readonly EnvironmentVariable[] =>
  settingsOf(platform, target, target === 'self-view' ? 'selfView' : target).env;

function settingsOf(platform: Platform, target: string, database: DatabaseOf): DatabaseAccess {
  const { env, volumes } = databaseAccess(platform, 'migrate', { TC_DATABASE_URL: database });
  return {
    env: [{ name: 'TC_TARGET', value: target }, ...env, ...databaseUsers(platform, database)],
    volumes,
  };
}

function job(
  scope: Construct,
  platform: Platform,
  target: string,
  volumes: readonly Volume[],
  env: readonly EnvironmentVariable[],
  pod: ReturnType<typeof pagePod> = {},
): void {
  roleJob(scope, platform, {
    ...pod,
    name: `top-clients-migrate-${target}`,
    role: 'migrate',
    component,
    instance: target,
    env,
    volumes,
    memory: '192Mi',
    deadlineSeconds: 1_200,
    // Ten tries wait about half an hour for a store; the deadline above ends them.
    retries: 10,
  });
}
