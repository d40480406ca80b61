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
        `the user ${quoted(me)} may not make schemas in the database ${quoted(database)}: grant create on database ${quoted(database)} to ${quoted(me)}`,
      );
    }
    await db.query(`create schema if not exists ${quoted(schema)}`);
    return;
  }
  if (is_mine !== true) {
    throw new ForeignSchema(
      `the schema ${quoted(schema)} of the database ${quoted(database)} belongs to ${owner}, and not to ${quoted(me)}: rename or drop it, or sign in as its owner`,
    );
  }
  if (holds !== null && !(is_recorded && (what === 'the read surface' || (await isRecorded(db, schema))))) {
    throw new ForeignSchema(
      `the schema ${quoted(schema)} of the database ${quoted(database)} holds what was not made by Top Clients, such as ${quoted(holds)}: rename or drop it`,
    );
  }
}

async function isRecorded(db: Client, scope: string): Promise<boolean> {
  const { rows } = await db.query<{ is: boolean }>(
    'select exists (select from top_clients.schema_migration where scope in ($1, $2)) as is',
    [scope, `${scope}.projection`],
  );
  return rows[0]!.is;
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
