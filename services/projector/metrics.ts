import { instantOf } from '#platform/instant.ts';
import { seriesFromZero } from '#platform/metrics.ts';
import type { Metrics } from '#role/metrics.ts';
import type { ApplierObserver } from './applier.ts';
import type { OwnedState } from './membership.ts';
import type { Retried } from './parked.ts';

/** How far a partition that this process owns is applied, as of a scrape. */
export interface LagReading {
  readonly partition: number;
  /** The offset after the last message that was applied. */
  readonly position: number;
  readonly records: number;
  readonly seconds: number;
  /** Messages that nobody can read yet. */
  readonly unstable: number;
}

export interface PartitionReading {
  readonly partitions: readonly LagReading[];
  /** The state of each partition that this process owns. */
  readonly states: readonly OwnedState[];
  /** How many partitions the topic has, as far as known; 0 before it was seen. */
  readonly ofTopic: number;
}

export type ProjectorMetrics = ReturnType<typeof openProjectorMetrics>;

const STATES = ['positioning', 'running', 'releasing'] as const satisfies readonly OwnedState[];

/**
 * The projector's metrics. Every series is present from the start, except those of partitions, which come and go with
 * the partitions.
 * @param view such as `asynchronous-v1`: partitions are counted for each view of the page by itself
 * @param read asked at every scrape
 */
export function openProjectorMetrics(
  metrics: Metrics,
  { page, view }: { readonly page: string; readonly view: string },
  read: () => PartitionReading,
) {
  const events = metrics.counter('topclients_projector_events_total');
  const batchSize = seriesFromZero(metrics.histogram('topclients_projector_batch_size'), { page });
  const batchDuration = seriesFromZero(metrics.histogram('topclients_projector_batch_duration_seconds'), {
    page,
  });
  const delay = seriesFromZero(metrics.histogram('topclients_projector_delay_seconds'), { page });
  const newest = metrics.gauge('topclients_projector_last_applied_commit_timestamp_seconds');
  const rebalances = metrics.counter('topclients_projector_rebalances_total');
  const parkedSellers = metrics.gauge('topclients_projector_parked_sellers');
  const stalled = metrics.counter('topclients_projector_stalled_total');
  // A scrape collects in the order of registration: a gauge that sets others is registered before them.
  metrics.gauge('topclients_projector_partitions', (owned) => {
    const reading = read();
    for (const state of STATES) {
      owned.set({ page, view, state }, reading.states.filter((one) => one === state).length);
    }
    ofTopic.set({ page, view }, reading.ofTopic);
  });
  metrics.gauge('topclients_projector_lag_records', (records) => {
    for (const gauge of [records, seconds, unstable, position]) gauge.reset();
    for (const lag of read().partitions) {
      const labels = { page, partition: lag.partition };
      records.set(labels, lag.records);
      seconds.set(labels, lag.seconds);
      unstable.set(labels, lag.unstable);
      position.set(labels, lag.position);
    }
  });
  const seconds = metrics.gauge('topclients_projector_lag_seconds');
  const unstable = metrics.gauge('topclients_projector_lag_unstable_records');
  const position = metrics.gauge('topclients_projector_position');
  const ofTopic = metrics.gauge('topclients_projector_topic_partitions');
  for (const result of ['applied', 'duplicate', 'stale', 'tombstone', 'unversioned', 'moved', 'parked'])
    events.inc({ page, result }, 0);
  const redriven = metrics.counter('topclients_projector_redriven_total');
  for (const result of ['applied', 'superseded', 'remains']) redriven.inc({ page, result }, 0);
  const outages = metrics.counter('topclients_projector_notification_outages_total');
  outages.inc({ page }, 0);
  newest.set({ page }, 0);
  rebalances.inc({ page }, 0);
  stalled.inc({ page }, 0);
  parkedSellers.set({ page }, 0);
  let newestCommit = 0;
  const observer: ApplierObserver = {
    applied(applied, changed, tookMs) {
      events.inc({ page, result: 'applied' }, changed);
      batchSize.observe(applied.length);
      batchDuration.observe(tookMs / 1_000);
      const now = Date.now();
      for (const { event, message } of applied) {
        // A tombstone has the time of its erasure, even if it is published again long after.
        if (!message.valueLength && message.value === null) continue;
        const committedAt = instantOf(event.committedAt);
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
    stalled: () => stalled.inc({ page }),
    parkedSellers: (count: number) => parkedSellers.set({ page }, count),
  };
}
