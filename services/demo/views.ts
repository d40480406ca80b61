import { CANARY_SELLER } from '#contracts/canary.ts';
import { viewSchema } from '#pages/projection.ts';
import { pause } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { sumVersions } from '../top-clients/adapters/postgres/read-states.ts';

/** A view that must come to equal the source. Its database is named after its page. */
export interface ViewInDatabase {
  readonly page: string;
  readonly delivery: 'asynchronous' | 'hybrid';
}

interface Sum {
  readonly sellers: number;
  readonly versions: number;
}

/**
 * Waits until each of these views has as many sellers as the source and the same sum of versions. A view only moves forward, so
 * both together mean that it has everything. The canary is left out, because it changes all the time.
 * @param onProgress called with the share of versions, 0 to 1, that the slowest view has
 */
export async function untilViewsEqualSource(
  database: (name: string) => string,
  views: readonly ViewInDatabase[],
  onProgress: (share: number) => void,
  signal: AbortSignal,
): Promise<Sum> {
  const open = (name: string) =>
    openPool(
      {
        url: database(name),
        applicationName: 'demo',
        maximum: 1,
        statementTimeoutMs: 30_000,
        connectTimeoutMs: 5_000,
      },
      silentLog,
    );
  const source = open('source');
  const pools = new Map(views.map(({ page }) => [page, open(page)]));
  try {
    for (;;) {
      const truth = await sumVersions(source);
      const sums = await Promise.all(
        views.map(({ page, delivery }) => sumOf(pools.get(page)!, VIEW_SUM[delivery])),
      );
      if (sums.every((sum) => sum.sellers === truth.sellers && sum.versions === truth.versions)) return truth;
      onProgress(Math.min(...sums.map((sum) => sum.versions / truth.versions)));
      await pause(200, signal);
      signal.throwIfAborted();
    }
  } finally {
    await Promise.all([source, ...pools.values()].map((pool) => pool.end()));
  }
}

const sumOfView = (delivery: 'asynchronous' | 'hybrid') =>
  `select count(*) as sellers, coalesce(sum(version), 0)::bigint as versions
  from ${viewSchema(delivery, 1)}.top_clients where seller_id <> ${CANARY_SELLER}`;
const VIEW_SUM = { asynchronous: sumOfView('asynchronous'), hybrid: sumOfView('hybrid') };

async function sumOf(pool: Pool, text: string): Promise<Sum> {
  return (await pool.query<{ sellers: number; versions: number }>(text)).rows[0]!;
}
