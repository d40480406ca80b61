import { SELLER_MOVED } from '#contracts/events.ts';
import { RANGES } from '#contracts/ranges.ts';
import { Backoff } from '#platform/backoff.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { Outbox, OutboxRow, WaitingRow } from '../top-clients/adapters/postgres/outbox.ts';
import type { OutboxAlarm, SetAlarm } from '../top-clients/adapters/postgres/outbox-alarm.ts';
import { HeldSellers } from './held.ts';
import type { Fence } from './lease.ts';
import { at, type RelayMessage, sizeOf, toMessage } from './message.ts';
import type { Publisher } from './publisher.ts';
import { failureOf, isSize, meaningOf, type SendFailure } from './refusals.ts';

/** Told what happens, for metrics and readiness. */
export interface ShardObserver {
  sent(rows: readonly OutboxRow[], tookMs: number): void;
  /** A send failed. It will be tried again, whole or in parts. */
  sendFailed(failure: SendFailure): void;
  /** Why nothing of the shard can be sent; null once something was. Told when it changes. */
  blocked(because: string | null): void;
  /** How many sellers wait for a row that is refused. Told when it changes. */
  held(sellers: number): void;
}

export const LIMITS = {
  rowsPerBatch: 1_000,
  /**
   * From this many rows on, the next batch is taken while this one is in flight. Below, it is taken afterwards: that is
   * later by a fraction of a millisecond, but finds all rows that came meanwhile. So there are fewer, fuller batches.
   */
  prefetchFrom: 200,
  /** Bytes of one request; a partition's share may also meet the topic's own limit, which is found by trying. */
  bytesPerBatch: 4 * 1024 * 1024,
  /** Once a send has failed for this long, a transient failure is logged too and makes the process not ready. */
  blockedAfterMs: 5_000,
  /** A round of one row; each further row lengthens it by a millisecond, up to `roundMs`. */
  shortestRoundMs: 3,
  /** A rest, however slow the broker is to answer. */
  longestRestMs: 10,
} as const;

/** How long a relay that is awake waits before it looks again. */
export const IDLE = { shortestMs: 2, longestMs: 20, growth: 1.3 } as const;
/**
 * A relay sleeps between rare rows, and is woken by each. From some two hundred rows a second on it looks by itself
 * instead, and sooner where commits are slow: those that wake it wait for one another.
 */
export const SLEEP = {
  /** It ends with two rounds in a row that come sooner after the one before; times the shards: all notify in one database. */
  endsMs: 5,
  /** Or sooner than half of what it took until the last row that rang could be read, but no later than this. */
  endsAtMostMs: 500,
  /** It begins after so many times that without a row. */
  begins: 2.5,
  /** How long it lasts without a look of its own: what does not fire triggers does not wake it. */
  longestMs: 5_000,
  /** When it could not begin: somebody writes, or the outbox does not ring. */
  again: { firstMs: 20, longestMs: 1_000, random: null },
} as const;

export interface RelayOptions {
  /** Rows; a spec that tests both ways gives fewer. */
  readonly prefetchFrom?: number;
  readonly clock?: Clock;
  /** Waits while there is nothing to send: the first and the longest, in ms, and the factor by which they grow. */
  readonly pacing?: { readonly shortestMs: number; readonly longestMs: number; readonly growth: number };
  readonly roundMs?: number;
  /** Wakes it when a row is written; without one it looks again and again. */
  readonly alarm?: OutboxAlarm | null;
  /** How many shards share the outbox. */
  readonly shards?: number;
}

/** Rows and their messages. Each message is made once: a failed batch is sent again unchanged. */
interface Batch {
  readonly rows: readonly OutboxRow[];
  readonly messages: readonly RelayMessage[];
  /** Whether the messages carry the time of sending instead of their events'. */
  readonly timed: boolean;
}

/**
 * Relays a shard's rows until `ended` aborts. Under a backlog the next batch is read, and the one before deleted, while
 * a batch is in flight. A seller's rows go out in order: a failed batch is sent again unchanged, as often as it takes.
 *
 * If a record is refused for good, its batch is halved until that record is found. Its seller is held, and all others
 * go on.
 *
 * @param fence asked before every attempt; the loop ends when it is no longer held
 * @throws whatever the database throws; the caller starts anew, and what was sent and not deleted is sent again
 */
export async function relayRows(
  outbox: Outbox,
  publisher: Publisher,
  observer: ShardObserver,
  ended: AbortSignal,
  fence: Fence,
  log: Log,
  {
    prefetchFrom = LIMITS.prefetchFrom,
    clock = SYSTEM_CLOCK,
    pacing = IDLE,
    roundMs = RANGES.relay.roundMs.default,
    alarm = null,
    shards = 1,
  }: RelayOptions = {},
): Promise<void> {
  const idle = new Backoff({
    firstMs: pacing.shortestMs,
    longestMs: pacing.longestMs,
    factor: pacing.growth,
    random: null,
  });
  const size = new BatchSize();
  const held = new HeldSellers(log, clock);
  const sender = new Sender(publisher, observer, ended, fence, log, clock);
  const hold = (row: OutboxRow, failure: SendFailure) => {
    held.hold(row, failure);
    observer.held(held.size);
  };
  /** The message of a row; null when it cannot be encoded: then its seller is held. */
  const encode = (row: OutboxRow): RelayMessage | null => {
    try {
      return toMessage(row, clock.now());
    } catch (err) {
      const failure = { kind: 'record', reason: 'NOT_ENCODABLE', message: failureOf(err).message } as const;
      observer.sendFailed(failure);
      hold(row, failure);
      return null;
    }
  };
  /**
   * The messages of rows. If a seller's state is in the batch, a marker of that seller after it is left for later, and
   * so is all that follows the marker. The reason: a request is taken partition by partition. If the new partition
   * refuses the state, and the old one takes the marker, compaction removes the only state there is.
   */
  const batchOf = (rows: readonly OutboxRow[]): Batch => {
    const batch = { rows: [] as OutboxRow[], messages: [] as RelayMessage[], timed: false };
    const hasMarkers = rows.some(({ type }) => type === SELLER_MOVED);
    const taken = new Set<number>();
    const later = new Set<number>();
    for (const row of rows) {
      if (hasMarkers && row.type === SELLER_MOVED && taken.has(row.sellerId)) later.add(row.sellerId);
      if (later.has(row.sellerId)) continue;
      // The row before may have made this seller held.
      const message = held.has(row.sellerId) ? null : encode(row);
      if (message === null) continue;
      batch.rows.push(row);
      batch.messages.push(message);
      if (hasMarkers) taken.add(row.sellerId);
    }
    return batch;
  };

  /** Ids of rows that were acknowledged and are not deleted yet. */
  let sent: readonly number[] = [];
  let endsErasures = false;
  const ackAndFetch = (except: readonly number[], limit: number = LIMITS.rowsPerBatch) => {
    const rows = outbox.ackAndFetch({ remove: sent, endsErasures, except, held: held.list(), limit });
    sent = [];
    endsErasures = false;
    rows.catch(() => {}); // Awaited later, perhaps after something else has failed.
    return rows;
  };
  const send = async (batch: Batch, mayBeRefused: boolean): Promise<SendOutcome> => {
    const startedAt = clock.monotonic();
    const outcome = await sender.send(batch, mayBeRefused);
    if (outcome === 'sent') {
      observer.sent(batch.rows, clock.monotonic() - startedAt);
      // Always in the order of the batches: a row must not outlive a later one of its seller and be sent after it. Ids
      // are added, not replaced: a batch that was taken ahead is not removed yet when a small one follows it.
      sent = [...sent, ...idsOf(batch)];
      endsErasures ||= batch.rows.some(endsErasure);
    }
    return outcome;
  };

  /**
   * Sends what can be sent of a batch that was refused, in order, and holds the sellers of what cannot.
   * @returns false when the leadership ended meanwhile
   */
  const sendInParts = async (refused: Refused): Promise<boolean> => {
    const before = size.bytes;
    const partsOf = ({ batch, failure }: Refused): Batch[] => {
      if (batch.rows.length > 1) {
        if (isSize(failure)) size.shrink(batch.rows);
        return halves(batch);
      }
      // This record itself is too large; the size of the batch was not the cause.
      if (isSize(failure)) size.bytes = before;
      hold(batch.rows[0]!, failure);
      return [];
    };
    const parts = partsOf(refused);
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
      const batch = without(part, held);
      if (batch.rows.length === 0) continue;
      const outcome = await send(batch, batch.rows.length > 1 || held.hasRoom());
      if (outcome === 'ended') return false;
      if (outcome !== 'sent') parts.unshift(...partsOf(outcome));
    }
    return true;
  };

  /**
   * Tries the row of a held seller again, alone, so that nobody's batch is refused for it.
   * @returns false when the leadership ended meanwhile
   */
  const tryHeld = async ({ sellerId, id }: { sellerId: number; id: number }): Promise<boolean> => {
    const row = await outbox.find(id);
    // Somebody has deleted the row: the rows after it may go.
    if (row !== null) {
      const message = encode(row);
      if (message === null) return true;
      const outcome = await send({ rows: [row], messages: [message], timed: false }, true);
      if (outcome === 'ended') return false;
      if (outcome !== 'sent') {
        hold(row, outcome.failure);
        return true;
      }
    }
    held.release(sellerId);
    observer.held(held.size);
    outbox.release({ id });
    return true;
  };

  const sleep = new Sleep(alarm, clock, shards);
  /** Waits until there may be something to send. @returns what there is */
  const waitForRows = async (): Promise<readonly WaitingRow[]> => {
    // A held seller's row is due at a time of its own.
    if (held.size > 0) sleep.end();
    const slept = sleep.set !== null;
    if (sleep.set !== null) await sleep.set.rung(SLEEP.longestMs, ended);
    else if (held.size > 0 || !(await sleep.begins())) await clock.pause(idle.next(), ended);
    if (!fence.isHeld()) return [];
    const found = await ackAndFetch([]);
    if (slept && found.length > 0) sleep.rang(found[0]!.waitedMs);
    return found;
  };

  let rows: readonly OutboxRow[] = await ackAndFetch([]);
  while (fence.isHeld()) {
    const due = held.due();
    if (due !== null && !(await tryHeld(due))) break;
    const batch = batchOf(size.cut(rows));
    if (batch.rows.length === 0) {
      // Where rows were read, all are of sellers who became held since: then there is no pause.
      if (rows.length === 0) rows = await waitForRows();
      else if (fence.isHeld()) rows = await ackAndFetch([]);
      continue;
    }
    idle.reset();
    const startedAt = clock.monotonic();
    sleep.interrupted(startedAt);
    const sending = send(batch, batch.rows.length > 1 || held.hasRoom());
    const following = batch.rows.length >= prefetchFrom ? ackAndFetch(idsOf(batch)) : null;
    const outcome = await sending;
    if (outcome === 'ended') break;
    if (outcome !== 'sent') {
      // The rows that were taken ahead may be of a seller who will be held, so they are read again.
      await following;
      if (!(await sendInParts(outcome))) break;
      if (fence.isHeld()) rows = await ackAndFetch([]);
      continue;
    }
    size.grow();
    if (following !== null) {
      rows = await following;
    } else {
      // Each round wakes five processes, so a relay that never rests takes the CPU that its own batches wait for.
      // Not to be cut short: it is soon over, and to listen for the end costs more than the pause.
      if (sleep.set === null)
        await clock.pause(restAfter(clock.monotonic() - startedAt, batch.rows.length, roundMs));
      if (fence.isHeld()) rows = await ackAndFetch([]);
    }
  }
  if (sent.length > 0) await ackAndFetch([], 0);
}

/** Whether the relay waits for the alarm instead of looking by itself. */
class Sleep {
  readonly #alarm: OutboxAlarm | null;
  readonly #clock: Clock;
  readonly #shortestMs: number;
  readonly #again = new Backoff(SLEEP.again);
  /** Not null while it sleeps, and while it sends what woke it. */
  set: SetAlarm | null = null;
  #endsMs: number;
  #beginsAt: number;
  #roundAt = Number.NEGATIVE_INFINITY;
  #wokenSoon = false;

  constructor(alarm: OutboxAlarm | null, clock: Clock, shards: number) {
    this.#alarm = alarm;
    this.#clock = clock;
    this.#shortestMs = SLEEP.endsMs * shards;
    this.#endsMs = this.#shortestMs;
    this.#beginsAt = this.#beginsAfter(clock.monotonic());
  }

  #beginsAfter(at: number): number {
    return at + SLEEP.begins * this.#endsMs;
  }

  /** @returns whether it begins now. What was written before does not ring, so a look must follow. */
  async begins(): Promise<boolean> {
    if (this.#alarm === null || this.#clock.monotonic() < this.#beginsAt) return false;
    this.set = await this.#alarm.set();
    if (this.set === null) this.#beginsAt = this.#clock.monotonic() + this.#again.next();
    else this.#again.reset();
    return this.set !== null;
  }

  /** A row that was committed so long ago has ended the silence. */
  rang(waitedMs: number): void {
    this.#endsMs = Math.max(this.#shortestMs, Math.min(waitedMs / 2, SLEEP.endsAtMostMs));
  }

  /** A round begins. */
  interrupted(at: number): void {
    const soon = at - this.#roundAt < this.#endsMs;
    if (soon && this.#wokenSoon) this.end();
    this.#wokenSoon = soon;
    this.#roundAt = at;
    this.#beginsAt = this.#beginsAfter(at);
  }

  end(): void {
    this.set?.off();
    this.set = null;
  }
}

/**
 * How long to rest after a small batch, in ms, given how long it took. The rest fills up the round: few rows have a short one,
 * for nothing is saved where the next row is far. On a machine that is slow to answer the rest is longer, so that a busy
 * machine is not made busier.
 */
export function restAfter(tookMs: number, rows: number, roundMs: number): number {
  const lengthMs = Math.min(roundMs, LIMITS.shortestRoundMs + rows - 1);
  return Math.max(lengthMs - tookMs, Math.min(LIMITS.longestRestMs, tookMs));
}

interface Refused {
  /** The batch as it was sent last. */
  readonly batch: Batch;
  readonly failure: SendFailure;
}
type SendOutcome = 'sent' | 'ended' | Refused;

/** A send that is under way. */
interface Sending {
  readonly batch: Batch;
  readonly startedAt: number;
  /** Its last failure. */
  last: SendFailure;
}

const NO_ANSWER: SendFailure = { kind: 'transient', reason: 'REQUEST_TIMED_OUT', message: 'no answer yet' };

/** Sends a batch until it is acknowledged or refused, and says so when it takes long. */
class Sender {
  readonly #publisher: Publisher;
  readonly #observer: ShardObserver;
  readonly #ended: AbortSignal;
  readonly #fence: Fence;
  readonly #log: Log;
  readonly #clock: Clock;
  #blockedBy: SendFailure['reason'] | null = null;
  #toldOfTimes = false;
  #sending: Sending | null = null;
  #watching: Promise<void> | null = null;

  constructor(
    publisher: Publisher,
    observer: ShardObserver,
    ended: AbortSignal,
    fence: Fence,
    log: Log,
    clock: Clock,
  ) {
    this.#publisher = publisher;
    this.#observer = observer;
    this.#ended = ended;
    this.#fence = fence;
    this.#log = log;
    this.#clock = clock;
  }

  /** @param mayBeRefused if false, a batch with a refused record is tried again like after any other failure */
  async send(batch: Batch, mayBeRefused: boolean): Promise<SendOutcome> {
    const startedAt = this.#clock.monotonic();
    this.#sending = { batch, startedAt, last: NO_ANSWER };
    this.#watching ??= this.#watch();
    try {
      return await this.#untilTaken(this.#sending, mayBeRefused);
    } finally {
      this.#sending = null;
    }
  }

  async #untilTaken(sending: Sending, mayBeRefused: boolean): Promise<SendOutcome> {
    const { batch, startedAt } = sending;
    let going = batch;
    let backoff: Backoff | null = null;
    while (this.#fence.isHeld()) {
      try {
        await this.#publisher.send(going.messages);
        this.#goesOn();
        return 'sent';
      } catch (err) {
        if (this.#ended.aborted) return 'ended';
        const failure = failureOf(err);
        sending.last = failure;
        this.#observer.sendFailed(failure);
        // The topic may refuse only the time. Kafka's time is but a hint to readers: `ce_time` is the event's.
        if (failure.reason === 'INVALID_TIMESTAMP' && !going.timed) {
          going = this.#timed(going);
          continue;
        }
        if (failure.kind === 'record' && mayBeRefused) {
          // The broker takes other batches.
          this.#goesOn();
          return { batch: going, failure };
        }
        const isLate = this.#clock.monotonic() - startedAt >= LIMITS.blockedAfterMs;
        if (isLate || failure.kind !== 'transient') this.#isBlocked(failure, batch);
        // The refusal has ended the producer, so another batch may follow: one with a new time, if the clock was set.
        if (failure.reason === 'INVALID_TIMESTAMP') going = this.#timed(going);
        backoff ??= new Backoff({ firstMs: 50, longestMs: 2_000, random: null });
        await this.#clock.pause(backoff.next(), this.#ended);
      }
    }
    return 'ended';
  }

  /** Tells of a send that takes long, even if it gives no sign. One timer for many sends: most take a millisecond. */
  async #watch(): Promise<void> {
    for (let sending = this.#sending; sending !== null; sending = this.#sending) {
      const left = LIMITS.blockedAfterMs - (this.#clock.monotonic() - sending.startedAt);
      if (left <= 0) this.#isBlocked(sending.last, sending.batch);
      await this.#clock.pause(left > 0 ? left : LIMITS.blockedAfterMs, this.#ended);
      if (this.#ended.aborted) return;
    }
    this.#watching = null;
  }

  #timed({ rows, messages }: Batch): Batch {
    if (!this.#toldOfTimes) {
      this.#log.warn(
        { rows: rows.length, id: rows[0]!.id },
        'the topic does not take the times of these events; they go out with the present time',
      );
      this.#toldOfTimes = true;
    }
    const now = this.#clock.now();
    return { rows, messages: messages.map((message) => at(message, now)), timed: true };
  }

  #isBlocked({ reason, message }: SendFailure, { rows }: Batch): void {
    if (this.#blockedBy === reason || this.#ended.aborted) return;
    this.#blockedBy = reason;
    const { cure } = meaningOf(reason);
    this.#log.error(
      { reason, message, rows: rows.length, id: rows[0]!.id, sellerId: rows[0]!.sellerId },
      `nothing can be sent to Kafka${cure === null ? '' : `; what helps: ${cure}`}`,
    );
    this.#observer.blocked(`Kafka takes no messages: ${reason}, ${message}`);
  }

  #goesOn(): void {
    if (this.#blockedBy === null) return;
    this.#log.info({ reason: this.#blockedBy }, 'Kafka takes messages again');
    this.#blockedBy = null;
    this.#observer.blocked(null);
  }
}

const endsErasure = ({ type, value }: OutboxRow) => value === null && type === 'seller-erased';

const idsOf = ({ rows }: Batch): number[] => rows.map(({ id }) => id);

const part = ({ rows, messages, timed }: Batch, from: number, to?: number): Batch => ({
  rows: rows.slice(from, to),
  messages: messages.slice(from, to),
  timed,
});

function halves(batch: Batch): Batch[] {
  const middle = Math.ceil(batch.rows.length / 2);
  return [part(batch, 0, middle), part(batch, middle)];
}

/** The rest of a batch when some of its sellers were held meanwhile. */
function without({ rows, messages, timed }: Batch, held: HeldSellers): Batch {
  const goes = (_: unknown, i: number) => !held.has(rows[i]!.sellerId);
  return { rows: rows.filter(goes), messages: messages.filter(goes), timed };
}

/** How many bytes go into a batch: fewer after the broker refused one, then slowly more again. */
class BatchSize {
  bytes: number = LIMITS.bytesPerBatch;

  cut(rows: readonly OutboxRow[]): readonly OutboxRow[] {
    let bytes = 0;
    const end = rows.findIndex((row) => {
      bytes += sizeOf(row);
      return bytes > this.bytes;
    });
    return end === -1 ? rows : rows.slice(0, Math.max(1, end));
  }

  shrink(refused: readonly OutboxRow[]): void {
    this.bytes = Math.max(1, Math.floor(refused.reduce((sum, row) => sum + sizeOf(row), 0) / 2));
  }

  grow(): void {
    this.bytes = Math.min(LIMITS.bytesPerBatch, Math.ceil(this.bytes * 1.05));
  }
}
