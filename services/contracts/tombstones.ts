import { SELLER_EVENTS } from './topics.ts';

/**
 * How long Kafka keeps a tombstone at least, in ms. A message that was parked longer ago may be of a seller who was
 * erased since. Nothing on the topic may tell that any more: only the source knows.
 */
export const TOMBSTONES_LAST_MS = Number(SELLER_EVENTS.settings['delete.retention.ms']);
