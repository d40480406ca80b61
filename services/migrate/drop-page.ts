import { placeOfView } from '#contracts/erasures.ts';
import type { ViewPage } from '#contracts/pages.ts';
import { consumerGroup } from '#contracts/topics.ts';
import { viewSchema } from '#pages/projection.ts';
import { type StandingView, viewsIn } from '#pages/standing-views.ts';
import { VIEW_SETTINGS } from '#pages/view-settings.ts';
import { boolean, setting } from '#platform/config.ts';
import { type Kafka, kafkaSettings, openKafka } from '#platform/kafka/client.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import type { Log } from '#platform/log.ts';
import { dropMigrated } from '#platform/migrations.ts';
import type { Client } from '#platform/postgres.ts';
import { defineRole } from '#role/role.ts';
import { type ErasureBook, postgresErasureBook } from '../top-clients/adapters/postgres/erasure-book.ts';
import { DROP_SETTINGS, openDropSession } from './drop-session.ts';
import { dropView, isDatabaseOf } from './drop-view.ts';
import { dropMade, EXTERNAL_RECORDS, isRecorded } from './external-schemas.ts';
import { pageOfSurface } from './read-surface.ts';

/** A page, and whether its database is somebody else's. */
interface PageToDrop {
  readonly page: ViewPage;
  readonly external: boolean;
}

/**
 * Removes every view of a page from its database, then the read surface, and tells the receipts of erasures in between:
 * as long as the surface stands, a repetition knows that this is the page's database. Safe to repeat.
 * @param book null where nobody is told
 * @returns the views that were removed now
 * @throws ViewInUse, StillUsed
 * @throws Error when receipts wait for views that are not here, nor ever were
 */
export async function dropPage(
  db: Client,
  kafka: Kafka | null,
  book: ErasureBook | null,
  page: PageToDrop,
  waitMs: number,
  log: Log,
): Promise<readonly StandingView[]> {
  // Of another page's views, and of a schema of theirs that is called like ours, nothing is touched.
  const of = await pageOfSurface(db);
  const isHere = (await isDatabaseOf(page.page, page.external, db)) && (of ?? page.page) === page.page;
  const views = isHere ? await viewsOf(page, db) : [];
  for (const { delivery, version } of views) {
    const view = {
      ...page,
      group: consumerGroup(page.page, delivery, version),
      schema: viewSchema(delivery, version),
      evenIfShown: true,
    };
    await dropView(db, kafka, view, waitMs, log);
  }
  const places = (await book?.places(page.page)) ?? [];
  if (!isHere && places.length > 0) {
    throw new Error(
      `the database that TC_DATABASE_URL leads to is not that of the ${page.page} page, whose views ${places.join(', ')} receipts of erasures wait for: set the address back, or leave the views where they are by deletionPolicy Retain`,
    );
  }
  const removed = views.map(({ delivery, version }) => placeOfView(page.page, delivery, version));
  for (const place of new Set([...removed, ...places])) await book?.gone(place);
  if (!isHere) return [];
  if (page.external) await dropMade(db, EXTERNAL_RECORDS, 'surface');
  else await dropMigrated(db, 'top_clients', ['read-surface']);
  return views;
}

/** Those that were made here: a schema of theirs may be called alike. */
async function viewsOf({ external }: PageToDrop, db: Client): Promise<readonly StandingView[]> {
  const views = await viewsIn(db);
  if (!external) return views;
  const made = await Promise.all(
    views.map(({ delivery, version }) => isRecorded(db, viewSchema(delivery, version))),
  );
  return views.filter((_, i) => made[i]);
}

export const role = defineRole({
  name: 'drop-page',
  about:
    'removes all that was made for a page in its database, once nobody keeps its views up any more; safe to repeat',
  settings: {
    page: VIEW_SETTINGS.page,
    databaseUrl: VIEW_SETTINGS.databaseUrl,
    databaseCaFile: VIEW_SETTINGS.databaseCaFile,
    external: setting('TC_EXTERNAL', 'whether it is a page of yours', boolean().default(false)),
    ...DROP_SETTINGS,
  },
  async start(config, context) {
    const { log, metrics } = context;
    installKafkaCodecs(log, metrics);
    const { page, external, brokers, sourceUrl } = config;
    const kafka = brokers ? openKafka('drop-page', kafkaSettings({ ...config, brokers }), log) : null;
    const db = await openDropSession(config.databaseUrl, config.databaseCaFile, context);
    const source = sourceUrl && (await openDropSession(sourceUrl, config.sourceCaFile, context));
    const book = source ? postgresErasureBook(source) : null;
    const removed = await dropPage(db, kafka, book, { page, external }, config.waitMs, log);
    log.info({ page, removed }, 'dropped');
    return 'done';
  },
});
