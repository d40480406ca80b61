import type { ViewPage } from '#contracts/pages.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { pause } from '#platform/lifecycle.ts';
import { exclusively } from '#platform/migrations.ts';
import type { Client } from '#platform/postgres.ts';

/** A version of a page's view. */
export interface ViewOf {
  readonly delivery: 'asynchronous' | 'hybrid';
  readonly version: number;
}

/** The read surface cannot be made so; the message says what to do. */
export class CannotShow extends Error {
  override name = 'CannotShow';
}

/**
 * How long replacing a view waits for those who read it, in ms: new readers wait behind it. For all views together that is
 * shorter than PostgreSQL's deadlock timeout (1 s), so that it is never a reader whose statement is ended.
 */
const LOCK_TIMEOUT_MS = 100;
const TRY_AGAIN_MS = 500;
/** `lock_not_available` and `deadlock_detected`. */
const HELD_UP = new Set<unknown>(['55P03', '40P01']);

/**
 * Shows a view through the read surface of its page's database, in one transaction: a statement reads either what was
 * shown before or this. Whoever caches rows is notified. Safe to repeat.
 * @param db signed in as the owner of the page's schemas
 * @param waitMs for how long to try again while others hold what was shown before
 * @throws CannotShow when the view does not stand, or was held up for all that time
 */
export const showView = (db: Client, page: ViewPage, view: ViewOf, waitMs: number): Promise<void> =>
  change(db, page, waitMs, async () => {
    await setShown(db, page, view);
    await db.query('update top_clients.surface set delivery = $1', [view.delivery]);
  });

/**
 * Brings the read surface to this version after a view was migrated. The first view of a delivery is shown, and of the
 * first one the delivery becomes the page's. Safe to repeat.
 */
export const migrateSurface = (db: Client, page: ViewPage, view: ViewOf, waitMs: number): Promise<void> =>
  change(db, page, waitMs, async () => {
    const schema = viewSchema(view.delivery, view.version);
    const shown = await shownSchema(db, view.delivery);
    if (shown === null) await setShown(db, page, view);
    else await setTriggers(db, schema, schema === shown);
    await db.query('update top_clients.surface set delivery = $1 where delivery is null', [view.delivery]);
  });

async function setShown(db: Client, page: ViewPage, { delivery, version }: ViewOf): Promise<void> {
  const schema = viewSchema(delivery, version);
  if (!(await stands(db, schema))) {
    const settings = `--target ${page} --delivery ${delivery} --view-version ${version}`;
    throw new CannotShow(`there is no view ${schema} in this database; run migrate ${settings} first`);
  }
  const before = await shownSchema(db, delivery);
  if (before !== null && before !== schema) await setTriggers(db, before, false);
  await setTriggers(db, schema, true);
  await db.query(
    `insert into top_clients.shown as before (delivery, view_version, schema_name) values ($1, $2, $3)
    on conflict (delivery) do update
      set view_version = excluded.view_version, schema_name = excluded.schema_name, shown_at = now()
      where before.view_version <> excluded.view_version`,
    [delivery, version, schema],
  );
}

async function shownSchema(db: Client, delivery: ViewOf['delivery']): Promise<string | null> {
  const { rows } = await db.query<{ schema_name: string }>(
    'select schema_name from top_clients.shown where delivery = $1',
    [delivery],
  );
  return rows[0]?.schema_name ?? null;
}

async function stands(db: Client, schema: string): Promise<boolean> {
  const { rows } = await db.query<{ stands: boolean }>('select to_regclass($1) is not null as stands', [
    `${schema}.top_clients`,
  ]);
  return rows[0]!.stands;
}

/** Only the triggers of what is shown notify. Changing them waits for writers under way, who would notify nobody. */
async function setTriggers(db: Client, schema: string, notify: boolean): Promise<void> {
  const { rows } = await db.query<{ name: string }>(
    `select tgname as name from pg_trigger
    where tgrelid = to_regclass($1) and tgname like 'notify_of_%' and (tgenabled <> 'D') <> $2`,
    [`${schema}.top_clients`, notify],
  );
  for (const { name } of rows)
    await db.query(`alter table ${schema}.top_clients ${notify ? 'enable' : 'disable'} trigger ${name}`);
}

/** Whether a database has a read surface: before its first view, and of the release before, it has none. */
export async function hasSurface(db: Client): Promise<boolean> {
  const { rows } = await db.query<{ has: boolean }>(
    "select to_regclass('top_clients.surface') is not null as has",
  );
  return rows[0]!.has;
}

/**
 * Takes a view out of the read surface before its schema is removed.
 * @param evenIfShown whether the page may show nothing afterwards
 * @throws CannotShow when it is what the page shows
 */
export async function hideView(
  db: Client,
  page: ViewPage,
  schema: string,
  evenIfShown: boolean,
  waitMs: number,
): Promise<void> {
  if (!(await hasSurface(db))) return;
  await change(db, page, waitMs, async () => {
    const { rows } = await db.query<{ is_current: boolean }>(
      `delete from top_clients.shown where schema_name = $1
      returning delivery = (select delivery from top_clients.surface) as is_current`,
      [schema],
    );
    if (rows[0]?.is_current !== true) return;
    if (!evenIfShown)
      throw new CannotShow(`${schema} is what the ${page} page shows; have it show another one first`);
    await db.query('update top_clients.surface set delivery = null');
  });
}

/** Changes what is shown, and has the views follow, in one transaction. */
async function change(db: Client, page: ViewPage, waitMs: number, work: () => Promise<void>): Promise<void> {
  const deadline = performance.now() + waitMs;
  const attempt = async () => {
    await db.query('begin');
    try {
      await db.query(`set local lock_timeout = '${LOCK_TIMEOUT_MS}ms'`);
      await assertPage(db, page);
      await db.query('update top_clients.surface set page = $1 where page is null', [page]);
      await work();
      await replaceViews(db, page);
      await db.query('commit');
    } catch (err) {
      await db.query('rollback').catch(() => {});
      throw err;
    }
  };
  for (;;) {
    try {
      return await exclusively(db, attempt);
    } catch (err) {
      if (!HELD_UP.has((err as { code?: unknown }).code)) throw err;
      if (performance.now() >= deadline) {
        const who = 'a transaction that has read or written it stays open (pg_stat_activity shows which)';
        throw new CannotShow(`what the ${page} page shows could not be replaced: ${who}`, { cause: err });
      }
    }
    await pause(TRY_AGAIN_MS);
  }
}

/** Whose views a database keeps: null while it has no read surface, or one that no page has yet. */
export async function pageOfSurface(db: Client): Promise<string | null> {
  if (!(await hasSurface(db))) return null;
  // Through JSON, because the release before had no such column.
  const { rows } = await db.query<{ page: string | null }>(
    "select to_jsonb(surface) ->> 'page' as page from top_clients.surface",
  );
  return rows[0]?.page ?? null;
}

/** @throws CannotShow when a database keeps the views of another page, which would go with this one */
export async function assertPage(db: Client, page: ViewPage): Promise<void> {
  const of = (await pageOfSurface(db)) ?? page;
  if (of !== page) {
    throw new CannotShow(
      `this database keeps the views of the ${of} page already; give the ${page} page a database of its own`,
    );
  }
}

type Schemas = Readonly<Partial<Record<'asynchronous' | 'hybrid', string>>>;

/** Makes the views anew when they are not as the tables want them, and notifies whoever caches their rows. */
async function replaceViews(db: Client, page: ViewPage): Promise<void> {
  const { rows } = await db.query<{
    delivery: 'asynchronous' | 'hybrid' | null;
    definition: string;
    schemas: Schemas;
  }>(
    `select delivery, definition,
      (select coalesce(json_object_agg(delivery, schema_name), '{}') from top_clients.shown) as schemas
    from top_clients.surface`,
  );
  const { delivery, definition, schemas } = rows[0]!;
  const wanted = definitionOf(page, delivery, schemas);
  if (wanted === definition) return;
  await db.query(wanted);
  await db.query('update top_clients.surface set definition = $1', [wanted]);
  await db.query("select pg_notify('top_clients', '*')");
}

/** Column → type, as they are for good: `create or replace view` may only add some at the end. */
type Columns = Readonly<Record<string, string>>;
const LISTS: Columns = {
  seller_id: 'bigint',
  version: 'bigint',
  committed_at: 'timestamptz',
  clients: 'json',
  total: 'integer',
};
const CLIENT_IDS: Columns = {
  seller_id: 'bigint',
  version: 'bigint',
  committed_at: 'timestamptz',
  client_ids: 'uuid[]',
};
const APPLIED: Columns = { newest_commit: 'timestamptz', applied_at: 'timestamptz' };
/** Of the shown view, for our own page servers. */
const TRACE: Columns = {
  seller_id: 'bigint',
  version: 'bigint',
  traceparent: 'text',
  noted_at: 'timestamptz',
};
const ERASED: Columns = { id: 'bigint', erasure_id: 'uuid', seller_id: 'bigint', at: 'timestamptz' };
const PAGE_SERVER: Columns = { id: 'uuid', forgot_through: 'bigint', seen_at: 'timestamptz' };

const noRows = (columns: Columns): string =>
  `select ${Object.entries(columns)
    .map(([name, type]) => `null::${type} as ${name}`)
    .join(', ')} where false`;

function definitionOf(page: ViewPage, delivery: 'asynchronous' | 'hybrid' | null, schemas: Schemas): string {
  const projections = projectionsOf(page);
  const { asynchronous, hybrid } = schemas;
  const shown = delivery === null ? undefined : schemas[delivery];
  const of = (schema: string | undefined, table: string, columns: Columns, select?: string) =>
    schema === undefined
      ? noRows(columns)
      : `select ${select ?? Object.keys(columns).join(', ')} from ${schema}.${table}`;
  const views = {
    lists: of(asynchronous, 'top_clients', LISTS, projections.asynchronous.surface),
    client_ids: of(hybrid, 'top_clients', CLIENT_IDS, projections.hybrid.surface),
    status: `select surface.delivery, shown.view_version, applied.newest_commit, applied.applied_at
      from top_clients.surface left join top_clients.shown using (delivery) left join (${
        shown === undefined
          ? noRows(APPLIED)
          : `select max(committed_at) as newest_commit, max(updated_at) as applied_at from ${shown}.checkpoint`
      }) as applied on true`,
    trace: of(shown, 'trace', TRACE),
    erased: of(asynchronous, 'erased', ERASED),
    page_server: of(asynchronous, 'page_server', PAGE_SERVER),
  };
  return Object.entries(views)
    .map(([name, select]) => `create or replace view top_clients.${name} as ${select}`)
    .join(';\n');
}
