import type { Delivery } from '#contracts/delivery.ts';
import type { ViewPage } from '#contracts/pages.ts';
import type { Log } from '#platform/log.ts';
import { openPool, type Pool, type PoolSettings } from '#platform/postgres.ts';
import type { Metrics } from '#role/metrics.ts';
import type { CallerIdentity } from '../source-client/caller-identity.ts';
import { openPageReads, type PageReads } from '../source-client/page-reads.ts';
import { observePage } from '../source-client/source-metrics.ts';
import { openTransport } from '../source-client/transport.ts';
import { ChangeNotifications, followChangeNotifications } from './cache-invalidation.ts';
import { evictErased, evictExpired } from './evict-erased.ts';
import { OwnDatabase } from './own-database.ts';
import { followShownVersion } from './shown-view.ts';

export interface ReadingSettings {
  readonly page: ViewPage;
  readonly delivery: Delivery;
  readonly database: PoolSettings;
  /** Null for a page that never asks it. */
  readonly source: {
    readonly url: string;
    /** Calls in flight; as many again may wait. */
    readonly concurrency: number;
    readonly identity: CallerIdentity;
  } | null;
  /** Whether lists are cached between reads. */
  readonly caches: boolean;
  /** Whether it signs in as a page server of ours, which may read and report more than a reader. */
  readonly isOurs: boolean;
}

/** What reading a page's lists takes, opened once a process. */
export interface Reading {
  readonly pool: Pool;
  readonly database: OwnDatabase;
  readonly source: PageReads;
  readonly feed: ChangeNotifications;
  /** Why lists cannot be read yet; null once the database shows a view of the delivery. */
  notReadyBecause(): string | null;
  close(): Promise<void>;
}

/** How long the open circuit breaker keeps calls away from the source, in ms. */
const BREAK_MS = 500;

export function openReading(
  { page, delivery, database: access, source, caches, isOurs }: ReadingSettings,
  { log, metrics }: { readonly log: Log; readonly metrics: Metrics },
): Reading {
  const viewOf = delivery === 'asynchronous' || delivery === 'hybrid' ? delivery : null;
  const pool = openPool(access, log);
  const transport =
    source &&
    openTransport({ ...source, breakMs: BREAK_MS }, log.child({ page }), observePage(page, metrics));
  const feed = new ChangeNotifications();
  const stopping = new AbortController();
  const { signal } = stopping;
  const loops: Promise<void>[] = [];

  if (delivery === 'asynchronous' && caches) {
    const isConnected = metrics.gauge('topclients_page_cache_invalidation_connected').labels({ page });
    const queueUsed = metrics.gauge('topclients_page_notify_queue_used_ratio').labels({ page });
    isConnected.set(0);
    queueUsed.set(0);
    const observer = {
      connected: (is: boolean) => isConnected.set(is ? 1 : 0),
      queueUsed: (share: number) => queueUsed.set(share),
    };
    loops.push(
      followChangeNotifications(access, feed, observer, signal, log),
      isOurs ? evictErased(pool, feed.cache, signal, log) : evictExpired(feed.cache, signal),
    );
  }

  const version = metrics.gauge('topclients_page_view_version');
  const shows = (shown: number) => version.set({ page, delivery }, shown);
  // Alerts ask whether the page has a view, also while its database does not answer.
  shows(viewOf === null ? 0 : 1);
  let notReady: string | null = viewOf && 'has not read the database of the page yet';
  if (viewOf !== null) {
    const noView = `the database shows no view for the delivery ${viewOf}: run migrate --target ${page} --delivery ${viewOf}`;
    const told = (shown: number | null) => {
      notReady = shown === null ? noView : null;
      if (shown !== null) shows(shown);
    };
    loops.push(followShownVersion(pool, viewOf, isOurs ? 'shown' : 'status', told, signal, log));
  }

  return {
    pool,
    database: new OwnDatabase(pool, log),
    source: transport ? openPageReads(transport) : NOBODY_TO_ASK,
    feed,
    notReadyBecause: () => notReady,
    async close() {
      stopping.abort();
      await Promise.all(loops);
      await transport?.close();
      await pool.end();
    },
  };
}

const nobody = async () =>
  ({ outcome: 'unreachable', mayHaveArrived: false, cause: new Error('no source was given') }) as const;
const NOBODY_TO_ASK: PageReads = { list: nobody, clients: nobody, lists: nobody };
