import { escapeIdentifier } from 'pg';
import { exclusively, recordedScopes } from '#platform/migrations.ts';
import type { Client } from '#platform/postgres.ts';

/** The schema in a database of somebody else that holds the read surface, and the records of migrations. */
export const EXTERNAL_RECORDS = 'top_clients';

/** A schema that we need cannot be ours; the message says what to change. */
export class ForeignSchema extends Error {
  override name = 'ForeignSchema';
}

/**
 * Makes a schema, or finds it as one that was made here before.
 * @param what it is to hold
 * @throws ForeignSchema when it is another role's, holds what was not made here, or cannot be made
 */
export async function claimSchema(
  db: Client,
  schema: string,
  what: 'the read surface' | 'a view',
): Promise<void> {
  const { rows } = await db.query<{
    me: string;
    database: string;
    owner: string | null;
    is_mine: boolean | null;
    may_create: boolean;
    is_recorded: boolean;
    holds: string | null;
  }>(
    `select current_user as me, current_database() as database, nspowner::regrole::text as owner,
      pg_has_role(nspowner, 'usage') as is_mine, has_database_privilege(current_database(), 'create') as may_create,
      exists (select from pg_class join pg_namespace as records on records.oid = relnamespace
        where records.nspname = 'top_clients' and relname = 'schema_migration') as is_recorded,
      (select min(relname) from pg_class where relnamespace = space.oid) as holds
    from (select) as one left join pg_namespace as space on nspname = $1`,
    [schema],
  );
  const { me, database, owner, is_mine, may_create, is_recorded, holds } = rows[0]!;
  if (owner === null) {
    if (!may_create) {
      throw new ForeignSchema(
        `the user ${escapeIdentifier(me)} may not make schemas in the database ${escapeIdentifier(database)}: grant create on database ${escapeIdentifier(database)} to ${escapeIdentifier(me)}`,
      );
    }
    await db.query(`create schema if not exists ${escapeIdentifier(schema)}`);
    return;
  }
  if (is_mine !== true) {
    throw new ForeignSchema(
      `the schema ${escapeIdentifier(schema)} of the database ${escapeIdentifier(database)} belongs to ${owner}, and not to ${escapeIdentifier(me)}: rename or drop it, or sign in as its owner`,
    );
  }
  if (holds !== null && !(is_recorded && (what === 'the read surface' || (await isRecorded(db, schema))))) {
    throw new ForeignSchema(
      `the schema ${escapeIdentifier(schema)} of the database ${escapeIdentifier(database)} holds what was not made by Top Clients, such as ${escapeIdentifier(holds)}: rename or drop it`,
    );
  }
}

/** What is ours in a schema of ours. `external-page.spec.ts` holds that nothing is missing here. */
const MADE = {
  view: {
    views: [],
    tables: ['top_clients', 'checkpoint', 'parked', 'trace', 'erased', 'page_server', 'topic'],
    routines: [
      ...['tell_of_changes', 'tell_of_truncation', 'tell_page_servers'],
      ...['notify_of_changes', 'notify_of_truncation', 'notify_page_servers'],
    ],
  },
  surface: {
    views: ['lists', 'client_ids', 'status', 'trace', 'erased', 'page_server'],
    tables: ['shown', 'surface', 'reader', 'schema_migration'],
    routines: [],
  },
} as const;

/** What is to be removed is used by something of theirs; the message names it. */
export class StillUsed extends Error {
  override name = 'StillUsed';
}

/** `dependent_objects_still_exist` */
const USED = '2BP01';

/**
 * Removes what we made in a schema, and the schema itself unless theirs is left in it: never anything of theirs, also not
 * what they built on ours. Safe to repeat.
 * @param records of which scopes are to be forgotten
 * @returns whether there was anything to remove
 * @throws StillUsed
 */
export const dropMade = (
  db: Client,
  schema: string,
  of: keyof typeof MADE,
  records: readonly string[] = [],
): Promise<boolean> =>
  exclusively(db, async () => {
    const { views, tables, routines } = MADE[of];
    const all = (names: readonly string[]) =>
      names.map((name) => `${escapeIdentifier(schema)}.${name}`).join(', ');
    const { rows } = await db.query<{ is_there: boolean; is_recorded: boolean }>(
      `select to_regnamespace(quote_ident($1)) is not null as is_there,
        to_regclass('${EXTERNAL_RECORDS}.schema_migration') is not null as is_recorded`,
      [schema],
    );
    const { is_there, is_recorded } = rows[0]!;
    await db.query('begin');
    try {
      if (is_recorded && records.length > 0)
        await db.query(`delete from ${EXTERNAL_RECORDS}.schema_migration where scope = any ($1)`, [
          recordedScopes(records),
        ]);
      if (is_there) {
        if (views.length > 0) await db.query(`drop view if exists ${all(views)}`);
        await db.query(`drop table if exists ${all(tables)}`);
        if (routines.length > 0) await db.query(`drop routine if exists ${all(routines)}`);
        await db.query('savepoint emptied');
        try {
          await db.query(`drop schema ${escapeIdentifier(schema)}`);
        } catch (err) {
          if ((err as { code?: unknown }).code !== USED) throw err;
          await db.query('rollback to savepoint emptied');
        }
      }
      await db.query('commit');
      return is_there;
    } catch (err) {
      await db.query('rollback').catch(() => {});
      const { code, detail } = err as { code?: unknown; detail?: string };
      if (code !== USED) throw err;
      throw new StillUsed(
        `the schema ${escapeIdentifier(schema)} is used by something of yours: ${detail}; drop that first`,
        { cause: err },
      );
    }
  });

/** Whether a view was made here, as its schema's migrations tell. */
export async function isRecorded(db: Client, scope: string): Promise<boolean> {
  const { rows } = await db.query<{ is: boolean }>(
    'select exists (select from top_clients.schema_migration where scope in ($1, $2)) as is',
    [scope, `${scope}.projection`],
  );
  return rows[0]!.is;
}
