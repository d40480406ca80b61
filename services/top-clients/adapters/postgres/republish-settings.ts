import { databaseUrl, integer, setting } from '#platform/config.ts';
import { databaseCaFile } from '#platform/database-tls.ts';

/** Of a program that publishes states again: where from, and how fast, so that new changes of sellers do not wait behind them. */
export const REPUBLISH_SETTINGS = {
  databaseUrl: setting(
    'TC_DATABASE_URL',
    'PostgreSQL address of the source, its primary and not through a pooler',
    databaseUrl(),
  ),
  databaseCaFile: databaseCaFile('TC_DATABASE_CA_FILE'),
  sellersPerSecond: setting(
    'TC_SELLERS_PER_SECOND',
    'sellers published again in a second, at most',
    integer(1, 1_000_000).default(2_000),
  ),
  mostWaiting: setting(
    'TC_MOST_WAITING',
    'rows in the outbox above which it waits',
    integer(1, 10_000_000).default(2_000),
  ),
};
