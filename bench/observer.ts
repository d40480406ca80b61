import { setTimeout as delay } from 'node:timers/promises';
import type { LocalPostgres } from '../services/local-stack/postgres.ts';
import { until } from '../services/local-stack/until.ts';
import type { Written } from './load.ts';
import { connectToView } from './view-session.ts';

export interface Seen extends Written {
  /** `performance.now()` when an answer of the page's database first had the version. */
  readonly visibleAt: number;
}

/** Asks the page's database about every millisecond for all expected versions, as a reader would. */
export async function observeView({ pagesPostgres }: { readonly pagesPostgres: Pick<LocalPostgres, 'url'> }) {
  const db = await connectToView(pagesPostgres.url('gig'), 'bench-observer', { statementTimeoutMs: 10_000 });
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

/** Watching a write costs about as much as the pipeline itself. */
const WATCHED_PER_SECOND = 50;

/** How late what was watched could be seen, in ms. */
export interface Waits {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly samples: number;
}

/** Watches some of the writes at a rate: hand each to `written`. */
export async function watchWaits(pipeline: Parameters<typeof observeView>[0], perSecond: number) {
  const observer = await observeView(pipeline);
  const oneOf = Math.ceil(perSecond / WATCHED_PER_SECOND);
  let count = 0;
  return {
    written(one: Written): void {
      if (count++ % oneOf === 0) observer.expect(one);
    },
    /** Resolves once all that was watched has been seen. */
    async finish(): Promise<Waits> {
      const waits = (await observer.finish())
        .map(({ at, visibleAt }) => visibleAt - at)
        .sort((one, other) => one - other);
      const at = (share: number) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))]!;
      return { p50: at(0.5), p99: at(0.99), max: waits.at(-1)!, samples: waits.length };
    },
  };
}
