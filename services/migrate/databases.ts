import type { ServedPage, ViewPage } from '#contracts/pages.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import type { DatabaseUrl } from '#platform/database-url.ts';
import type { Log } from '#platform/log.ts';
import { exclusively, migrate } from '#platform/migrations.ts';
import { type Client, connect } from '#platform/postgres.ts';
import { claimSchema, EXTERNAL_RECORDS } from './external-schemas.ts';
import { grantUsers, type Users } from './grants.ts';
import { assertPage, migrateSurface, showView, type ViewOf } from './read-surface.ts';
import { grantReaders } from './readers.ts';
import { viewScopes } from './view-scopes.ts';

const services = new URL('../', import.meta.url);
const folder = (path: string) => new URL(`${path}/`, services);

/** A page's view is migrated together with the page's own tables; `none` leaves views alone (self-view, off). */
export type ViewToMigrate = { delivery: 'asynchronous' | 'hybrid'; version: number } | 'none';

/** How the owner reaches a database, beside its address, and which users it grants rights to. */
export interface OwnerAccess {
  readonly caFile?: string | undefined;
  /** The users that get the rights they need there; when absent, everybody signs in as the owner. */
  readonly users?: Users;
}

async function withConnection<T>(
  url: string | DatabaseUrl,
  log: Log,
  { caFile }: OwnerAccess,
  work: (client: Awaited<ReturnType<typeof connect>>) => Promise<T>,
): Promise<T> {
  const client = await connect(
    {
      url,
      caFile,
      applicationName: 'migrate',
      statementTimeoutMs: 300_000,
      connectTimeoutMs: 10_000,
      primaryOnly: true,
    },
    (err) => log.error({ err }, 'lost the database'),
  );
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Migrates the database of the source of truth to this version. Safe to repeat and to run concurrently. */
export const migrateSource = (
  url: string | DatabaseUrl,
  log: Log,
  access: OwnerAccess = {},
): Promise<string[]> =>
  withConnection(url, log, access, async (client) => {
    const at = folder('top-clients/adapters/postgres/migrations');
    const applied = await migrate(client, at, log, { scope: 'source' });
    await grantUsers(client, 'source', 'public', access.users ?? {});
    return applied;
  });

/** How long to try again while a long transaction holds the views that a page reads, in ms. */
const SHOW_WITHIN_MS = 60_000;

/**
 * Migrates a page's own tables, and one version of its view, to this version. The first view of a delivery is shown.
 * @param show whether the page is to show the view from now on, instead of what it shows
 */
export const migratePage = (
  page: ServedPage,
  url: string | DatabaseUrl,
  view: ViewToMigrate,
  log: Log,
  access: OwnerAccess = {},
  show = false,
): Promise<string[]> =>
  withConnection(url, log, access, async (client) => {
    const own = page === 'self-view' ? 'seller-portal' : `pages/${page}`;
    const applied = await migrate(client, folder(`${own}/migrations`), log, { scope: page });
    const users = access.users ?? {};
    await grantUsers(client, page === 'self-view' ? 'self-view' : 'page', 'public', users);
    if (page === 'self-view' || view === 'none') return applied;
    return [...applied, ...(await migrateView(client, page, view, log, { users, show }))];
  });

/**
 * Migrates the views of a page of somebody else: schemas of ours in their database, with the records of what was
 * applied, and nothing beside them. One user of theirs owns it all.
 * @param readers roles that may read the surface
 * @throws UnfitDatabase, ForeignSchema, CannotShow, ReaderMissing: each says what to change
 */
export const migrateExternalPage = (
  page: ViewPage,
  url: string | DatabaseUrl,
  view: ViewOf,
  readers: readonly string[],
  log: Log,
  { caFile }: Pick<OwnerAccess, 'caFile'> = {},
  show = false,
): Promise<string[]> =>
  withConnection(url, log, { caFile }, async (client) => {
    await exclusively(client, async () => {
      await claimSchema(client, EXTERNAL_RECORDS, 'the read surface');
      // Before anything is made beside what that page has.
      await assertPage(client, page);
      await claimSchema(client, viewSchema(view.delivery, view.version), 'a view');
    });
    const applied = await migrateView(client, page, view, log, { records: EXTERNAL_RECORDS, show });
    await grantReaders(client, readers);
    return applied;
  });

async function migrateView(
  client: Client,
  page: ViewPage,
  view: ViewOf,
  log: Log,
  {
    users = {},
    show,
    records,
  }: { readonly users?: Users; readonly show: boolean; readonly records?: string },
): Promise<string[]> {
  const schema = viewSchema(view.delivery, view.version);
  const [beside, rows] = viewScopes(schema);
  const recorded = records === undefined ? {} : { records };
  const ofView = { ...recorded, variables: { schema } };
  const applied = [
    ...(await migrate(client, folder('pages/view-migrations'), log, { ...ofView, scope: beside })),
    ...(await migrate(client, projectionsOf(page)[view.delivery].migrations, log, {
      ...ofView,
      scope: rows,
    })),
    ...(await migrate(client, folder('pages/read-surface'), log, { ...recorded, scope: 'read-surface' })),
  ];
  await grantUsers(client, 'view', schema, users);
  await (show ? showView : migrateSurface)(client, page, view, SHOW_WITHIN_MS);
  await grantUsers(client, 'surface', 'top_clients', users);
  return applied;
}
