import { placeOfView } from '#contracts/erasures.ts';
import type { ViewPage } from '#contracts/pages.ts';
import { consumerGroup } from '#contracts/topics.ts';
import { viewSchema } from '#pages/projection.ts';
import { VIEW_SETTINGS } from '#pages/view-settings.ts';
import { boolean, setting } from '#platform/config.ts';
import { type Admin, type Kafka, kafkaSettings, openKafka } from '#platform/kafka/client.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { dropMigrated } from '#platform/migrations.ts';
import type { Client, Queryable } from '#platform/postgres.ts';
import { defineRole } from '#role/role.ts';
import { postgresErasureBook } from '../top-clients/adapters/postgres/erasure-book.ts';
import { DROP_SETTINGS, openDropSession } from './drop-session.ts';
import { dropMade } from './external-schemas.ts';
import { hasSurface, hideView } from './read-surface.ts';
import { viewScopes } from './view-scopes.ts';

export interface DroppedView {
  /** False when it did not exist any more. */
  readonly removed: boolean;
  /** False when Kafka was not given, did not know the group, or it had a member again. */
  readonly groupDeleted: boolean;
}

/** Something still keeps the view up; the message names it. */
export class ViewInUse extends Error {
  override name = 'ViewInUse';
}

const LOOK_EVERY_MS = 250;

/**
 * Removes one version of a page's view with its migration records and, where Kafka is given, its consumer group. What
 * the page shows stays. It waits for projectors that are still stopping, and for members of the group, which only
 * projectors of an earlier version are.
 * @param waitMs how long to wait for the last projector to be gone
 * @throws ViewInUse when a projector is still there after that
 * @throws CannotShow when the page shows the view
 */
export async function dropView(
  db: Client,
  kafka: Kafka | null,
  view: {
    readonly page: ViewPage;
    readonly group: string;
    readonly schema: string;
    readonly evenIfShown?: boolean;
    /** Whether the page is somebody else's. */
    readonly external?: boolean;
  },
  waitMs: number,
  log: Log,
): Promise<DroppedView> {
  const admin = kafka?.admin() ?? null;
  await admin?.connect();
  try {
    await untilUnused(db, admin, view.group, waitMs);
    await hideView(db, view.page, view.schema, view.evenIfShown ?? false, waitMs);
    const scopes = viewScopes(view.schema);
    const removed = view.external
      ? await dropMade(db, view.schema, 'view', scopes)
      : await dropMigrated(db, view.schema, scopes);
    return { removed, groupDeleted: admin !== null && (await deleteGroup(admin, view.group, log)) };
  } finally {
    await admin?.disconnect();
  }
}

async function untilUnused(db: Queryable, admin: Admin | null, group: string, waitMs: number): Promise<void> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const users = await usersOf(db, admin, group);
    if (users === null) return;
    if (performance.now() >= deadline) {
      throw new ViewInUse(`${users}; stop the projectors of ${group}, then drop the view again`);
    }
    await pause(LOOK_EVERY_MS);
  }
}

/** A sentence about what keeps the view up; null when nothing does. */
async function usersOf(db: Queryable, admin: Admin | null, group: string): Promise<string | null> {
  const { rows } = await db.query<{ connections: number }>(
    `select count(*) as connections from pg_stat_activity
    where datname = current_database() and application_name = left($1, 63)`,
    [group],
  );
  const { connections } = rows[0]!;
  if (connections > 0) return `a projector writes to the view over ${connections} connections`;
  const members = (await admin?.describeGroups([group]))?.groups[0]?.members.length ?? 0;
  return members > 0 ? `the consumer group of the view has ${members} members` : null;
}

async function deleteGroup(admin: Admin, group: string, log: Log): Promise<boolean> {
  try {
    await admin.deleteGroups([group]);
    return true;
  } catch (err) {
    switch (reasonOf(err, group)) {
      case 'GROUP_ID_NOT_FOUND':
        return false;
      case 'NON_EMPTY_GROUP':
        log.warn({ group }, 'the consumer group has a member again and stays');
        return false;
      default:
        throw err;
    }
  }
}

/** kafkajs throws one error for the request; the error of each group is inside it. */
function reasonOf(err: unknown, group: string): string | undefined {
  const { groups } = err as { groups?: ReadonlyArray<{ groupId: string; error?: { type?: string } }> };
  return groups?.find(({ groupId }) => groupId === group)?.error?.type;
}

/** Whether the tables of the page were ever made in this database. */
export async function isDatabaseOf(page: string, external: boolean, db: Client): Promise<boolean> {
  if (external) return hasSurface(db);
  const { rows } = await db.query<{ there: boolean }>(
    'select exists (select from public.schema_migration where scope = $1) as there',
    [page],
  );
  return rows[0]!.there;
}

export const role = defineRole({
  name: 'drop-view',
  about: "removes one version of a page's view that nobody keeps up any more; safe to repeat",
  settings: {
    ...VIEW_SETTINGS,
    ...DROP_SETTINGS,
    external: setting('TC_EXTERNAL', 'whether it is a page of yours', boolean().default(false)),
    evenIfShown: setting(
      'TC_EVEN_IF_SHOWN',
      'whether to remove it also when it is what the page shows: its readers find no rows afterwards',
      boolean().default(false),
    ),
  },
  async start(config, context) {
    const { log, metrics } = context;
    installKafkaCodecs(log, metrics);
    const { page, external, delivery, viewVersion, brokers, sourceUrl } = config;
    const kafka = brokers && openKafka('drop-view', kafkaSettings({ ...config, brokers }), log);
    const db = await openDropSession(config.databaseUrl, config.databaseCaFile, context);
    const source = sourceUrl && (await openDropSession(sourceUrl, config.sourceCaFile, context));
    const view = {
      page,
      external,
      evenIfShown: config.evenIfShown,
      group: consumerGroup(page, delivery, viewVersion),
      schema: viewSchema(delivery, viewVersion),
    };
    const dropped = await dropView(db, kafka ?? null, view, config.waitMs, log);
    if (source) {
      // The view is absent from any other database too; so that must be the page's database.
      if (!dropped.removed && !(await isDatabaseOf(page, external, db))) {
        throw new Error(
          `the database that TC_DATABASE_URL leads to is not that of the ${page} page: no tables of the page were ever made there`,
        );
      }
      await postgresErasureBook(source).gone(placeOfView(page, delivery, viewVersion));
    }
    log.info({ page, delivery, viewVersion, ...dropped }, dropped.removed ? 'dropped' : 'was gone already');
    return 'done';
  },
});
