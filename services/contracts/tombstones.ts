import { SELLER_EVENTS } from './topics.ts';

/**
 * How long Kafka keeps a tombstone at least, in ms. A message that somebody put aside longer ago may be of a seller who
 * was erased since, of which nothing on the topic tells any more: only the source knows.
 */
export const TOMBSTONES_LAST_MS = Number(SELLER_EVENTS.settings['delete.retention.ms']);
