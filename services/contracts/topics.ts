const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Names and settings of topics; whoever creates a topic (demo, operator, chart) reads them here. */
export const SELLER_EVENTS = {
  topic: 'top-clients.seller.v1',
  defaultPartitions: 12,
  /** All that the topic is created with. */
  settings: {
    'cleanup.policy': 'compact',
    // A projector may be away for this long and still learn of an erasure from the tombstone (7 days).
    'delete.retention.ms': String(7 * DAY_MS),
    // What was erased leaves the topic: see ERASED_BYTES_LEAVE_WITHIN_DAYS.
    'segment.ms': String(12 * HOUR_MS),
    'max.compaction.lag.ms': String(DAY_MS),
    'min.compaction.lag.ms': '60000',
    'max.message.bytes': '1048576',
    // The broker unpacks what a stranger compressed. So nobody can put a batch on the topic that a projector has no
    // codec for, or that unpacks to more than max.message.bytes; the relay does not compress, and pays nothing for it.
    'compression.type': 'uncompressed',
  },
  /**
   * Settings that our promises depend on. An existing topic is brought back to them, and to `min.insync.replicas` where
   * there are three copies. The others are the administrator's; `max.message.bytes` is the cure for a seller that is
   * held.
   */
  owned: ['cleanup.policy', 'delete.retention.ms', 'segment.ms', 'max.compaction.lag.ms', 'compression.type'],
} as const;

/**
 * How often every partition gets a message, at least: the relay writes markers of nobody where sellers write nothing.
 */
export const EVERY_PARTITION_IS_WRITTEN_EVERY_HOURS = 12;

/**
 * The bytes of an erased list leave the topic within this many days:
 *
 * 1. At the erasure the tombstone is written to the active segment, and the list may stand in it too. Kafka never
 *    compacts the active segment. It begins the next one with the first message that comes `segment.ms` (12 hours)
 *    after the segment's first, and such a message comes within 12 hours (`idle-partitions.ts` of the relay).
 * 2. From then on the tombstone can be compacted with, and must be once the oldest message that was not compacted
 *    is `max.compaction.lag.ms` (24 hours) old, whatever share of the partition that is.
 * 3. The cleaner's work and the deletion of the old files take minutes to hours. Half a day is left for them.
 *
 * The tombstone holds the seller's number and no more. It stays `delete.retention.ms` (7 days) longer.
 */
export const ERASED_BYTES_LEAVE_WITHIN_DAYS = 2;

/**
 * The group that a view's offsets are committed for, so that others see its lag. It has no members: the page's database
 * decides who keeps the view up to date. Each view has its own group: a new view version starts from the beginning
 * beside the old one.
 */
export const consumerGroup = (page: string, delivery: string, viewVersion: number): string =>
  `top-clients.projector.${page}.${delivery}.v${viewVersion}`;
