import type { Construct } from 'constructs';
import type { Platform } from '../platform.ts';
import { databaseAccess } from './database-access.ts';
import { databaseSettings } from './migration-job.ts';
import { roleJob } from './role-job.ts';

/**
 * Fills all databases with made-up sellers. It first brings each to this version itself: the data does not know
 * which pages are deployed, and a page that is not has no migration of its own.
 */
export function demoData(scope: Construct, platform: Platform): void {
  const { demoData: wanted } = platform.spec;
  if (!wanted.enabled) return;
  const database = databaseAccess(platform, 'seed', {
    TC_SOURCE_DATABASE_URL: 'source',
    TC_GIG_DATABASE_URL: 'gig',
    TC_USER_DATABASE_URL: 'user',
    TC_SEARCH_DATABASE_URL: 'search',
    TC_SELF_VIEW_DATABASE_URL: 'selfView',
  });
  roleJob(scope, platform, {
    name: 'top-clients-seed',
    role: 'seed',
    component: 'seed',
    after: (['source', 'gig', 'user', 'search', 'self-view'] as const).map((target) => ({
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
