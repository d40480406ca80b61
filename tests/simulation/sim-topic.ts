import type { BusMessage } from '../../services/projector/bus.ts';
import { type Random, randomFor } from '../../services/seed/random.ts';
import { BEGINNING, type SimProcess } from './process.ts';
import type { Scheduler } from './scheduler.ts';
import type { Appearance, Sent, Witness } from './witness.ts';

export interface LogRecord {
  readonly offset: number;
  readonly message: BusMessage;
  readonly sent: Sent;
  readonly appearance: Appearance;
}

/** One partition of the topic. */
export class PartitionLog {
  first = 0;
  end = 0;
  records: LogRecord[] = [];
  /** Where an open transaction began: nothing from there on can be read. */
  openSince: number | null = null;

  /** The last stable offset. */
  get next(): number {
    return this.openSince ?? this.end;
  }

  /** Index of the first record at or after the offset. */
  indexOf(offset: number): number {
    let low = 0;
    let high = this.records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.records[middle]!.offset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

interface Waiting {
  readonly wanted: ReadonlyMap<number, number>;
  readonly answer: () => void;
}

/** What a fetch found in one partition. */
export type Fetched =
  | { readonly kind: 'out of range'; readonly partition: number; readonly asked: number }
  | {
      readonly kind: 'batch';
      readonly partition: number;
      readonly from: number;
      readonly next: number;
      readonly end: number;
      readonly messages: readonly BusMessage[];
    };

export class BrokerError extends Error {
  override name = 'BrokerError';
  readonly type: string;

  constructor(type: string) {
    super(type);
    this.type = type;
  }
}

const MOST_RECORDS = 6;
/** `message.timestamp.after.max.ms` */
const LATEST_AHEAD_MS = 3_600_000;

/** The topic as brokers keep it. How producers and consumers use it is in other files. */
export class SimTopic {
  readonly id = 'the-one';
  readonly partitions: PartitionLog[] = [];
  /** One way, in ms. */
  latency: readonly [number, number] = [0.2, 1];
  isUp = true;
  /** How often an acknowledgement is lost, and how often a fetch fails. */
  faults = { acknowledgementLost: 0, fetchFails: 0 };
  /** A record with a larger value is refused, in bytes. */
  largest = Number.POSITIVE_INFINITY;
  readonly scheduler: Scheduler;
  readonly #witness: Witness;
  readonly #random: Random;
  #producers = 0;
  readonly #waiting = new Set<Waiting>();
  /** The last batches of every producer, by which the broker recognises a copy. */
  readonly #sequences = new Map<string, { next: number; last: Array<{ first: number; count: number }> }>();

  constructor(scheduler: Scheduler, seed: number, partitions: number, witness: Witness) {
    this.scheduler = scheduler;
    this.#witness = witness;
    this.#random = randomFor('topic', 0, seed);
    for (let i = 0; i < partitions; i++) this.partitions.push(new PartitionLog());
  }

  /** The broker gives a producer its id. */
  nextProducer(process: SimProcess): string {
    this.#producers += 1;
    return `${process.name}, producer ${this.#producers}`;
  }

  wait(): number {
    const [least, most] = this.latency;
    return least + this.#random.fraction() * (most - least);
  }

  /** Adds partitions; nobody has to use them yet. */
  grow(partitions: number): void {
    while (this.partitions.length < partitions) this.partitions.push(new PartitionLog());
    this.#witness.note('topic', () => `has ${this.partitions.length} partitions`);
  }

  /** A round trip: `work` happens at the broker. */
  call<T>(process: SimProcess, work: () => T, mayLoseAnswer = 0): Promise<T> {
    return new Promise((resolve, reject) => {
      this.scheduler.after(this.wait(), null, () => {
        let settle: () => void;
        try {
          if (!this.isUp) throw new BrokerError('NETWORK_EXCEPTION');
          const value = work();
          settle = () => resolve(value);
          if (this.#random.chance(mayLoseAnswer)) settle = () => reject(new BrokerError('REQUEST_TIMED_OUT'));
        } catch (err) {
          settle = () => reject(err);
        }
        process.after(this.wait(), settle);
      });
    });
  }

  /**
   * Appends a batch as an idempotent producer sends it.
   * @throws BrokerError
   */
  produce(producer: string, partition: number, firstSequence: number, batch: readonly Sent[]): void {
    const key = `${producer}/${partition}`;
    const known = this.#sequences.get(key) ?? { next: 0, last: [] };
    if (known.last.some((one) => one.first === firstSequence && one.count === batch.length)) return;
    if (firstSequence !== known.next) throw new BrokerError('OUT_OF_ORDER_SEQUENCE_NUMBER');
    for (const one of batch) {
      if ((one.value?.length ?? 0) > this.largest) throw new BrokerError('MESSAGE_TOO_LARGE');
      if (Number(one.timestamp) > BEGINNING + this.scheduler.now + LATEST_AHEAD_MS) {
        throw new BrokerError('INVALID_TIMESTAMP');
      }
    }
    known.next += batch.length;
    known.last = [...known.last, { first: firstSequence, count: batch.length }].slice(-5);
    this.#sequences.set(key, known);
    this.append(partition, batch, producer);
  }

  append(partition: number, batch: readonly Sent[], by: string, appearance: Appearance = 'ordinary'): void {
    const log = this.partitions[partition]!;
    for (const sent of batch) {
      const message: BusMessage = {
        offset: String(log.end),
        timestamp: sent.timestamp,
        key: Buffer.from(sent.key),
        value: sent.value === null ? null : Buffer.from(sent.value),
        headers: sent.headers,
      };
      log.records.push({ offset: log.end, message, sent, appearance });
      log.end += 1;
    }
    this.#witness.appended(partition, batch, by, appearance);
    this.#wake();
  }

  /** Removes records that a later record of the same key supersedes, below the offset; the end stays where it is. */
  compact(partition: number, below: number, forgetsTombstones: boolean): void {
    const log = this.partitions[partition]!;
    const limit = Math.min(below, log.next);
    const newest = new Map<string, number>();
    for (const { sent, offset, appearance } of log.records) {
      // A record that nobody can read would replace the seller's list: a run is not about that loss.
      if (appearance === 'ordinary' && offset < log.next) newest.set(sent.key, offset);
    }
    const before = log.records.length;
    log.records = log.records.filter(
      ({ offset, sent, appearance }) =>
        offset >= limit ||
        (appearance !== 'hidden' &&
          offset >= (newest.get(sent.key) ?? 0) &&
          !(forgetsTombstones && sent.value === null)),
    );
    this.#witness.note(
      'topic',
      () => `partition ${partition} compacted below ${limit}: ${before} → ${log.records.length} records`,
      { partition },
    );
  }

  /** Loses the newest records, as an unclean election does. */
  truncate(partition: number, end: number): void {
    const log = this.partitions[partition]!;
    log.records = log.records.filter(({ offset }) => offset < end);
    log.end = Math.max(end, log.first);
    if (log.openSince !== null && log.openSince >= log.end) log.openSince = null;
    this.#witness.note('topic', () => `partition ${partition} truncated to end ${log.end}`, { partition });
  }

  /** Loses the oldest records, as when a topic was deleted and created again, or its retention changed. */
  forgetBelow(partition: number, first: number): void {
    const log = this.partitions[partition]!;
    log.records = log.records.filter(({ offset }) => offset >= first);
    log.first = Math.min(first, log.end);
  }

  /** Begins a stranger's transaction: until it ends, nothing after its beginning can be read. */
  beginTransaction(partition: number): void {
    const log = this.partitions[partition]!;
    if (log.openSince !== null) return;
    log.openSince = log.end;
    this.append(partition, [FOREIGN], 'foreign transaction', 'hidden');
  }

  /** Aborts it: nothing of it is delivered, and its marker takes an offset. */
  abortTransaction(partition: number): void {
    const log = this.partitions[partition]!;
    if (log.openSince === null) return;
    log.openSince = null;
    this.append(partition, [FOREIGN], 'foreign transaction', 'hidden');
  }

  /**
   * Answers when there are records, or with nothing after `maxWaitMs`.
   * @throws BrokerError
   */
  async fetch(
    process: SimProcess,
    wanted: ReadonlyMap<number, number>,
    maxWaitMs: number,
  ): Promise<readonly Fetched[]> {
    return new Promise((resolve, reject) => {
      this.scheduler.after(this.wait(), null, () => {
        if (!this.isUp || this.#random.chance(this.faults.fetchFails)) {
          process.after(this.wait(), () => reject(new BrokerError('NETWORK_EXCEPTION')));
          return;
        }
        const answer = () => {
          this.#waiting.delete(waiting);
          expiry.run = null;
          const found = this.#look(wanted);
          process.after(this.wait(), () =>
            this.isUp ? resolve(found) : reject(new BrokerError('NETWORK_EXCEPTION')),
          );
        };
        const waiting = { wanted, answer };
        const expiry = this.scheduler.after(maxWaitMs, null, answer);
        this.#waiting.add(waiting);
        if (this.#hasSomething(wanted)) answer();
      });
    });
  }

  #wake(): void {
    for (const waiting of [...this.#waiting]) if (this.#hasSomething(waiting.wanted)) waiting.answer();
  }

  #hasSomething(wanted: ReadonlyMap<number, number>): boolean {
    for (const [partition, from] of wanted) {
      const log = this.partitions[partition];
      if (log === undefined || from < log.first || from > log.end || from < log.next) return true;
    }
    return false;
  }

  #look(wanted: ReadonlyMap<number, number>): Fetched[] {
    const found: Fetched[] = [];
    for (const [partition, from] of wanted) {
      const log = this.partitions[partition];
      if (log === undefined || from < log.first || from > log.end) {
        found.push({ kind: 'out of range', partition, asked: from });
        continue;
      }
      if (from >= log.next) continue;
      const messages: BusMessage[] = [];
      const most = this.#random.integer(1, MOST_RECORDS);
      let next = log.next;
      for (let at = log.indexOf(from), seen = 0; at < log.records.length; at++) {
        const record = log.records[at]!;
        if (record.offset >= log.next) break;
        if (seen === most) {
          next = record.offset;
          break;
        }
        seen += 1;
        if (record.appearance !== 'hidden') messages.push(record.message);
      }
      found.push({ kind: 'batch', partition, from, next, end: log.end, messages });
    }
    return found;
  }
}

const FOREIGN: Sent = { key: 'foreign', value: null, timestamp: String(BEGINNING), headers: {} };
