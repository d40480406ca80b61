/** Names and settings of topics; whoever creates a topic (demo, operator, chart) reads them here. */
export const SELLER_EVENTS = {
  topic: 'top-clients.seller.v1',
  defaultPartitions: 12,
  settings: {
    'cleanup.policy': 'compact',
    // A projector may be away for this long and still learn of an erasure from the tombstone (7 days, in ms).
    'delete.retention.ms': '604800000',
    'min.compaction.lag.ms': '60000',
    'max.message.bytes': '1048576',
  },
} as const;

/**
 * The group that a view's offsets are committed for, so that others see its lag. It has no members: who keeps the view up is
 * decided in the page's database. One a view: a new view version starts from the beginning beside the old one.
 */
export const consumerGroup = (page: string, delivery: string, viewVersion: number): string =>
  `top-clients.projector.${page}.${delivery}.v${viewVersion}`;
