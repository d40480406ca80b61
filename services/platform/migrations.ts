import { readdir, readFile } from 'node:fs/promises';
import type pg from 'pg';
import type { Log } from './log.ts';
import { readVersion } from './version.ts';

// Any constant will do, as long as every migration of this system takes the same one within a database.
const LOCK = 7_461_002_918;

export interface MigrateOptions {
  readonly scope?: string;
  /** Of the program, unless it is this one. */
  readonly version?: string;
  readonly variables?: Readonly<Record<string, string>>;
  readonly records?: string;
}

/** The schema whose table `schema_migration` records what was applied, unless another one is named. */
const RECORDS = 'public';
const recordsIn = (schema: string): string => `"${schema.replaceAll('"', '""')}".schema_migration`;

/**
 * Where migrations are recorded that come to a scope which an earlier version has filled: beside it, because 0.1.0 refuses
 * a scope with one that it does not know. So it runs on later tables after a rollback.
 */
const besideOf = (scope: string): string => `${scope} later`;
const scopesOf = (scope: string): readonly string[] => [scope, besideOf(scope)];
/** The scopes under which the migrations of these are recorded. */
export const recordedScopes = (scopes: readonly string[]): string[] => scopes.flatMap(scopesOf);

/** The earliest version that works on the tables which a migration leaves; null where each does that has them. */
const neededBy = (sql: string): string | null => /^-- needs (\d+\.\d+\.\d+)$/m.exec(sql)?.[1] ?? null;
const isBefore = (version: string, needed: string): boolean =>
  version.localeCompare(needed, 'en', { numeric: true }) < 0;

/**
 * Applies the `NNN-name.sql` files of a folder in order, each in a transaction of its own together with its entry
 * in `schema_migration`. Safe to run twice and from several processes at once: an advisory lock lets one work.
 * Refuses when a file that was applied has changed since. A database that is ahead of the files is left as it is: a version
 * works on the tables of the next. A migration after which that is not so says `-- needs <version>`, and earlier versions
 * refuse it.
 * @param options.variables replaces `:"name"` by the quoted identifier, as psql does; for schema names only
 * @param options.records the schema that keeps the record
 * @returns the names applied now
 */
export async function migrate(
  client: pg.ClientBase,
  folder: URL,
  log: Log,
  options: MigrateOptions = {},
): Promise<string[]> {
  const scope = options.scope ?? 'main';
  const version = options.version ?? readVersion();
  const records = recordsIn(options.records ?? RECORDS);
  const files = (await readdir(folder)).filter((name) => /^\d{3}-[a-z0-9-]+\.sql$/.test(name)).sort();
  await client.query('select pg_advisory_lock($1)', [LOCK]);
  try {
    await client.query(`create table if not exists ${records} (
      scope text not null, name text not null, sql text not null, applied_at timestamptz not null default now(),
      primary key (scope, name))`);
    // 0.1.0 drops a scope's tables and its record, and not the one beside. Made anew they begin with the first migration.
    await client.query(
      `delete from ${records} beside where scope = $2 and not exists (
        select from ${records} where scope = $1 and applied_at <= beside.applied_at)`,
      [scope, besideOf(scope)],
    );
    const { rows } = await client.query<{ name: string; sql: string }>(
      `select name, sql from ${records} where scope = any ($1)`,
      [scopesOf(scope)],
    );
    const applied = new Map(rows.map((row) => [row.name, row.sql]));
    const unknown = rows.filter(({ name }) => !files.includes(name));
    for (const { name, sql } of unknown) {
      const needed = neededBy(sql);
      if (needed === null || !isBefore(version, needed)) continue;
      throw new Error(
        `the database has migration ${scope}/${name}, on which no version before ${needed} works: go forward again to ${needed} or later, or restore a backup from before it`,
      );
    }
    if (unknown.length > 0) {
      log.info({ scope, migrations: unknown.map(({ name }) => name) }, 'the tables are of a later version');
    }
    const isNew = rows.length === 0;
    const now: string[] = [];
    for (const name of files) {
      const sql = (await readFile(new URL(name, folder), 'utf8')).replace(
        /:"(\w+)"/g,
        (_, variable: string) => {
          const value = options.variables?.[variable];
          if (value === undefined) throw new Error(`${name} uses :"${variable}", which was not given`);
          return `"${value.replaceAll('"', '""')}"`;
        },
      );
      const before = applied.get(name);
      if (before === sql) continue;
      if (before !== undefined) {
        throw new Error(`${scope}/${name} has changed since it was applied; add a new migration instead`);
      }
      await client.query('begin');
      try {
        await client.query(sql);
        await client.query(`insert into ${records} (scope, name, sql) values ($1, $2, $3)`, [
          isNew || neededBy(sql) !== null ? scope : besideOf(scope),
          name,
          sql,
        ]);
        await client.query('commit');
      } catch (cause) {
        await client.query('rollback');
        throw new Error(`migration ${scope}/${name} failed: ${(cause as Error).message}`, { cause });
      }
      log.info({ scope, name }, 'migrated');
      now.push(name);
    }
    return now;
  } finally {
    await client.query('select pg_advisory_unlock($1)', [LOCK]);
  }
}

/** Runs `work` while no migration can run; waits for those under way. */
export async function exclusively<T>(client: pg.ClientBase, work: () => Promise<T>): Promise<T> {
  await client.query('select pg_advisory_lock($1)', [LOCK]);
  try {
    return await work();
  } finally {
    await client.query('select pg_advisory_unlock($1)', [LOCK]);
  }
}

/**
 * Drops a schema with all that is in it, and forgets the migrations that made it, together or not at all. Waits for
 * migrations under way. Safe to repeat.
 * @param scopes under which `migrate` filled the schema
 * @returns whether there was anything to remove
 */
export async function dropMigrated(
  client: pg.ClientBase,
  schema: string,
  scopes: readonly string[],
): Promise<boolean> {
  await client.query('select pg_advisory_lock($1)', [LOCK]);
  try {
    await client.query('begin');
    try {
      const { rows } = await client.query<{ stands: boolean; recorded: boolean }>(
        `select to_regnamespace(quote_ident($1)) is not null as stands,
          to_regclass($2) is not null as recorded`,
        [schema, recordsIn(RECORDS)],
      );
      const { stands, recorded } = rows[0]!;
      await client.query(`drop schema if exists "${schema.replaceAll('"', '""')}" cascade`);
      const forgotten = recorded
        ? await client.query(`delete from ${recordsIn(RECORDS)} where scope = any ($1)`, [
            recordedScopes(scopes),
          ])
        : null;
      await client.query('commit');
      return stands || (forgotten?.rowCount ?? 0) > 0;
    } catch (err) {
      await client.query('rollback').catch(() => {});
      throw err;
    }
  } finally {
    await client.query('select pg_advisory_unlock($1)', [LOCK]);
  }
}
