import { z } from 'zod';
import { PAGE_NAMES, ViewPage } from '#contracts/pages.ts';
import { RANGES } from '#contracts/ranges.ts';
import { databaseUrl, integerIn, setting } from '#platform/config.ts';
import { databaseCaFile } from '#platform/database-tls.ts';

/** Which view, and where it lives. */
export const VIEW_SETTINGS = {
  page: setting('TC_PAGE', `whose view: ${PAGE_NAMES.join(', ')}, or a page of yours`, ViewPage),
  delivery: setting(
    'TC_DELIVERY',
    'which view of the page: asynchronous keeps the lists, hybrid the ids of clients',
    z.enum(['asynchronous', 'hybrid']).default('asynchronous'),
  ),
  viewVersion: setting('TC_VIEW_VERSION', 'version of the view', integerIn(RANGES.view.version)),
  databaseCaFile: databaseCaFile('TC_DATABASE_CA_FILE'),
  databaseUrl: setting('TC_DATABASE_URL', "PostgreSQL address of the page's database", databaseUrl()),
} as const;
