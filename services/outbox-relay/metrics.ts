import type { Metrics } from '#role/metrics.ts';
import type {
  PartitionLayout,
  RepublishProgress,
} from '../top-clients/adapters/postgres/partition-layout.ts';
import { meaningOf, REASONS } from './refusals.ts';
import type { ShardObserver } from './shard.ts';

type Step = 'lead' | 'ack_and_fetch' | 'send';

/** The relay's metrics, every series present from the start. */
export function openRelayMetrics(metrics: Metrics, shards: number) {
  const leader = metrics.gauge('topclients_relay_leader');
  const pending = metrics.gauge('topclients_outbox_pending');
  const oldest = metrics.gauge('topclients_outbox_oldest_pending_timestamp_seconds');
  const missed = metrics.counter('topclients_outbox_missed_rows_total');
  const sent = metrics.counter('topclients_relay_sent_total');
  const errors = metrics.counter('topclients_relay_errors_total');
  const sendErrors = metrics.counter('topclients_relay_send_errors_total');
  const held = metrics.gauge('topclients_relay_held_sellers');
  const blocked = metrics.gauge('topclients_relay_blocked');
  const batchSize = metrics.histogram('topclients_relay_batch_size');
  const sendDuration = metrics.histogram('topclients_relay_send_duration_seconds');
  const delay = metrics.histogram('topclients_relay_delay_seconds');
  const partitions = metrics.gauge('topclients_partition_layout_partitions');
  const movedFrom = metrics.gauge('topclients_partition_layout_moved_from');
  const republishing = metrics.gauge('topclients_republish_sellers');
  const republished = metrics.gauge('topclients_republish_done_sellers');
  const progressed = metrics.gauge('topclients_republish_progress_timestamp_seconds');
  const led = new Set<number>();
  for (const step of ['lead', 'ack_and_fetch', 'send'] as const) errors.inc({ step }, 0);
  for (const reason of REASONS) sendErrors.inc({ kind: meaningOf(reason).kind, reason }, 0);
  for (let shard = 0; shard < shards; shard++) {
    leader.set({ shard }, 0);
    sent.inc({ shard }, 0);
    missed.inc({ shard }, 0);
    held.set({ shard }, 0);
    blocked.set({ shard }, 0);
  }
  const failed = (step: Step) => errors.inc({ step });
  return {
    failed,
    /** The layout as the database tells it; every relay reports it, not only the leader. */
    layout(layout: PartitionLayout | null, progress: RepublishProgress | null): void {
      partitions.set(layout?.partitions ?? 0);
      movedFrom.set(layout?.movedFrom ?? 0);
      republishing.set(progress?.sellers ?? 0);
      republished.set(progress?.sellersDone ?? 0);
      progressed.set((progress?.progressedAt ?? 0) / 1_000);
    },
    led: (): readonly number[] => [...led],
    leads(shard: number, leads: boolean): void {
      leader.set({ shard }, leads ? 1 : 0);
      if (leads) led.add(shard);
      else {
        led.delete(shard);
        held.set({ shard }, 0);
        blocked.set({ shard }, 0);
        // Only a leader counts; the last count of a former leader would mislead.
        pending.remove({ shard });
        oldest.remove({ shard });
      }
    },
    waiting(shard: number, { rows, oldest: since }: { rows: number; oldest: number | null }): void {
      if (!led.has(shard)) return;
      pending.set({ shard }, rows);
      oldest.set({ shard }, (since ?? 0) / 1_000);
    },
    missed: (shard: number, rows: number) => missed.inc({ shard }, rows),
    observer: (shard: number): ShardObserver => ({
      sendFailed({ kind, reason }) {
        failed('send');
        sendErrors.inc({ kind, reason });
      },
      blocked: (because) => blocked.set({ shard }, because === null ? 0 : 1),
      held: (sellers) => held.set({ shard }, sellers),
      sent(rows, tookMs) {
        sent.inc({ shard }, rows.length);
        batchSize.observe(rows.length);
        sendDuration.observe(tookMs / 1_000);
        const now = Date.now();
        for (const { value, committedAt } of rows) {
          // A tombstone that is sent again has the time of its erasure, and goes with the state before it.
          if (value !== null) delay.observe(Math.max(0, now - committedAt) / 1_000);
        }
      },
    }),
  };
}
