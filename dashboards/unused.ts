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
  [
    'topclients_page_shadow_reads_total',
    'only while a page of somebody else moves from calls to a view; its owner looks at it then (docs/pages.md)',
  ],
]);
