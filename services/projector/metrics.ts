import { type Metrics, seriesFromZero } from '#platform/metrics.ts';
import type { ApplierObserver } from './applier.ts';
import type { Retried } from './parked.ts';

/** What is known of the partitions at a scrape. */
export interface LagReading {
  readonly partition: number;
  readonly records: number;
  readonly seconds: number;
}

/**
 * The projector's metrics, every series present from the start but those of partitions, which come and go with them.
 * @param readLag asked at every scrape
 */
export function openProjectorMetrics(metrics: Metrics, page: string, readLag: () => readonly LagReading[]) {
  const events = metrics.counter('topclients_projector_events_total');
  const batchSize = seriesFromZero(metrics.histogram('topclients_projector_batch_size'), { page });
  const batchDuration = seriesFromZero(metrics.histogram('topclients_projector_batch_duration_seconds'), {
    page,
  });
  const delay = seriesFromZero(metrics.histogram('topclients_projector_delay_seconds'), { page });
  const newest = metrics.gauge('topclients_projector_last_applied_commit_timestamp_seconds');
  const rebalances = metrics.counter('topclients_projector_rebalances_total');
  const parkedSellers = metrics.gauge('topclients_projector_parked_sellers');
  const seconds = metrics.gauge('topclients_projector_lag_seconds');
  metrics.gauge('topclients_projector_lag_records', (records) => {
    records.reset();
    seconds.reset();
    for (const lag of readLag()) {
      records.set({ page, partition: lag.partition }, lag.records);
      seconds.set({ page, partition: lag.partition }, lag.seconds);
    }
  });
  for (const result of ['applied', 'duplicate', 'stale', 'tombstone', 'unversioned', 'moved', 'parked'])
    events.inc({ page, result }, 0);
  const redriven = metrics.counter('topclients_projector_redriven_total');
  for (const result of ['applied', 'superseded', 'remains']) redriven.inc({ page, result }, 0);
  const outages = metrics.counter('topclients_projector_notification_outages_total');
  outages.inc({ page }, 0);
  newest.set({ page }, 0);
  rebalances.inc({ page }, 0);
  parkedSellers.set({ page }, 0);
  let newestCommit = 0;
  const observer: ApplierObserver = {
    applied(applied, changed, tookMs) {
      events.inc({ page, result: 'applied' }, changed);
      batchSize.observe(applied.length);
      batchDuration.observe(tookMs / 1_000);
      const now = Date.now();
      for (const { event } of applied) {
        const committedAt = Date.parse(event.committedAt);
        delay.observe(Math.max(0, now - committedAt) / 1_000);
        if (committedAt > newestCommit) newestCommit = committedAt;
      }
      newest.set({ page }, newestCommit / 1_000);
    },
    // How long a repair took to come says nothing about the freshness of the view.
    repaired: (result) => events.inc({ page, result }),
    skipped: (result, count) => events.inc({ page, result }, count),
    parked: () => events.inc({ page, result: 'parked' }),
    muted: (isMuted) => outages.inc({ page }, isMuted ? 1 : 0),
  };
  return {
    observer,
    redriven: ({ result }: Retried) => redriven.inc({ page, result }),
    rebalanced: () => rebalances.inc({ page }),
    parkedSellers: (count: number) => parkedSellers.set({ page }, count),
  };
}
