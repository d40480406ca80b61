import type { MetricName } from '#contracts/metrics.ts';

/** Metrics that no dashboard and no rule uses, each with the reason why it is exported. */
export const UNUSED: ReadonlyMap<MetricName, string> = new Map<MetricName, string>([
  [
    'topclients_partition_layout_partitions',
    'the operator reads it and tells it in its status; it changes once in years',
  ],
  ['topclients_partition_layout_moved_from', 'the same, and the runbook of a run that stands still'],
  ['topclients_republish_sellers', 'the same: of a run that takes minutes, seldom'],
  ['topclients_republish_done_sellers', 'the same'],
]);
