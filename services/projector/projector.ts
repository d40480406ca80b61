import type { Projection } from '#pages/projection.ts';
import { pause, within } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { PoolSettings } from '#platform/postgres.ts';
import type { Tracing } from '#platform/span.ts';
import { Applier, type ApplierObserver } from './applier.ts';
import { loggedApplier } from './applier-log.ts';
import type { Batch, Bus } from './bus.ts';
import { lagRecords, lagSeconds } from './lag.ts';
import type { LagReading, openProjectorMetrics } from './metrics.ts';
import { ParkedRetries } from './parked-retries.ts';
import { tracedApplier } from './traces.ts';
import { openViewStore, type ViewStore } from './view-store.ts';

export interface ProjectorSettings {
  readonly database: Omit<PoolSettings, 'maximum'>;
  readonly page: string;
  readonly delivery: string;
  readonly projection: Projection;
  readonly tracing: Tracing;
  /** How long a delivery may wait before the group has to hear from this member, in ms. */
  readonly stayAliveMs: number;
}

const CHECKPOINT_EVERY_MS = 500;
const LOOK_EVERY_MS = 2_000;
const BACK_OFF_MS = { first: 100, longest: 1_000 };

/**
 * Keeps one view up with the bus. The database is the authority on how far the view is: whenever a partition is
 * assigned, or a connection was lost and with it perhaps the last rows, it begins where the stored checkpoint says.
 */
export class Projector {
  readonly #bus: Bus;
  readonly #settings: ProjectorSettings;
  readonly #log: Log;
  readonly #metrics: ReturnType<typeof openProjectorMetrics>;
  readonly #fail: (err: unknown) => void;
  readonly #told: ApplierObserver;
  readonly #parkedRetries: ParkedRetries;
  readonly #startedAt = Date.now();
  readonly #stopping = new AbortController();
  #store: ViewStore | null = null;
  #applier: Applier | null = null;
  #assigned: readonly number[] = [];
  #joined = false;
  #trouble: string | null = null;
  #endsVisible = true;
  /** Replaced at every assignment and after every loss of the database: work begun before is void. */
  #epoch = 0;
  /** The stored checkpoint of each partition, as last seen. */
  readonly #stored = new Map<number, number>();
  readonly #ends = new Map<number, number>();
  readonly #caughtUpAt = new Map<number, number>();
  #ticking: Promise<void> = Promise.resolve();

  constructor(
    bus: Bus,
    settings: ProjectorSettings,
    metrics: (readLag: () => readonly LagReading[]) => ReturnType<typeof openProjectorMetrics>,
    log: Log,
    fail: (err: unknown) => void,
  ) {
    this.#bus = bus;
    this.#settings = settings;
    this.#log = log;
    this.#fail = fail;
    this.#metrics = metrics(() => this.lag());
    this.#told = loggedApplier(this.#metrics.observer, log);
    this.#parkedRetries = new ParkedRetries(this.#metrics.redriven, log);
  }

  /** Names what keeps it from working; null when nothing does. */
  notReadyBecause(): string | null {
    return this.#trouble ?? (this.#joined ? null : 'has not joined the consumer group yet');
  }

  lag(): LagReading[] {
    const now = Date.now();
    const applier = this.#applier;
    return this.#assigned.flatMap((partition) => {
      const position = applier?.positions.get(partition);
      const applied = position?.next ?? this.#stored.get(partition);
      if (applied === undefined) return [];
      const progress = {
        applied,
        end: this.#ends.get(partition) ?? applied,
        oldestDelivered: applier?.oldestWaiting(partition) ?? null,
        lastApplied: position?.writtenAt ?? null,
        caughtUpAt: this.#caughtUpAt.get(partition) ?? null,
      };
      return [
        { partition, records: lagRecords(progress), seconds: lagSeconds(progress, now, this.#startedAt) },
      ];
    });
  }

  start(): void {
    this.#bus
      .start({
        assigned: (partitions) => this.#takeOver(partitions),
        deliver: (batch, stayAlive) => this.#deliver(batch, stayAlive),
        crashed: this.#fail,
      })
      .catch(this.#fail);
    this.#ticking = Promise.all([
      this.#every(CHECKPOINT_EVERY_MS, () => this.#checkpoint()),
      this.#every(LOOK_EVERY_MS, () => this.#look()),
    ]).then(() => {});
  }

  /** Applies what was handed over, stores how far it got, and leaves. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#ticking;
    const applier = this.#applier;
    if (applier) {
      await within(3_000, 'applying what was delivered', applier.drain()).catch((err) =>
        this.#log.warn(
          { err },
          'stops with messages that were delivered and not applied; they will be read again',
        ),
      );
      await this.#checkpoint();
      await this.#commit();
    }
    this.#applier?.end();
    await this.#bus.stop();
    await this.#store?.close();
  }

  async #takeOver(partitions: readonly number[]): Promise<ReadonlyMap<number, number>> {
    const epoch = ++this.#epoch;
    const applier = this.#applier;
    if (applier) {
      // What was delivered under the last assignment is still worth applying: whoever has the partition now would
      // have to do it again.
      await within(2_000, 'applying what was delivered', applier.drain()).catch(() => {});
      await this.#checkpoint();
      applier.end();
      this.#applier = null;
    }
    this.#assigned = [...partitions];
    this.#metrics.rebalanced();
    this.#log.info({ partitions }, 'was assigned partitions');
    return this.#begin(epoch);
  }

  /** Opens the view at its checkpoints, for as long as it takes. @returns where each assigned partition begins */
  async #begin(epoch: number): Promise<ReadonlyMap<number, number>> {
    for (let wait = BACK_OFF_MS.first; ; wait = Math.min(BACK_OFF_MS.longest, wait * 2)) {
      if (this.#stopping.signal.aborted || epoch !== this.#epoch) return new Map();
      try {
        const store = await this.#openStore();
        const begin = await this.#findBeginnings(store);
        const parked = await store.parkedSellers();
        if (epoch !== this.#epoch) return begin;
        this.#stored.clear();
        for (const [partition, next] of begin) this.#stored.set(partition, next);
        this.#applier = new Applier(
          store,
          (event) => this.#settings.projection.toRow(event),
          begin,
          known(parked),
          tracedApplier(this.#told, this.#settings.tracing, store, this.#settings, this.#log),
          (err) => this.#recover(err),
        );
        this.#metrics.parkedSellers(parked.length);
        this.#trouble = null;
        this.#joined = true;
        return begin;
      } catch (err) {
        this.#trouble = `the database of the page: ${(err as Error).message}`;
        this.#log.warn({ err, nextTryMs: wait }, 'cannot use the database of the page; trying again');
        await pause(wait, this.#stopping.signal);
      }
    }
  }

  async #openStore(): Promise<ViewStore> {
    if (this.#store && !this.#store.lost.aborted) return this.#store;
    void this.#store?.close();
    this.#store = null;
    const store = await openViewStore(this.#settings.database, this.#settings.projection);
    store.lost.addEventListener('abort', () => this.#recover(store.lost.reason));
    this.#store = store;
    return store;
  }

  async #findBeginnings(store: ViewStore): Promise<Map<number, number>> {
    const stored = await store.loadCheckpoints(this.#assigned);
    // The bus being unreachable is no reason to wait: kafkajs deals with a position beyond the end by itself.
    const ends = await within(3_000, 'asking for the ends of the topic', this.#bus.ends()).catch(() => null);
    if (ends === null) return stored;
    for (const [partition, next] of stored) {
      const end = ends.get(partition);
      if (end === undefined) continue;
      this.#ends.set(partition, end.next);
      if (next > end.next) {
        this.#log.warn(
          { partition, next, end: end.next },
          'the partition ends before the checkpoint: begins anew',
        );
        await store.resetCheckpoint(partition, end.first);
        stored.set(partition, end.first);
      } else if (next < end.first) stored.set(partition, end.first);
    }
    return stored;
  }

  /** The database failed, for another reason than a row. */
  #recover(cause: unknown): void {
    const applier = this.#applier;
    if (applier === null || this.#stopping.signal.aborted) return;
    this.#log.warn(
      { err: cause },
      'lost the database of the page; goes on from the last checkpoint when it is back',
    );
    this.#trouble = `the database of the page: ${(cause as Error)?.message}`;
    this.#applier = null;
    applier.end();
    // Its rows may not have reached the disk, and a session in an unknown state helps nobody.
    void this.#store?.close();
    this.#store = null;
    const epoch = ++this.#epoch;
    void pause(BACK_OFF_MS.first, this.#stopping.signal)
      .then(() => this.#begin(epoch))
      .then((begin) => {
        if (epoch !== this.#epoch) return;
        for (const [partition, next] of begin) this.#bus.seek(partition, next);
      })
      .catch(this.#fail);
  }

  async #deliver(batch: Batch, stayAlive: () => Promise<void>): Promise<void> {
    this.#ends.set(batch.partition, batch.end);
    const epoch = this.#epoch;
    while (!this.#stopping.signal.aborted && epoch === this.#epoch) {
      const applier = this.#applier;
      if (applier?.hasRoom) {
        const expected = applier.handedOver(batch.partition);
        if (expected === undefined) return;
        if (batch.from > expected) {
          // Never over a gap: whatever went missing in between is asked for again.
          this.#log.warn({ partition: batch.partition, expected, from: batch.from }, 'a delivery left a gap');
          this.#bus.seek(batch.partition, expected);
          return;
        }
        applier.handOver(batch.partition, batch.messages, batch.next);
        return;
      }
      await Promise.race([
        applier ? applier.nextChange() : pause(50, this.#stopping.signal),
        pause(this.#settings.stayAliveMs, this.#stopping.signal),
      ]);
      await stayAlive();
    }
  }

  async #checkpoint(): Promise<void> {
    const applier = this.#applier;
    const store = this.#store;
    if (!applier || !store) return;
    const progress = [...applier.positions].map(([partition, position]) => ({
      partition,
      known: this.#stored.get(partition) ?? 0,
      next: position.next,
      committedAt: position.committedAt,
    }));
    if (progress.every(({ known, next }) => known === next)) return;
    try {
      const before = await store.checkpoint(progress);
      if (applier !== this.#applier) return;
      if (progress.some(({ partition, known }) => (before.get(partition) ?? -1) < known)) {
        return this.#recover(new Error('the checkpoints were reset'));
      }
      for (const { partition, next } of progress) {
        this.#stored.set(partition, Math.max(next, before.get(partition) ?? 0));
      }
    } catch (err) {
      if (applier === this.#applier) this.#recover(err);
    }
  }

  async #commit(): Promise<void> {
    if (this.#stored.size === 0) return;
    try {
      await within(2_000, 'committing offsets', this.#bus.commit(this.#stored));
    } catch (err) {
      // For others to see only; the next one makes up for it.
      this.#log.debug({ err }, 'could not commit offsets');
    }
  }

  /** What changes slowly: the ends of partitions nothing comes from, parked sellers, a reset of an idle view. */
  async #look(): Promise<void> {
    await this.#commit();
    try {
      for (const [partition, { next }] of await within(
        3_000,
        'asking for the ends of the topic',
        this.#bus.ends(),
      )) {
        if (this.#assigned.includes(partition)) this.#ends.set(partition, next);
      }
      this.#endsVisible = true;
    } catch (err) {
      if (this.#endsVisible) this.#log.warn({ err }, 'cannot see how far the topic goes');
      this.#endsVisible = false;
    }
    const now = Date.now();
    for (const { partition, records } of this.lag()) if (records === 0) this.#caughtUpAt.set(partition, now);
    const applier = this.#applier;
    const store = this.#store;
    if (!applier || !store) return;
    try {
      await applier.refreshParked(async () => {
        const parked = await store.parkedSellers();
        this.#metrics.parkedSellers(parked.length);
        return known(parked);
      });
      void this.#parkedRetries.look(store, this.#assigned);
      const stored = await store.loadCheckpoints(this.#assigned);
      const reset = [...this.#stored].some(([partition, next]) => (stored.get(partition) ?? 0) < next);
      if (reset && applier === this.#applier) this.#recover(new Error('the checkpoints were reset'));
    } catch (err) {
      if (applier === this.#applier) this.#recover(err);
    }
  }

  async #every(ms: number, work: () => Promise<void>): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await pause(ms, this.#stopping.signal);
      if (!this.#stopping.signal.aborted) await work();
    }
  }
}

const known = (sellers: ReadonlyArray<number | null>): number[] =>
  sellers.filter((seller) => seller !== null);
