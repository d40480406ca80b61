import type { DatabaseUser } from '#contracts/database-users.ts';
import { exclusively } from '#platform/migrations.ts';
import type { Client } from '#platform/postgres.ts';
import { SOURCE_GRANTS } from '../top-clients/adapters/postgres/grants.ts';

const READ = 'select';
const WRITE = 'select, insert, update, delete';

/**
 * A user's rights by object: a table's name, `sequence <name>`, `function <name>` where it exists, `database`, or `*`
 * for every table of the schema, also those of later versions.
 */
type Rights = Readonly<Record<string, string>>;

/**
 * The rights of each user, by the kind of schema; those on the source's tables are in `SOURCE_GRANTS`. Only the owner
 * may use a table that is not listed. Names are of tables within the schema.
 */
export const GRANTS = {
  /** The database of the source of truth. */
  source: SOURCE_GRANTS,
  /** A page's own tables. */
  page: {
    page: {
      '*': READ,
      'function search_listings': 'execute',
      'function score_band': 'execute',
      'function least_score': 'execute',
      'function banded_words': 'execute',
      // Page servers of the release before call these.
      'function find_listings': 'execute',
      'function count_listings': 'execute',
    },
  },
  /** The self-view's tables, which keep what its sellers changed. */
  'self-view': { page: { '*': WRITE } },
  /** What a page reads, whichever version of its view is shown. */
  surface: {
    page: {
      lists: READ,
      client_ids: READ,
      status: READ,
      shown: READ,
      trace: READ,
      erased: READ,
      page_server: 'select, insert, update',
    },
  },
  /** One version of a page's view, in a schema of its own. Page servers of the release before read it themselves. */
  view: {
    page: { top_clients: READ, trace: READ, erased: READ, page_server: 'select, insert, update' },
    projector: {
      top_clients: WRITE,
      checkpoint: WRITE,
      topic: 'select, insert, update',
      parked: WRITE,
      trace: WRITE,
    },
    // The watcher compares with rows that it writes into a temporary table.
    watcher: {
      top_clients: READ,
      checkpoint: READ,
      parked: READ,
      erased: 'select, insert, delete',
      page_server: 'select, delete',
      database: 'temporary',
    },
  },
} as const satisfies Readonly<Record<string, Readonly<Partial<Record<DatabaseUser, Rights>>>>>;
export type Place = keyof typeof GRANTS;

/** The names of users in a database. A role that is not listed has no user of its own, and signs in as the owner. */
export type Users = Readonly<Partial<Record<DatabaseUser, string>>>;

/** A user that needs rights does not exist yet; the message says how to create it. */
export class UserMissing extends Error {
  override name = 'UserMissing';
}

/** The owner may not grant what a user needs, of which PostgreSQL only warns; the message says who must grant what. */
export class GrantRefused extends Error {
  override name = 'GrantRefused';
}

/**
 * Grants users what they need in a schema, and revokes what they no longer need, in one transaction: nobody at work
 * meanwhile has less than it needs. Safe to repeat and to run concurrently.
 * @param db signed in as the owner of the schema
 * @throws UserMissing when a user of that name does not exist
 * @throws GrantRefused when somebody else has to grant something
 */
export async function grantUsers(db: Client, place: Place, schema: string, users: Users): Promise<void> {
  const rights: Readonly<Partial<Record<DatabaseUser, Rights>>> = GRANTS[place];
  const { rows } = await db.query<{ me: string; database: string }>(
    'select current_user as me, current_database() as database',
  );
  const { me, database } = rows[0]!;
  // The owner has all rights, and would lose them by the revokes below.
  const named = (Object.entries(users) as [DatabaseUser, string][]).filter(([, name]) => name !== me);
  const grants = named.flatMap(([user, name]) => {
    const wanted = rights[user];
    return wanted === undefined ? [] : [{ user, name, wanted }];
  });
  if (grants.length === 0) return;
  await expectUsers(db, grants);
  const within = quoted(schema);
  await exclusively(db, async () => {
    await db.query('begin');
    try {
      const { tables, sequences } = await ownIn(db, schema);
      for (const name of new Set(grants.map((one) => one.name))) {
        const to = quoted(name);
        if (tables.length > 0) await db.query(`revoke all on table ${tables.join(', ')} from ${to}`);
        if (sequences.length > 0) await db.query(`revoke all on sequence ${sequences.join(', ')} from ${to}`);
        await db.query(`alter default privileges in schema ${within} revoke all on tables from ${to}`);
        // Granted although PostgreSQL's default allows it to everybody: an administrator may have revoked that.
        await db.query(`grant connect on database ${quoted(database)} to ${to}`);
        await db.query(`grant usage on schema ${within} to ${to}`);
      }
      for (const { name, wanted } of grants) {
        for (const [object, privileges] of Object.entries(wanted)) {
          await grantOn(db, { database, schema }, object, privileges, quoted(name));
        }
      }
      await expectGranted(db, { database, schema }, grants);
      await db.query('commit');
    } catch (err) {
      await db.query('rollback').catch(() => {});
      throw err;
    }
  });
}

/**
 * The owner's tables and sequences in a schema, quoted. An administrator may have tables, views of extensions and
 * sequences there too. Only their owners can revoke rights on those, and to try would end the migration.
 */
async function ownIn(db: Client, schema: string) {
  const { rows } = await db.query<{ name: string; is_sequence: boolean }>(
    `select relname as name, relkind = 'S' as is_sequence from pg_class
    where relnamespace = to_regnamespace(quote_ident($1)) and relkind = any ('{r,p,v,m,f,S}')
      and pg_has_role(relowner, 'usage')`,
    [schema],
  );
  const names = (sequences: boolean) =>
    rows
      .filter(({ is_sequence }) => is_sequence === sequences)
      .map(({ name }) => `${quoted(schema)}.${quoted(name)}`);
  return { tables: names(false), sequences: names(true) };
}

async function grantOn(
  db: Client,
  { database, schema }: { readonly database: string; readonly schema: string },
  object: string,
  privileges: string,
  to: string,
): Promise<void> {
  const within = quoted(schema);
  if (object === '*') {
    await db.query(`alter default privileges in schema ${within} grant ${privileges} on tables to ${to}`);
    const { rows } = await db.query<{ name: string }>(
      `select tablename as name from pg_tables
      where schemaname = $1 and tablename <> 'schema_migration' and pg_has_role(tableowner, 'usage')`,
      [schema],
    );
    for (const { name } of rows) await db.query(`grant ${privileges} on ${within}.${quoted(name)} to ${to}`);
    return;
  }
  const [, name] = /^function (.+)$/.exec(object) ?? [];
  if (name !== undefined) {
    const { rows } = await db.query<{ signature: string }>(
      `select oid::regprocedure::text as signature from pg_proc
      where pronamespace = to_regnamespace(quote_ident($1)) and proname = $2 and pg_has_role(proowner, 'usage')`,
      [schema, name],
    );
    // Granted although PostgreSQL's default allows it to everybody: an administrator may have revoked that.
    for (const { signature } of rows) await db.query(`grant ${privileges} on routine ${signature} to ${to}`);
    return;
  }
  const [, sequence] = /^sequence (.+)$/.exec(object) ?? [];
  const what =
    object === 'database'
      ? `database ${quoted(database)}`
      : sequence === undefined
        ? `table ${within}.${quoted(object)}`
        : `sequence ${within}.${quoted(sequence)}`;
  await db.query(`grant ${privileges} on ${what} to ${to}`);
}

/** A grant on somebody else's object is only a warning when the owner has a right on it. */
async function expectGranted(
  db: Client,
  { database, schema }: { readonly database: string; readonly schema: string },
  grants: readonly { readonly name: string; readonly wanted: Rights }[],
): Promise<void> {
  const needs = grants.flatMap(({ name, wanted }) => [
    { name, right: 'connect', on: `database ${quoted(database)}` },
    { name, right: 'usage', on: `schema ${quoted(schema)}` },
    ...(wanted['database'] ?? '')
      .split(', ')
      .filter((right) => right !== '')
      .map((right) => ({ name, right, on: `database ${quoted(database)}` })),
  ]);
  const { rows } = await db.query<{ at: number }>(
    `select at::integer from unnest($1::text[], $2::text[], $3::boolean[]) with ordinality as need (name, privilege, on_schema, at)
    where not case when on_schema then has_schema_privilege(name, $4, privilege)
      else has_database_privilege(name, current_database(), privilege) end`,
    [
      needs.map(({ name }) => name),
      needs.map(({ right }) => right),
      needs.map(({ on }) => on.startsWith('schema')),
      schema,
    ],
  );
  if (rows.length === 0) return;
  const lacking = rows.map(({ at }) => needs[at - 1]!);
  const statements = lacking.map(({ name, right, on }) => `grant ${right} on ${on} to ${quoted(name)}`);
  throw new GrantRefused(
    `the owner of the tables may not give users what they need; have an administrator run: ${[...new Set(statements)].join('; ')}`,
  );
}

async function expectUsers(
  db: Client,
  grants: readonly { readonly user: DatabaseUser; readonly name: string }[],
): Promise<void> {
  const { rows } = await db.query<{ name: string }>(
    'select rolname as name from pg_roles where rolname = any ($1)',
    [grants.map(({ name }) => name)],
  );
  const there = new Set(rows.map(({ name }) => name));
  const missing = grants.filter(({ name }) => !there.has(name));
  if (missing.length === 0) return;
  throw new UserMissing(
    missing
      .map(
        ({ user, name }) =>
          `the database has no user ${quoted(name)}; create it (create role ${quoted(name)} login password '…') and migrate again, or leave TC_${user.toUpperCase()}_USER away`,
      )
      .join('; '),
  );
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
