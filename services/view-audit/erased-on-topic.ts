import { versionInId } from '#contracts/events.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import type { PartitionReader } from '#platform/kafka/partition-reader.ts';
import { within } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';

/** An erasure whose receipt waits for compaction. */
export interface CompactingErasure {
  readonly id: string;
  readonly sellerId: number;
  readonly version: number;
}

export interface TopicSession {
  /** Erasures whose tombstone was acknowledged at least so many ms ago; null while another process reads the topic. */
  due(afterMs: number): Promise<readonly CompactingErasure[] | null>;
  /** Reports to the receipts: null confirms, else why the topic still holds something. */
  report(reports: ReadonlyMap<string, string | null>): Promise<void>;
  readonly reader: Pick<PartitionReader, 'offsets' | 'read'>;
  close(): Promise<void>;
}

export interface TopicSettings {
  /** How long after the acknowledgement of a tombstone the topic is first read, in ms. */
  readonly readTopicAfterMs: number;
  /** Between two looks, in ms. Each look reads the whole topic. */
  readonly readTopicEveryMs: number;
}

const READ_WITHIN_MS = 30 * 60_000;
const LOOK_WHETHER_DUE_MS = 60_000;

/**
 * Reads the whole topic when compaction should have removed what erased sellers once told, and reports to the receipts
 * whether it has, until the signal aborts. Kafka's promise to clean is no confirmation.
 */
export async function confirmTopic(
  open: () => Promise<TopicSession>,
  { readTopicAfterMs, readTopicEveryMs }: TopicSettings,
  log: Log,
  signal: AbortSignal,
  clock: Clock = SYSTEM_CLOCK,
): Promise<void> {
  let readAt = Number.NEGATIVE_INFINITY;
  while (!signal.aborted) {
    let session: TopicSession | null = null;
    try {
      if (clock.monotonic() - readAt >= readTopicEveryMs) {
        session = await open();
        const erasures = await session.due(readTopicAfterMs);
        if (erasures !== null && erasures.length > 0) {
          readAt = clock.monotonic();
          const found = await findErased(session.reader, erasures, signal);
          await session.report(found);
          const still = [...found.values()].filter((because) => because !== null).length;
          log.info({ erasures: found.size, still }, 'looked whether erased bytes have left the topic');
        }
      }
    } catch (err) {
      if (!signal.aborted) log.warn({ err }, 'could not look whether erased bytes have left the topic');
    }
    await session?.close().catch(() => {});
    await clock.pause(Math.min(LOOK_WHETHER_DUE_MS, readTopicEveryMs), signal);
  }
}

/**
 * Reads everything that is on the topic now.
 * @returns null for each confirmed erasure, else where the topic still holds something from before it
 * @throws when the topic cannot be read to its end
 */
export async function findErased(
  reader: Pick<PartitionReader, 'offsets' | 'read'>,
  erasures: readonly CompactingErasure[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string | null>> {
  const bySeller = Map.groupBy(erasures, ({ sellerId }) => String(sellerId));
  const found = new Map<string, string | null>(erasures.map(({ id }) => [id, null]));
  const positions = new Map<number, number>();
  const ends = new Map<number, number>();
  for (const [partition, offsets] of await reader.offsets()) {
    if (offsets === null) throw new Error(`nobody tells how far partition ${partition} goes`);
    // An open transaction stops both readers and the cleaner: the reading then ends by its timeout.
    if (offsets.highWatermark <= offsets.first) continue;
    positions.set(partition, offsets.first);
    ends.set(partition, offsets.highWatermark);
  }
  if (positions.size === 0) return found;
  const over = Promise.withResolvers<void>();
  const stop = new AbortController();
  const reading = reader.read(
    {
      positions: () => positions,
      // All positions are known from the beginning, so no change is ever signalled.
      changed: () => over.promise.catch(() => {}),
      deliver({ partition, from, next, messages }) {
        if (positions.get(partition) !== from) return;
        for (const message of messages) {
          if (message.valueLength === 0) continue;
          const before = bySeller.get(message.key?.toString('latin1') ?? '');
          for (const { id, sellerId, version } of before ?? []) {
            const told = versionInId(sellerId, message.header('ce_id'));
            if (told !== null && told >= version) continue;
            found.set(id, `partition ${partition} still has a message from before, at ${message.offset}`);
          }
        }
        if (next >= ends.get(partition)!) positions.delete(partition);
        else positions.set(partition, next);
        if (positions.size === 0) over.resolve();
      },
      outOfRange: (partition, asked) =>
        over.reject(new Error(`partition ${partition} has lost offset ${asked} meanwhile`)),
      unreadable: (_, err) => over.reject(err),
    },
    AbortSignal.any([signal, stop.signal]),
  );
  try {
    const aborted = reading.then(() => {
      throw new Error('was stopped');
    });
    await within(READ_WITHIN_MS, 'reading the topic', Promise.race([over.promise, aborted]));
    return found;
  } finally {
    over.resolve();
    stop.abort();
    await reading.catch(() => {});
  }
}
