import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { type Message, sizeOf, toMessage } from './message.ts';
import type { OutboxRow } from './outbox.ts';
import { Pace } from './pacing.ts';
import { type Publisher, TooLarge } from './publisher.ts';

/** What the loop needs of the database; the real one is a pipelined connection. */
export interface Outbox {
  take(taken: readonly number[], held: readonly number[], limit: number): Promise<OutboxRow[]>;
  remove(ids: readonly number[]): Promise<void>;
}

/** Told what happens, for metrics. */
export interface ShardObserver {
  sent(rows: readonly OutboxRow[], tookMs: number): void;
  /** It will be tried again. */
  sendFailed(): void;
}

export const LIMITS = {
  rowsPerBatch: 1_000,
  /** Of one request; a partition's share may also meet the topic's own limit, which is found by trying. */
  bytesPerBatch: 4 * 1024 * 1024,
  heldSellerPauseMs: 30_000,
} as const;

/**
 * Relays a shard's rows until `ended` aborts: while a batch is on its way to Kafka the next one is already read, and
 * the one before is being deleted. Nothing of a seller goes out before what came earlier: a batch that failed is
 * sent again unchanged, as often as it takes.
 *
 * @param mayRun asked before every attempt; false ends the loop (the leadership is gone)
 * @throws whatever the database throws; the caller starts anew, and what was sent and not deleted is sent again
 */
export async function relayRows(
  outbox: Outbox,
  publisher: Publisher,
  observer: ShardObserver,
  ended: AbortSignal,
  mayRun: () => boolean,
  log: Log,
): Promise<void> {
  const idle = new Pace(2, 20, 1.3);
  const size = new BatchSize();
  const held = new HeldSellers(log);
  const take = (taken: readonly number[]) => {
    const rows = outbox.take(taken, held.list(), LIMITS.rowsPerBatch);
    rows.catch(() => {}); // Awaited below, perhaps after something else has failed.
    return rows;
  };
  let removing: Promise<void> = Promise.resolve();
  let taking = take([]);
  while (mayRun()) {
    const batch = size.cut(await taking);
    if (batch.length === 0) {
      if (ended.aborted) break;
      await pause(idle.next(), ended);
      taking = take([]);
      continue;
    }
    idle.reset();
    const ids = batch.map((row) => row.id);
    const messages = batch.map(toMessage);
    const startedAt = performance.now();
    const sending = sendUntilAcknowledged(publisher, messages, observer, ended, mayRun);
    taking = ended.aborted ? Promise.resolve([]) : take(ids);
    const outcome = await sending;
    if (outcome === 'ended') break;
    if (outcome === 'too large') {
      if (batch.length === 1) held.hold(batch[0]!);
      else size.shrink(batch);
      taking = take([]);
      continue;
    }
    observer.sent(batch, performance.now() - startedAt);
    size.grow();
    // In the order of the batches: a row may outlive its successors neither here nor, after a crash, in the log.
    await removing;
    removing = outbox.remove(ids);
    removing.catch(() => {});
    held.release();
  }
  await removing;
}

async function sendUntilAcknowledged(
  publisher: Publisher,
  messages: readonly Message[],
  observer: ShardObserver,
  ended: AbortSignal,
  mayRun: () => boolean,
): Promise<'sent' | 'too large' | 'ended'> {
  const backOff = new Pace(50, 2_000, 2);
  while (mayRun()) {
    try {
      await publisher.send(messages);
      return 'sent';
    } catch (err) {
      observer.sendFailed();
      if (err instanceof TooLarge) return 'too large';
      if (ended.aborted) return 'ended';
      await pause(backOff.next(), ended);
    }
  }
  return 'ended';
}

/** How many bytes go into a batch: fewer after the broker refused one, slowly more again afterwards. */
class BatchSize {
  #bytes: number = LIMITS.bytesPerBatch;

  cut(rows: readonly OutboxRow[]): readonly OutboxRow[] {
    let bytes = 0;
    const end = rows.findIndex((row) => {
      bytes += sizeOf(row);
      return bytes > this.#bytes;
    });
    return end === -1 ? rows : rows.slice(0, Math.max(1, end));
  }

  shrink(refused: readonly OutboxRow[]): void {
    this.#bytes = Math.max(1, Math.floor(refused.reduce((sum, row) => sum + sizeOf(row), 0) / 2));
  }

  grow(): void {
    this.#bytes = Math.min(LIMITS.bytesPerBatch, Math.ceil(this.#bytes * 1.05));
  }
}

/**
 * Sellers with a message that is too large for the topic even alone. It stays in the outbox, so nothing is lost and
 * the seller's order holds; everyone else goes on. It is tried again now and then: raising the topic's
 * `max.message.bytes` heals it.
 */
class HeldSellers {
  readonly #until = new Map<number, number>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  hold(row: OutboxRow): void {
    this.#until.set(row.sellerId, performance.now() + LIMITS.heldSellerPauseMs);
    this.#log.error(
      { sellerId: row.sellerId, version: row.version, bytes: sizeOf(row) },
      'a message is larger than the topic takes; its seller waits until max.message.bytes of the topic is raised',
    );
  }

  list(): number[] {
    return [...this.#until.keys()];
  }

  release(): void {
    if (this.#until.size === 0) return;
    for (const [sellerId, until] of this.#until) if (until < performance.now()) this.#until.delete(sellerId);
  }
}
