import type { Delivery } from '#contracts/delivery.ts';
import type { ViewPage } from '#contracts/pages.ts';
import { SYSTEM_CLOCK } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import { openPool, type Pool, type PoolSettings } from '#platform/postgres.ts';
import type { Metrics } from '#role/metrics.ts';
import type { CallerIdentity } from '../source-client/caller-identity.ts';
import { openPageReads, type PageReads } from '../source-client/page-reads.ts';
import { observePage } from '../source-client/source-metrics.ts';
import { openTransport } from '../source-client/transport.ts';
import { ChangeNotifications, followChangeNotifications } from './cache-invalidation.ts';
import { evictErased, evictExpired } from './evict-erased.ts';
import { type InstanceName, OwnDatabase } from './own-database.ts';
import { followReplica, ReplicaLag } from './replica-lag.ts';
import { followShownVersion } from './shown-view.ts';

export interface ReadingSettings {
  readonly page: ViewPage;
  readonly delivery: Delivery;
  readonly database: PoolSettings;
  /** Another server with the same data, which follows: read while the first one does not answer. Null: there is none. */
  readonly replica: {
    readonly url: PoolSettings['url'];
    readonly caFile: string | undefined;
    /** The longest that it may be behind to be read, in ms. */
    readonly lagMs: number;
  } | null;
  /** Null for a page that never asks it. */
  readonly source: {
    readonly url: string;
    /** Calls in flight; as many again may wait. */
    readonly concurrency: number;
    readonly identity: CallerIdentity;
  } | null;
  /** Whether it signs in as a page server of ours, which may read and report more than a reader. */
  readonly isOurs: boolean;
}

/** What reading a page's lists takes, opened once a process. */
export interface Reading {
  /** On the primary. */
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
  { page, delivery, database: access, replica, source, isOurs }: ReadingSettings,
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

  const reads = metrics.counter('topclients_page_database_reads_total');
  const readsOf = {
    primary: reads.labels({ page, server: 'primary' }),
    replica: reads.labels({ page, server: 'replica' }),
  };
  for (const counter of Object.values(readsOf)) counter.inc(0);
  const replicaHasAllUntil = metrics
    .gauge('topclients_page_replica_current_timestamp_seconds')
    .labels({ page });
  replicaHasAllUntil.set(0);
  const lag = new ReplicaLag();
  const replicaPool =
    replica && openPool({ ...access, url: replica.url, caFile: replica.caFile, pipeline: true }, log);
  if (replica !== null && replicaPool !== null) {
    const observer = { hasAllUntil: (at: number) => replicaHasAllUntil.set(at / 1_000) };
    loops.push(
      followReplica(
        { primary: pool, replica: replicaPool },
        lag,
        { longestMs: replica.lagMs, observer },
        signal,
        log,
      ),
    );
  }
  const database = new OwnDatabase(pool, log, {
    replica: replica &&
      replicaPool && { pool: replicaPool, isFresh: (position) => lag.of(position) <= replica.lagMs },
    answered: (by: InstanceName) => readsOf[by].inc(),
  });

  if (delivery === 'asynchronous') {
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
      isOurs
        ? evictErased(pool, feed.cache, signal, log, SYSTEM_CLOCK, () => feed.listening)
        : evictExpired(feed.cache, signal),
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
    loops.push(followShownVersion(database, viewOf, isOurs ? 'shown' : 'status', told, signal, log));
  }

  return {
    pool,
    database,
    source: transport ? openPageReads(transport) : NOBODY_TO_ASK,
    feed,
    notReadyBecause: () => notReady,
    async close() {
      stopping.abort();
      await Promise.all(loops);
      await transport?.close();
      await Promise.all([pool.end(), replicaPool?.end()]);
    },
  };
}

const nobody = async () =>
  ({ outcome: 'unreachable', mayHaveArrived: false, cause: new Error('no source was given') }) as const;
const NOBODY_TO_ASK: PageReads = { list: nobody, clients: nobody, lists: nobody };
