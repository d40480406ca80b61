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
import type { OutboxRow } from '../top-clients/adapters/postgres/outbox.ts';

export interface RelayMessage extends ProducedMessage {
  /** The partition that it must go to; null leaves that to its key. */
  readonly partition: number | null;
}

/**
 * The message of an outbox row: CloudEvents 1.0 in Kafka's binary mode, the stored trace context unchanged.
 *
 * Kafka's own timestamp is the time of the commit, so that a reader can tell how far it is behind. It is never after
 * `now`: a broker refuses a timestamp more than an hour ahead of its clock (`message.timestamp.after.max.ms`).
 * `ce_time` keeps the time as it was written.
 *
 * @param now milliseconds since 1970
 * @throws RangeError when the row cannot be a message: its time or its partition is invalid
 */
export function toMessage(row: OutboxRow, now: number): RelayMessage {
  if (row.partition !== null && !(Number.isSafeInteger(row.partition) && row.partition >= 0))
    throw new RangeError(`${row.partition} is no partition`);
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
    // Not the event's own id: a reader that skips ids it has seen would skip the repair.
    headers['ce_id'] += `/repair/${row.replaces ?? row.id}`;
    if (row.replaces !== null) headers[REPLACES_HEADER] = row.replaces;
  }
  if (row.type === SELLER_MOVED) headers['ce_id'] = movedId(row.sellerId, row.version);
  return {
    key: String(row.sellerId),
    value: row.value,
    timestamp: timestampAt(Math.max(0, Math.min(row.committedAt, now))),
    headers,
    partition: row.partition,
  };
}

/** The same message with another Kafka timestamp. */
export const at = (message: RelayMessage, now: number): RelayMessage => ({
  ...message,
  timestamp: timestampAt(now),
});

const timestampAt = (ms: number) => String(Math.floor(ms));

/** About how many bytes a row takes in a request, headers and framing included. */
export const sizeOf = (row: OutboxRow): number =>
  300 + (row.value === null ? 0 : Buffer.byteLength(row.value));
