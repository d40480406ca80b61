import { escapeIdentifier } from 'pg';
import type { Client } from '#platform/postgres.ts';

/** A role that is to read does not exist; the message says what to do. */
export class ReaderMissing extends Error {
  override name = 'ReaderMissing';
}

/** What a page of somebody else reads; the rest of the schema is ours. */
const READ = 'top_clients.lists, top_clients.client_ids, top_clients.status';

/**
 * Lets roles of the page's owner read the surface, and takes that back from those it let before and that are not named
 * any more. What others have granted stays. Safe to repeat.
 * @param db signed in as the owner of the surface, within a transaction or not
 * @throws ReaderMissing
 */
export async function grantReaders(db: Client, roles: readonly string[]): Promise<void> {
  const { rows } = await db.query<{ name: string; is_there: boolean; is_granted: boolean }>(
    `select name, exists (select from pg_roles where rolname = name) as is_there, reader.name is not null as is_granted
    from unnest($1::text[]) as wanted (name) full join top_clients.reader using (name)`,
    [roles],
  );
  const wanted = new Set(roles);
  const missing = rows.filter(({ name, is_there }) => wanted.has(name) && !is_there);
  if (missing.length > 0) {
    const names = missing.map(({ name }) => escapeIdentifier(name)).join(', ');
    throw new ReaderMissing(
      `the database has no role ${names}: create it (create role … login), or take it out of external.readerRoles`,
    );
  }
  for (const { name, is_there } of rows.filter((one) => one.is_granted && !wanted.has(one.name))) {
    if (is_there) {
      await db.query(`revoke select on ${READ} from ${escapeIdentifier(name)}`);
      await db.query(`revoke usage on schema top_clients from ${escapeIdentifier(name)}`);
    }
    await db.query('delete from top_clients.reader where name = $1', [name]);
  }
  for (const name of roles) {
    await db.query(`grant usage on schema top_clients to ${escapeIdentifier(name)}`);
    await db.query(`grant select on ${READ} to ${escapeIdentifier(name)}`);
    await db.query('insert into top_clients.reader (name) values ($1) on conflict do nothing', [name]);
  }
}
