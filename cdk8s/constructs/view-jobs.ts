import type { Construct } from 'constructs';
import type { ViewId } from '../api/page-view.ts';
import { databaseOf, type PageOf, type Platform } from '../platform.ts';
import { databaseAccess, pagePod } from './database-access.ts';
import { kafkaAccess } from './kafka-access.ts';
import { projectorInstance } from './projector.ts';
import { roleJob } from './role-job.ts';
import type { EnvironmentVariable } from './role-pod.ts';
import { viewSettings } from './view-settings.ts';

/**
 * Compares a view with the source over all sellers; the verdict is the termination message of its pod, as JSON.
 * @param attempt after a difference the comparison is repeated, as another job
 */
export function compareViewJob(
  scope: Construct,
  platform: Platform,
  page: PageOf,
  view: ViewId,
  attempt: number,
): void {
  const database = databaseAccess(platform, 'compare-views', {
    TC_SOURCE_DATABASE_URL: 'source',
    TC_DATABASE_URL: databaseOf(page),
  });
  const kafka = kafkaAccess(platform, 'compare-views');
  const pod = pagePod(page);
  roleJob(scope, platform, {
    name: `top-clients-compare-${projectorInstance(page.name, view)}`,
    ...pod,
    annotations: { ...pod.annotations, 'topclients.dev/attempt': String(attempt) },
    role: 'compare-views',
    component: 'compare-views',
    instance: projectorInstance(page.name, view),
    env: [...viewSettings(page.name, view), ...database.env, ...kafka.env],
    volumes: [...database.volumes, ...kafka.volumes],
    // A comparison of 200,000 sellers took up to 300 MB.
    memory: '512Mi',
    deadlineSeconds: 900,
    retries: 3,
  });
}

/**
 * Removes an unused view from its page's database, and confirms it to the receipts of erasures.
 * @param isLast whether the page shows no view: only then may what its read surface shows be removed
 */
export const dropViewJob = (
  scope: Construct,
  platform: Platform,
  page: PageOf,
  view: ViewId,
  isLast: boolean,
): void =>
  dropJob(scope, platform, page, 'drop-view', projectorInstance(page.name, view), [
    ...viewSettings(page.name, view),
    ...(isLast ? [{ name: 'TC_EVEN_IF_SHOWN', value: 'true' }] : []),
  ]);

/** Removes every view from the database of a page that is being deleted, and what else was made there for them. */
export const dropPageJob = (scope: Construct, platform: Platform, page: PageOf): void =>
  dropJob(scope, platform, page, 'drop-page', page.name, [{ name: 'TC_PAGE', value: page.name }]);

function dropJob(
  scope: Construct,
  platform: Platform,
  page: PageOf,
  role: 'drop-view' | 'drop-page',
  instance: string,
  settings: readonly EnvironmentVariable[],
): void {
  const database = databaseAccess(platform, role, {
    TC_DATABASE_URL: databaseOf(page),
    TC_SOURCE_DATABASE_URL: 'source',
  });
  const kafka = kafkaAccess(platform, 'drop-view');
  roleJob(scope, platform, {
    ...pagePod(page),
    name: `top-clients-drop-${instance}`,
    role,
    component: 'drop-view',
    instance,
    env: [
      ...settings,
      ...(page.spec.external ? [{ name: 'TC_EXTERNAL', value: 'true' }] : []),
      ...database.env,
      ...kafka.env,
    ],
    volumes: [...database.volumes, ...kafka.volumes],
    memory: '192Mi',
    deadlineSeconds: 300,
    retries: 5,
  });
}
