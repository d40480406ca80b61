import { eachPage, eachPageWith } from '#contracts/pages.ts';
import { databaseUrl, integer, setting } from '#platform/config.ts';
import { databaseCaFile } from '#platform/database-tls.ts';
import type { DatabaseUrl } from '#platform/database-url.ts';
import { openPool } from '#platform/postgres.ts';
import { defineRole } from '#role/role.ts';
import { seed } from './seed.ts';

const database = (page: string, what: string) =>
  setting(`TC_${page}_DATABASE_URL`, `PostgreSQL address of ${what}`, databaseUrl());
const authority = (page: string) => databaseCaFile(`TC_${page}_DATABASE_CA_FILE`);

export const role = defineRole({
  name: 'seed',
  about: 'fills migrated databases with made-up sellers and real brands, the same every time; safe to repeat',
  settings: {
    sellers: setting('TC_SELLERS', 'how many sellers', integer(1, 900_000).default(20_000)),
    source: database('SOURCE', 'the source of truth'),
    ...eachPage((page) => database(page.toUpperCase(), `the ${page} page`)),
    selfView: database('SELF_VIEW', 'the self-view'),
    sourceCaFile: authority('SOURCE'),
    ...eachPageWith('CaFile', (page) => authority(page.toUpperCase())),
    selfViewCaFile: authority('SELF_VIEW'),
  },
  async start(config, { log, releases }) {
    const stopped = new AbortController();
    const open = (address: DatabaseUrl, caFile: string | undefined) => {
      const pool = openPool(
        {
          url: address,
          caFile,
          applicationName: 'seed',
          maximum: 4,
          statementTimeoutMs: 60_000,
          connectTimeoutMs: 10_000,
        },
        log,
      );
      releases.push('database', () => pool.end());
      return pool;
    };
    const databases = {
      source: open(config.source, config.sourceCaFile),
      ...eachPage((page) => open(config[page], config[`${page}CaFile`])),
      selfView: open(config.selfView, config.selfViewCaFile),
    };
    // Released first: no chunk starts after the signal, and the pools wait for those in flight.
    releases.push('seeding', () => stopped.abort());
    const result = await seed(databases, config.sellers, {
      now: () => new Date(),
      onProgress: (progress) => log.info(progress, 'seeding'),
      signal: stopped.signal,
    });
    if (result.done < result.sellers) log.warn(result, 'stopped halfway; run again to complete');
    else log.info(result, result.events > 0 ? 'seeded' : 'everything was there');
    return 'done';
  },
});
