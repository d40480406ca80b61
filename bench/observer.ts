import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '#platform/postgres.ts';
import { VIEW } from '../services/local-stack/pipeline.ts';
import type { LocalPostgres } from '../services/local-stack/postgres.ts';
import { until } from '../services/local-stack/until.ts';
import type { Written } from './load.ts';

export interface Seen extends Written {
  /** `performance.now()` when an answer of the page's database first had the version. */
  readonly visibleAt: number;
}

/** Asks the page's database about every millisecond for all expected versions, as a reader would. */
export async function observeView({ pagesPostgres }: { readonly pagesPostgres: Pick<LocalPostgres, 'url'> }) {
  const db = await connect(
    {
      url: pagesPostgres.url('gig'),
      applicationName: 'bench-observer',
      statementTimeoutMs: 10_000,
      connectTimeoutMs: 5_000,
      searchPath: [VIEW, 'public'],
    },
    (err) => {
      throw err;
    },
  );
  let expected: Written[] = [];
  const seen: Seen[] = [];
  let finished = false;
  const looking = (async () => {
    while (!finished || expected.length > 0) {
      if (expected.length > 0) {
        const { rows } = await db.query<{ seller_id: number; version: number }>({
          name: 'look',
          text: 'select seller_id, version from top_clients where seller_id = any ($1::bigint[])',
          values: [expected.map((one) => one.sellerId)],
        });
        const visibleAt = performance.now();
        const versions = new Map(rows.map((row) => [row.seller_id, row.version]));
        expected = expected.filter((one) => {
          if ((versions.get(one.sellerId) ?? 0) < one.version) return true;
          seen.push({ ...one, visibleAt });
          return false;
        });
      }
      await delay(1);
    }
  })();
  return {
    expect: (one: Written) => expected.push(one),
    /** Resolves once all that was expected has been seen. */
    async finish(): Promise<Seen[]> {
      finished = true;
      await until('everything written is visible', () => expected.length === 0, 60_000);
      await looking;
      await db.end();
      return seen;
    },
  };
}
