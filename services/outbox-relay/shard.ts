import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { type Message, sizeOf, toMessage } from './message.ts';
import type { Exchange, OutboxRow } from './outbox.ts';
import { Pace } from './pacing.ts';
import { type Publisher, TooLarge } from './publisher.ts';

/** What the loop needs of the database: deletes what was sent and takes what follows. */
export interface Outbox {
  exchange(exchange: Exchange): Promise<OutboxRow[]>;
}

/** Told what happens, for metrics. */
export interface ShardObserver {
  sent(rows: readonly OutboxRow[], tookMs: number): void;
  /** It will be tried again. */
  sendFailed(): void;
}

export const LIMITS = {
  rowsPerBatch: 1_000,
  /**
   * From this many rows on the next batch is taken while this one is on its way. Below, it is taken afterwards, which
   * is later by a fraction of a millisecond and finds everything that has come meanwhile: fewer, fuller batches.
   */
  prefetchFrom: 200,
  /** Of one request; a partition's share may also meet the topic's own limit, which is found by trying. */
  bytesPerBatch: 4 * 1024 * 1024,
  heldSellerPauseMs: 30_000,
  shortestRoundMs: 3,
  longestRestMs: 10,
} as const;

/**
 * Relays a shard's rows until `ended` aborts. Under a backlog the next batch is read, and the one before deleted,
 * while a batch is on its way to Kafka. Nothing of a seller goes out before what came earlier: a batch that failed is
 * sent again unchanged, as often as it takes.
 *
 * @param mayRun asked before every attempt; false ends the loop (the leadership is gone)
 * @param prefetchFrom rows; a spec that shall meet both ways gives fewer
 * @throws whatever the database throws; the caller starts anew, and what was sent and not deleted is sent again
 */
export async function relayRows(
  outbox: Outbox,
  publisher: Publisher,
  observer: ShardObserver,
  ended: AbortSignal,
  mayRun: () => boolean,
  log: Log,
  prefetchFrom: number = LIMITS.prefetchFrom,
): Promise<void> {
  const idle = new Pace(2, 20, 1.3);
  const size = new BatchSize();
  const held = new HeldSellers(log);
  /** Acknowledged, and not deleted yet. */
  let sent: readonly number[] = [];
  const exchange = (except: readonly number[], limit: number = LIMITS.rowsPerBatch) => {
    const rows = outbox.exchange({ remove: sent, except, held: held.list(), limit });
    sent = [];
    rows.catch(() => {}); // Awaited later, perhaps after something else has failed.
    return rows;
  };
  let rows = await exchange([]);
  while (mayRun()) {
    const batch = size.cut(rows);
    if (batch.length === 0) {
      await pause(idle.next(), ended);
      if (mayRun()) rows = await exchange([]);
      continue;
    }
    idle.reset();
    const ids = batch.map((row) => row.id);
    const messages = batch.map(toMessage);
    const startedAt = performance.now();
    const sending = sendUntilAcknowledged(publisher, messages, observer, ended, mayRun);
    const following = batch.length >= prefetchFrom ? exchange(ids) : null;
    const outcome = await sending;
    if (outcome === 'ended') break;
    if (outcome === 'too large') {
      if (batch.length === 1) held.hold(batch[0]!);
      else size.shrink(batch);
      // What was taken ahead may be of the seller that is held now.
      await following;
      rows = await exchange([]);
      continue;
    }
    observer.sent(batch, performance.now() - startedAt);
    size.grow();
    held.release();
    // In the order of the batches, always: a row must not outlive a later one of its seller and be sent after it.
    // Not in place of what is there: a batch that was taken ahead has not been removed when a small one follows it.
    sent = [...sent, ...ids];
    if (following !== null) {
      rows = await following;
    } else {
      // Each round wakes five processes, so a relay that never rests takes the CPU that its own batches wait for.
      await pause(restAfter(performance.now() - startedAt), ended);
      if (mayRun()) rows = await exchange([]);
    }
  }
  if (sent.length > 0) await exchange([], 0);
}

/**
 * How long to rest after a small batch, in ms, given how long it took: to the shortest round, and longer on a
 * machine that is slow to answer, so that a busy one is not made busier.
 */
export const restAfter = (tookMs: number): number =>
  Math.min(LIMITS.longestRestMs, Math.max(tookMs, LIMITS.shortestRoundMs - tookMs));

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
