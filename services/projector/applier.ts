import { encodeEvent, type ReadSellerEvent } from '#contracts/event-codec.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import type { BusMessage } from './bus.ts';
import {
  type Applicable,
  header,
  keyText,
  type LatestPerKey,
  latestPerKeyInParts,
  type PoisonMessage,
  type Received,
  type Repair,
  versionTold,
} from './latest-per-key.ts';
import type { Superseding } from './parked.ts';
import { isNotifyQueueFull, isRowsFault } from './row-fault.ts';
import type { ViewStore } from './view-store.ts';

/** Told what was applied, for metrics. */
export interface ApplierObserver {
  /** @param changed how many rows the statement changed; `skipped` tells of the other events */
  applied(events: readonly Applicable[], changed: number, tookMs: number): void;
  /** A seller's row was put right by a repair (`applied`), or had no need of it (`duplicate`). */
  repaired(result: 'applied' | 'duplicate'): void;
  /** Messages that changed nothing. */
  skipped(result: Skipped, count: number): void;
  parked(message: PoisonMessage): void;
  /** `true`: the database's notification queue is full, so page servers are not notified. `false`: they are again. */
  muted(isMuted: boolean): void;
}

/**
 * `duplicate`: that version was there; `stale`: a newer one was. `tombstone`: the tombstone beside an erasure, or of a
 * repair. `unversioned`: a tombstone that tells no version. `moved`: the key is in another partition now.
 */
export type Skipped = 'duplicate' | 'stale' | 'tombstone' | 'unversioned' | 'moved';

export const APPLIER_LIMITS = {
  /** Sellers in a statement. */
  rowsPerChunk: 1_000,
  /** Messages looked at for a statement; a backlog holds many of the same seller. */
  messagesPerChunk: 4_000,
  /** Bytes of the messages' values; lists differ by a factor of a hundred. The last message may exceed the limit. */
  bytesPerChunk: 1024 * 1024,
  /** Chunks between decoding and the database's answer. They keep the database busy while the next fetch is decoded. */
  chunksInFlight: 4,
  /**
   * The same of chunks that are copied. For each of the first thousand rows of a COPY the server looks at all of those before
   * it, and from then on at none: the more rows, the less each costs.
   */
  copied: {
    rowsPerChunk: 2_000,
    messagesPerChunk: 4_000,
    bytesPerChunk: 2 * 1024 * 1024,
    chunksInFlight: 2,
  },
  /** Backpressure: messages, and bytes of their values, that may wait; beyond either nothing is fetched. */
  waiting: 12_000,
  bytesWaiting: 8 * 1024 * 1024,
} as const;

type ChunkLimits = Readonly<Record<'rowsPerChunk' | 'messagesPerChunk' | 'bytesPerChunk', number>>;

interface Delivery {
  readonly partition: number;
  readonly messages: readonly BusMessage[];
  readonly next: number;
  taken: number;
}

const sizeOf = (message: BusMessage): number => message.valueLength ?? message.value?.length ?? 0;

/** How far a partition has been applied. */
export interface Position {
  /** The offset after the last message that was applied. */
  next: number;
  /** When that message was written, in ms since the epoch; null before the first. */
  writtenAt: number | null;
  /** Commit time of the newest event applied, in the form of the event; null before the first. */
  committedAt: string | null;
}

/** Pause between two attempts to notify page servers again, in ms. */
const LOOK_WHETHER_TOLD_MS = 5_000;

interface Chunk {
  readonly received: readonly Received[];
  /** The next offset of each partition once the chunk is applied; without partitions that were released meanwhile. */
  readonly reaches: Map<number, number>;
}

/**
 * Applies deliveries to the view: collects what all partitions delivered in the meantime into one statement, keeps
 * the order of each partition, and knows how far each has got. Bounded: `hasRoom` tells when to slow down.
 */
export class Applier {
  readonly positions = new Map<number, Position>();
  readonly #store: ViewStore;
  readonly #toRow: (event: ReadSellerEvent) => unknown;
  readonly #observer: ApplierObserver;
  readonly #onFailure: (err: unknown) => void;
  readonly #clock: Clock;
  readonly #ending = new AbortController();
  #queue: Delivery[] = [];
  #waiting = 0;
  #bytesWaiting = 0;
  #inFlight: Chunk[] = [];
  /** A chunk with repairs is in flight: it waits for all chunks before it, and all later chunks wait for it. */
  #isAlone = false;
  #pumpScheduled = false;
  #ended = false;
  #lastChunk: Promise<void> = Promise.resolve();
  #changed: Array<() => void> = [];
  /** Sellers with a parked message, as far as known: only these need a look when a good event comes. */
  #parkedSellers: Set<number>;
  #parkings = 0;

  /**
   * @param begin where each partition of this member begins
   * @param onFailure called once when the database fails for another reason than the rows; this applier is over then
   */
  constructor(
    store: ViewStore,
    toRow: (event: ReadSellerEvent) => unknown,
    begin: ReadonlyMap<number, number>,
    parkedSellers: Iterable<number>,
    observer: ApplierObserver,
    onFailure: (err: unknown) => void,
    clock: Clock = SYSTEM_CLOCK,
  ) {
    this.#store = store;
    this.#toRow = toRow;
    this.#observer = observer;
    this.#onFailure = onFailure;
    this.#clock = clock;
    this.#parkedSellers = new Set(parkedSellers);
    for (const [partition, next] of begin) {
      this.positions.set(partition, { next, writtenAt: null, committedAt: null });
    }
    if (store.isMuted) void this.#unmuteLater();
  }

  get hasRoom(): boolean {
    return this.#waiting < APPLIER_LIMITS.waiting && this.#bytesWaiting < APPLIER_LIMITS.bytesWaiting;
  }

  get isIdle(): boolean {
    return this.#queue.length === 0 && this.#inFlight.length === 0;
  }

  /** The offset after the last message that was handed over, applied or not; undefined for partitions of others. */
  handedOver(partition: number): number | undefined {
    for (let i = this.#queue.length - 1; i >= 0; i--) {
      const delivery = this.#queue[i]!;
      if (delivery.partition === partition) return delivery.next;
    }
    for (let i = this.#inFlight.length - 1; i >= 0; i--) {
      const reached = this.#inFlight[i]!.reaches.get(partition);
      if (reached !== undefined) return reached;
    }
    return this.positions.get(partition)?.next;
  }

  /** When the oldest message of a partition that waits or is in flight here was written; null when there is none. */
  oldestWaiting(partition: number): number | null {
    for (const { received } of this.#inFlight) {
      const one = received.find((candidate) => candidate.partition === partition);
      if (one) return Number(one.message.timestamp);
    }
    for (const delivery of this.#queue) {
      const message = delivery.partition === partition ? delivery.messages[delivery.taken] : undefined;
      if (message) return Number(message.timestamp);
    }
    return null;
  }

  /** Takes a partition on: the messages that are handed over from now on begin at `next`. */
  begin(partition: number, next: number, parkedSellers: Iterable<number>): void {
    this.positions.set(partition, { next, writtenAt: null, committedAt: null });
    for (const seller of parkedSellers) this.#parkedSellers.add(seller);
    // A `refreshParked` that is under way may have read its list without these sellers: it must not drop them.
    this.#parkings += 1;
  }

  /** Resolves once everything handed over of the partition is applied, or the applier has ended. */
  async drainPartition(partition: number): Promise<void> {
    while (!this.#ended) {
      const position = this.positions.get(partition);
      if (position === undefined || position.next === this.handedOver(partition)) return;
      await this.nextChange();
    }
  }

  /** Drops the partition's waiting messages and forgets it; what is in flight may still reach the database. */
  release(partition: number): void {
    this.positions.delete(partition);
    // The partition may be taken on again at an offset below what is in flight, which must not move it forward.
    for (const { reaches } of this.#inFlight) reaches.delete(partition);
    for (const { partition: of, messages, taken } of this.#queue) {
      if (of !== partition) continue;
      this.#waiting -= messages.length - taken;
      for (let i = taken; i < messages.length; i++) this.#bytesWaiting -= sizeOf(messages[i]!);
    }
    this.#queue = this.#queue.filter((delivery) => delivery.partition !== partition);
    this.#announce();
  }

  /** Takes messages of one partition, which follow on those handed over before. */
  handOver(partition: number, messages: readonly BusMessage[], next: number): void {
    if (this.#ended) return;
    this.#queue.push({ partition, messages, next, taken: 0 });
    this.#waiting += messages.length;
    for (const message of messages) this.#bytesWaiting += sizeOf(message);
    if (this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    // The deliveries of the other partitions come in the same turn of the event loop.
    queueMicrotask(() => {
      this.#pumpScheduled = false;
      this.#pump();
    });
  }

  /** Resolves at the next change: a chunk was applied, or the applier has ended. */
  nextChange(): Promise<void> {
    return this.#ended ? Promise.resolve() : new Promise((resolve) => this.#changed.push(resolve));
  }

  /** Resolves once everything handed over is applied, or the applier has ended. */
  async drain(): Promise<void> {
    while (!this.#ended && !this.isIdle) await this.nextChange();
  }

  /** Drops what waits; what is in flight may still reach the database, which does no harm. */
  end(): void {
    this.#ended = true;
    this.#ending.abort();
    this.#queue = [];
    this.#waiting = 0;
    this.#bytesWaiting = 0;
    this.#announce();
  }

  /** Learns which sellers have a parked message by now: `redrive` may have taken some away. */
  async refreshParked(read: () => Promise<Iterable<number>>): Promise<void> {
    const before = this.#parkings;
    const sellers = await read();
    // The list may miss sellers that were parked while it was read.
    if (before === this.#parkings) this.#parkedSellers = new Set(sellers);
  }

  #announce(): void {
    const changed = this.#changed;
    this.#changed = [];
    for (const resolve of changed) resolve();
  }

  #pump(): void {
    while (!this.#ended && !this.#isAlone && this.#queue.length > 0) {
      const limits = this.#isBuilding() ? APPLIER_LIMITS.copied : APPLIER_LIMITS;
      if (this.#inFlight.length >= limits.chunksInFlight) return;
      const chunk = this.#takeChunk(limits);
      const parts = latestPerKeyInParts(chunk.received);
      // A refused statement is sent again in halves, after later chunks. The version guard makes that harmless for
      // rows. But a repair must run after everything before it, and before everything after it.
      const hasRepairs = parts.some(({ repairs }) => repairs.length > 0);
      this.#isAlone = hasRepairs;
      this.#inFlight.push(chunk);
      const previous = this.#lastChunk;
      this.#lastChunk = this.#apply(chunk, parts, previous, hasRepairs).then(
        () => {
          this.#inFlight.shift();
          if (hasRepairs) this.#isAlone = false;
          this.#announce();
          this.#pump();
        },
        (err) => {
          if (this.#ended) return;
          this.end();
          this.#onFailure(err);
        },
      );
    }
  }

  /** Few messages are upserted, whatever becomes of many. */
  #isBuilding(): boolean {
    return this.#waiting > APPLIER_LIMITS.rowsPerChunk && this.#store.isCopying();
  }

  #takeChunk({ rowsPerChunk, messagesPerChunk, bytesPerChunk }: ChunkLimits): Chunk {
    const received: Received[] = [];
    const reaches = new Map<number, number>();
    const keys = new Set<string>();
    let bytes = 0;
    let taken = 0;
    while (taken < this.#queue.length) {
      const delivery = this.#queue[taken]!;
      const { partition, messages } = delivery;
      while (delivery.taken < messages.length) {
        const isFull =
          received.length >= messagesPerChunk || keys.size >= rowsPerChunk || bytes >= bytesPerChunk;
        if (isFull) break;
        const message = messages[delivery.taken++]!;
        bytes += sizeOf(message);
        const key = keyText(message);
        keys.add(key);
        received.push({ partition, message, keyText: key });
      }
      if (delivery.taken < messages.length) {
        if (delivery.taken > 0) reaches.set(partition, Number(messages[delivery.taken]!.offset));
        break;
      }
      reaches.set(partition, delivery.next);
      taken += 1;
    }
    this.#queue.splice(0, taken);
    this.#waiting -= received.length;
    this.#bytesWaiting -= bytes;
    return { received, reaches };
  }

  /**
   * @param previous settles with the chunk before this one
   * @param isAlone whether nothing of this chunk may be sent before `previous` has settled
   */
  async #apply(
    chunk: Chunk,
    parts: readonly LatestPerKey[],
    previous: Promise<void>,
    isAlone: boolean,
  ): Promise<void> {
    if (isAlone) await previous;
    if (this.#ended) return;
    const refused: PoisonMessage[] = [];
    const superseding: Superseding[] = [];
    const written: Applicable[] = [];
    for (const part of parts) written.push(...(await this.#writePart(part, refused, superseding)));
    // In order from here on: a message is parked before a later one of its seller can supersede it.
    await previous;
    if (this.#ended) return;
    const unapplicable = [...parts.flatMap(({ unreadable }) => unreadable), ...refused];
    const stale = unapplicable.length > 0 ? await this.#park(unapplicable) : 0;
    await this.#supersedeParked(written, superseding);
    if (this.#ended) return;
    this.#tellSkipped(parts, stale);
    this.#advance(chunk, written);
  }

  #tellSkipped(parts: readonly LatestPerKey[], stale: number): void {
    const told: Record<Skipped, number> = { stale, duplicate: 0, tombstone: 0, unversioned: 0, moved: 0 };
    for (const part of parts) {
      told.stale += part.superseded;
      told.duplicate += part.duplicates;
      told.tombstone += part.tombstones;
      told.unversioned += part.unversioned.length;
      told.moved += part.moved;
    }
    for (const [result, count] of Object.entries(told)) {
      if (count > 0) this.#observer.skipped(result as Skipped, count);
    }
  }

  /** @param refused receives the events that the database does not take */
  async #write(events: readonly Applicable[], refused: PoisonMessage[]): Promise<readonly Applicable[]> {
    if (events.length === 0) return events;
    try {
      const startedAt = this.#clock.monotonic();
      // In one order for everybody: two who write the same sellers at once wait for each other, and never in a circle.
      const inOrder = events.toSorted((a, b) => a.event.sellerId - b.event.sellerId);
      const rows = inOrder.map(({ event }) => this.#toRow(event));
      const changed = await this.#orMuted(() => this.#store.upsert(rows));
      this.#observer.applied(events, changed, this.#clock.monotonic() - startedAt);
      if (changed < events.length) void this.#tellApart(events, changed);
      return events;
    } catch (err) {
      if (this.#ended || !isRowsFault(err, this.#store.lost)) throw err;
      if (events.length === 1) {
        const [one] = events as [Applicable];
        refused.push({
          ...one,
          sellerId: one.event.sellerId,
          reason: `the view refuses it: ${(err as Error).message}`,
        });
        return [];
      }
      const middle = events.length >>> 1;
      return [
        ...(await this.#write(events.slice(0, middle), refused)),
        ...(await this.#write(events.slice(middle), refused)),
      ];
    }
  }

  /** Sellers with a repair go one by one: replacing a row takes a transaction, and there are few. */
  async #writePart(
    { events, repairs }: LatestPerKey,
    refused: PoisonMessage[],
    superseding: Superseding[],
  ): Promise<readonly Applicable[]> {
    if (repairs.length === 0) return this.#write(events, refused);
    const bySeller = Map.groupBy(repairs, ({ sellerId }) => sellerId);
    const newest = new Map(events.map((one) => [one.event.sellerId, one]));
    const others = events.filter(({ event }) => !bySeller.has(event.sellerId));
    const written = await Promise.all([
      this.#write(others, refused),
      ...[...bySeller].map(([sellerId, ofSeller]) =>
        this.#repair(ofSeller, newest.get(sellerId) ?? null, refused, superseding),
      ),
    ]);
    return written.flat();
  }

  /** @param newest the event that the seller's row shall hold; null when the row shall be deleted */
  async #repair(
    repairs: readonly Repair[],
    newest: Applicable | null,
    refused: PoisonMessage[],
    superseding: Superseding[],
  ): Promise<readonly Applicable[]> {
    const [{ sellerId }] = repairs as [Repair];
    try {
      const wrong = repairs.flatMap((one) => one.wrong ?? []);
      const row = newest ? this.#toRow(newest.event) : null;
      const changed = await this.#orMuted(() => this.#store.replace(sellerId, wrong, row));
      this.#observer.repaired(changed ? 'applied' : 'duplicate');
      const { partition, message } = newest ?? (repairs.at(-1) as Repair);
      const version = newest?.event.version ?? null;
      superseding.push({ sellerId, version, partition, offset: Number(message.offset), isFinal: true });
      return newest ? [newest] : [];
    } catch (err) {
      if (this.#ended || !isRowsFault(err, this.#store.lost)) throw err;
      const reason = `the view refuses the repair: ${(err as Error).message}`;
      refused.push({ ...(newest ?? (repairs.at(-1) as Repair)), sellerId, reason });
      return [];
    }
  }

  /**
   * Writes. If the commit is refused because the notification queue is full, writes again without notifying page
   * servers: notifications are an optimisation, which must not stop a write.
   */
  async #orMuted<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (err) {
      if (this.#ended || !isNotifyQueueFull(err)) throw err;
      const wasMuted = this.#store.isMuted;
      if (!wasMuted) {
        this.#observer.muted(true);
        void this.#unmuteLater();
      }
      await this.#store.mute();
      return write();
    }
  }

  async #unmuteLater(): Promise<void> {
    const { signal } = this.#ending;
    do {
      await this.#clock.pause(LOOK_WHETHER_TOLD_MS, signal);
      if (signal.aborted) return;
      // The error is not handled here: if the session is lost, the next write through it fails too.
    } while (!(await this.#store.unmute().catch(() => false)));
    this.#observer.muted(false);
  }

  /** Counts duplicates and stale events apart. Asks only about chunks that held an old event; nothing waits for it. */
  async #tellApart(events: readonly Applicable[], changed: number): Promise<void> {
    const old = events.length - changed;
    // Rows that were changed just now are at their version as well, so they are subtracted. Where a later chunk has
    // overtaken them, or the database is gone, duplicates are counted as stale.
    const standing = await this.#store.countAtVersion(events.map(({ event }) => event)).catch(() => changed);
    const duplicates = Math.min(old, Math.max(0, standing - changed));
    if (duplicates > 0) this.#observer.skipped('duplicate', duplicates);
    if (old > duplicates) this.#observer.skipped('stale', old - duplicates);
  }

  /** @returns how many were not kept, because the view or a parked message is at least as new */
  async #park(messages: readonly PoisonMessage[]): Promise<number> {
    this.#parkings += 1;
    const places = await this.#store.park(
      messages.map(({ partition, message, sellerId, reason, event }) => ({
        partition,
        offset: Number(message.offset),
        sellerId,
        version: event?.version ?? versionTold(message, sellerId),
        key: message.key?.toString() ?? null,
        type: header(message, 'ce_type'),
        // A tombstone has no value and its headers are not kept: the erasure is kept, which says the same.
        value: message.value?.toString() ?? (event ? encodeEvent(event) : null),
        reason,
        isReadable: event !== undefined,
      })),
    );
    const kept = new Set(places.map(({ partition, offset }) => `${partition}/${offset}`));
    let beyond = 0;
    for (const one of messages) {
      if (!kept.has(`${one.partition}/${one.message.offset}`)) {
        beyond += 1;
        continue;
      }
      if (one.sellerId !== null) this.#parkedSellers.add(one.sellerId);
      this.#observer.parked(one);
    }
    return beyond;
  }

  async #supersedeParked(written: readonly Applicable[], repairs: readonly Superseding[]): Promise<void> {
    if (this.#parkedSellers.size === 0) return;
    const good: Superseding[] = written
      .filter(({ event }) => this.#parkedSellers.has(event.sellerId))
      .map(({ event, partition, message }) => ({
        sellerId: event.sellerId,
        version: event.version,
        partition,
        offset: Number(message.offset),
        isFinal: event.change.type === 'seller-erased',
      }));
    good.push(...repairs.filter(({ sellerId }) => this.#parkedSellers.has(sellerId)));
    if (good.length > 0) await this.#store.supersede(good);
  }

  #advance(chunk: Chunk, written: readonly Applicable[]): void {
    for (const [partition, next] of chunk.reaches) {
      const position = this.positions.get(partition);
      if (position && position.next < next) position.next = next;
    }
    // The messages of a partition mostly stand together.
    let partition = -1;
    let position: Position | undefined;
    let last: BusMessage | undefined;
    const reach = () => {
      if (position && last) position.writtenAt = Number(last.timestamp);
    };
    for (const one of written) {
      if (one.partition !== partition) {
        reach();
        ({ partition } = one);
        position = this.positions.get(partition);
      }
      last = one.message;
      if (!position) continue;
      const { committedAt } = one.event;
      if (position.committedAt === null || position.committedAt < committedAt)
        position.committedAt = committedAt;
    }
    reach();
  }
}
