import type { Construct } from 'constructs';
import { PAGE_NAMES, SERVED_PAGES, settingOfPage } from '#contracts/pages.ts';
import { hasDemoData } from '../api/top-clients.ts';
import type { Platform } from '../platform.ts';
import { databaseAccess } from './database-access.ts';
import { databaseSettings } from './migration-job.ts';
import { roleJob } from './role-job.ts';

/**
 * Fills all databases with made-up sellers. It migrates each of them first: it fills the databases of all pages, and a
 * page that is not deployed has no migration job.
 */
export function demoData(scope: Construct, platform: Platform): void {
  const { demoData: wanted } = platform.spec;
  if (!hasDemoData(platform.spec)) return;
  const database = databaseAccess(platform, 'seed', {
    TC_SOURCE_DATABASE_URL: 'source',
    ...Object.fromEntries(PAGE_NAMES.map((page) => [settingOfPage(page, 'DATABASE_URL'), page] as const)),
    TC_SELF_VIEW_DATABASE_URL: 'selfView',
  });
  roleJob(scope, platform, {
    name: 'top-clients-seed',
    role: 'seed',
    component: 'seed',
    after: (['source', ...SERVED_PAGES] as const).map((target) => ({
      role: 'migrate',
      env: [
        ...databaseSettings(platform, target),
        ...(target === 'source' || target === 'self-view' ? [] : [{ name: 'TC_DELIVERY', value: 'off' }]),
      ],
    })),
    env: [{ name: 'TC_SELLERS', value: String(wanted.sellers) }, ...database.env],
    volumes: database.volumes,
    memory: '512Mi',
    deadlineSeconds: 7_200,
    retries: 10,
  });
}
