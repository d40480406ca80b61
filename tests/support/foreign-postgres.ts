/** A PostgreSQL that somebody else set up: every default that programs like ours assume is different. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { silentLog } from '#platform/log.ts';
import { openPool } from '#platform/postgres.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { migratePage, migrateSource } from '../../services/migrate/databases.ts';
import { seed } from '../../services/seed/seed.ts';

export const FOREIGN_DEFAULTS = {
  default_transaction_isolation: 'repeatable read',
  client_encoding: 'LATIN1',
  datestyle: 'German, DMY',
  intervalstyle: 'sql_standard',
  timezone: 'Asia/Kathmandu',
  bytea_output: 'escape',
  extra_float_digits: '-10',
  standard_conforming_strings: 'off',
  array_nulls: 'off',
  lock_timeout: '1ms',
  idle_session_timeout: '500ms',
  idle_in_transaction_session_timeout: '500ms',
  search_path: 'nowhere',
  synchronous_commit: 'off',
} as const;

export const SELLERS = 40;

export interface ForeignPostgres extends LocalPostgres {
  /** Creates an empty database with another encoding. */
  createLatin(name: string): Promise<void>;
}

/** Starts it, migrated and filled: the source, the self-view, and both views of each page, which are empty. */
export async function startForeignPostgres(): Promise<ForeignPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'foreign-'));
  const postgres = await startPostgres({ dataDir: join(folder, 'postgres'), settings: FOREIGN_DEFAULTS });
  const pool = (name: string) =>
    openPool(
      {
        url: postgres.url(name),
        applicationName: 'set-up',
        maximum: 2,
        statementTimeoutMs: 60_000,
        connectTimeoutMs: 10_000,
      },
      silentLog,
    );
  try {
    for (const name of ['source', 'gig', 'user', 'search', 'self_view']) await postgres.createDatabase(name);
    await migrateSource(postgres.url('source'), silentLog);
    await migratePage('self-view', postgres.url('self_view'), 'none', silentLog);
    for (const page of PAGE_NAMES) {
      for (const delivery of ['asynchronous', 'hybrid'] as const)
        await migratePage(page, postgres.url(page), { delivery, version: 1 }, silentLog);
    }
    const databases = {
      source: pool('source'),
      gig: pool('gig'),
      user: pool('user'),
      search: pool('search'),
      selfView: pool('self_view'),
    };
    const options = { now: () => new Date(), onProgress: () => {}, signal: new AbortController().signal };
    await seed(databases, SELLERS, options);
    await Promise.all(Object.values(databases).map((one) => one.end()));
  } catch (err) {
    await postgres.stop();
    throw err;
  }
  return Object.assign(Object.create(postgres) as LocalPostgres, {
    async createLatin(name: string) {
      const db = pool('postgres');
      await db.query(
        `create database "${name}" encoding 'LATIN1' locale_provider libc locale 'C' template template0`,
      );
      await db.end();
    },
    async stop() {
      const exit = await postgres.stop();
      await rm(folder, { recursive: true, force: true });
      return exit;
    },
  });
}
