import { CANARY_SELLER } from '#contracts/canary.ts';
import { decodeEvent } from '#contracts/event-codec.ts';
import { Bell } from '#platform/bell.ts';
import type { PartitionReader } from '#platform/kafka/partition-reader.ts';
import type { FetchedRecord } from '#platform/kafka/record-decoder.ts';
import type { PublishedVersion, PublishedVersions } from '../../app/after-restore.ts';

const MESSAGES_AT_A_TIME = 1_000;
/** Above this, no more is fetched. */
const MOST_QUEUED = 20_000;

/** What the topic tells of sellers' versions. */
export const publishedOnTopic = (reader: Pick<PartitionReader, 'offsets' | 'read'>): PublishedVersions => ({
  readAll: (look, signal) => readToTheEnd(reader, look, signal),
});

/**
 * Reads everything that is on the topic now, and has it looked at in portions, one after the other.
 * @throws when the topic cannot be read to its end, or what `look` throws
 */
async function readToTheEnd(
  reader: Pick<PartitionReader, 'offsets' | 'read'>,
  look: (published: readonly PublishedVersion[]) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const positions = new Map<number, number>();
  const ends = new Map<number, number>();
  for (const [partition, offsets] of await reader.offsets()) {
    if (offsets === null) throw new Error(`nobody tells how far partition ${partition} goes; try again`);
    if (offsets.highWatermark <= offsets.first) continue;
    positions.set(partition, offsets.first);
    ends.set(partition, offsets.highWatermark);
  }
  const queue: PublishedVersion[] = [];
  const changed = new Bell();
  const arrived = new Bell();
  const stop = new AbortController();
  let failure: Error | null = null;
  const fail = (err: Error) => {
    failure ??= err;
    arrived.ring();
  };
  const reading = reader
    .read(
      {
        positions: () => (queue.length >= MOST_QUEUED ? new Map() : positions),
        changed: () => changed.next(),
        deliver({ partition, from, next, messages }) {
          if (positions.get(partition) !== from) return;
          queue.push(...messages.flatMap(publishedIn));
          if (next >= ends.get(partition)!) positions.delete(partition);
          else positions.set(partition, next);
          arrived.ring();
        },
        outOfRange: (partition, asked) =>
          fail(new Error(`partition ${partition} has lost offset ${asked} meanwhile; try again`)),
        unreadable: (_, err) => fail(err),
      },
      AbortSignal.any([signal, stop.signal]),
    )
    .then(() => fail(new Error('was stopped')), fail);
  try {
    for (;;) {
      if (failure) throw failure;
      signal.throwIfAborted();
      if (queue.length > 0) {
        await look(queue.splice(0, MESSAGES_AT_A_TIME));
        changed.ring();
      } else if (positions.size === 0) return;
      else await arrived.next();
    }
  } finally {
    stop.abort();
    changed.ring();
    await reading;
  }
}

/** What a message told of a version; nothing for markers, for messages that nobody can read, and where there is none. */
function publishedIn(message: FetchedRecord): PublishedVersion[] {
  const decoded = decodeEvent({
    key: message.key?.toString() ?? null,
    value: message.value?.toString() ?? null,
    type: message.header('ce_type'),
    id: message.header('ce_id'),
    time: message.header('ce_time'),
  });
  if (decoded.kind !== 'event') return [];
  const { sellerId, version, committedAt, change } = decoded.event;
  return [
    { sellerId, version, committedAt, erases: change.type === 'seller-erased' && sellerId !== CANARY_SELLER },
  ];
}
