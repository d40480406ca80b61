import { cloudEventId, cloudEventType } from './events.ts';

/**
 * A seller's messages are in another partition from here on, because the topic has grown. Its value is null, so that
 * compaction removes what the partition still holds of the key, and later the marker itself. It is no erasure: a
 * reader passes it over, for the seller's state stands in the new partition. `services/republish/growth.ts` has the
 * reasoning.
 */
export const MOVED = 'seller-moved';

export const MOVED_TYPE = cloudEventType(MOVED);

/** Not the event's own id: a reader that drops what it knows by its id would drop the marker. */
export const movedId = (sellerId: number, version: number): string =>
  `${cloudEventId(sellerId, version)}/moved`;
