import type { Construct } from 'constructs';
import type { PageName } from '#contracts/pages.ts';
import type { ViewId } from '../api/page-view.ts';
import type { Platform } from '../platform.ts';
import { databaseAccess } from './database-access.ts';
import { kafkaAccess } from './kafka-access.ts';
import { projectorInstance } from './projector.ts';
import { roleJob } from './role-job.ts';
import { viewSettings } from './view-settings.ts';

/**
 * Compares a view with the source over all sellers; the verdict is the termination message of its pod, as JSON.
 * @param attempt after a difference the comparison is repeated, as another job
 */
export function compareViewJob(
  scope: Construct,
  platform: Platform,
  page: PageName,
  view: ViewId,
  attempt: number,
): void {
  const database = databaseAccess(platform, 'compare-views', {
    TC_SOURCE_DATABASE_URL: 'source',
    TC_DATABASE_URL: page,
  });
  const kafka = kafkaAccess(platform, 'compare-views');
  roleJob(scope, platform, {
    name: `top-clients-compare-${projectorInstance(page, view)}`,
    annotations: { 'topclients.dev/attempt': String(attempt) },
    role: 'compare-views',
    component: 'compare-views',
    instance: projectorInstance(page, view),
    env: [...viewSettings(page, view), ...database.env, ...kafka.env],
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
export function dropViewJob(
  scope: Construct,
  platform: Platform,
  page: PageName,
  view: ViewId,
  isLast: boolean,
): void {
  const database = databaseAccess(platform, 'drop-view', {
    TC_DATABASE_URL: page,
    TC_SOURCE_DATABASE_URL: 'source',
  });
  const kafka = kafkaAccess(platform, 'drop-view');
  roleJob(scope, platform, {
    name: `top-clients-drop-${projectorInstance(page, view)}`,
    role: 'drop-view',
    component: 'drop-view',
    instance: projectorInstance(page, view),
    env: [
      ...viewSettings(page, view),
      ...(isLast ? [{ name: 'TC_EVEN_IF_SHOWN', value: 'true' }] : []),
      ...database.env,
      ...kafka.env,
    ],
    volumes: [...database.volumes, ...kafka.volumes],
    memory: '192Mi',
    deadlineSeconds: 300,
    retries: 5,
  });
}
