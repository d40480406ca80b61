import {
  type ChangeType,
  CLOUD_EVENTS,
  cloudEventId,
  cloudEventType,
  movedId,
  SELLER_MOVED,
} from '#contracts/events.ts';
import { REPAIR, REPLACES_HEADER } from '#contracts/repair.ts';
import type { ProducedMessage } from '#platform/kafka/produce-request.ts';
import type { OutboxRow } from './outbox.ts';

/** Its time is when the event was committed, so that a reader can tell how far it is behind. */
export interface Message extends ProducedMessage {
  /** Absent only before a layout was stored: then the number of partitions decides that the client knows. */
  readonly partition?: number;
}

/** The message of an outbox row: CloudEvents 1.0 in Kafka's binary mode, the stored trace context unchanged. */
export function toMessage(row: OutboxRow): Message {
  const headers: Record<string, string> = {
    ce_specversion: CLOUD_EVENTS.specversion,
    ce_id: cloudEventId(row.sellerId, row.version),
    ce_source: CLOUD_EVENTS.source,
    ce_type: cloudEventType(row.type as ChangeType | typeof REPAIR | typeof SELLER_MOVED),
    ce_time: new Date(row.committedAt).toISOString(),
    'content-type': CLOUD_EVENTS.contentType,
  };
  if (row.traceparent !== null) headers['traceparent'] = row.traceparent;
  if (row.type === REPAIR) {
    // Not the event's own id: a reader that drops what it knows by its id would drop the repair.
    headers['ce_id'] += `/repair/${row.replaces ?? row.id}`;
    if (row.replaces !== null) headers[REPLACES_HEADER] = row.replaces;
  }
  if (row.type === SELLER_MOVED) headers['ce_id'] = movedId(row.sellerId, row.version);
  return {
    key: String(row.sellerId),
    value: row.value,
    timestamp: String(Math.floor(row.committedAt)),
    headers,
    ...(row.partition === null ? {} : { partition: row.partition }),
  };
}

/** About how many bytes a row takes in a request, headers and framing included. */
export const sizeOf = (row: OutboxRow): number =>
  300 + (row.value === null ? 0 : Buffer.byteLength(row.value));
