import type { Projection } from '#pages/projection.ts';
import { Backoff } from '#platform/backoff.ts';
import { Bell } from '#platform/bell.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { within } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { Tracing } from '#platform/span.ts';
import { Applier } from './applier.ts';
import { loggedApplier } from './applier-log.ts';
import type { Bus, PartitionEnds } from './bus.ts';
import { lagRecords, lagSeconds } from './lag.ts';
import { Membership, TopicChanged } from './membership.ts';
import type { PartitionReading, ProjectorMetrics } from './metrics.ts';
import { type Movement, type PartitionLook, watchMovement } from './movement.ts';
import { BalancePace, Rest } from './pace.ts';
import { ParkedRetries } from './parked-retries.ts';
import { tracedApplier } from './traces.ts';
import type { ViewStore } from './view-store.ts';

/*
 * The life of the process. `membership.ts` draws the life of each partition. Partitions are owned only in positioning
 * and running, and in leaving until they are given up.
 *
 *                  session opened,                 its share is owned
 *     ┌─▶ joining ─────────────────▶ positioning ──────────────────────▶ running
 *     │      │                            │                                 │
 *     │      │ cannot open                │ the session is lost: all unowned │
 *     │      ▼                            ▼                                 ▼
 *     └── recovering ◀────────────────────┴─────────────────────────────────┘
 *           back-off
 *
 *     any ──── told to stop, or a partition stands still ────▶ leaving: drained, stored, given up
 *     running ── cannot see Kafka any more ──▶ recovering: drained, stored, given up to others, until it can see Kafka
 *
 * The bus is not a part of it: what it reads, it asks before every request.
 */
export type ProcessState = 'joining' | 'positioning' | 'running' | 'recovering' | 'leaving';

export interface ProjectorSettings {
  readonly page: string;
  readonly delivery: string;
  readonly projection: Projection;
  readonly tracing: Tracing;
  /** Opens a session of the page's database. */
  readonly openStore: () => Promise<ViewStore>;
  /**
   * In ms. After this long without a sign of life, others take this process's partitions. A partition may stand still
   * for three times this long, but never for less than a statement may take.
   */
  readonly sessionTimeoutMs: number;
  readonly clock?: Clock;
  /** Between 0 and 1, for jitter. */
  readonly random?: () => number;
}

/**
 * Pause between two checkpoints: 20 times as long as the last one took, between `shortest` and `longest`. Under an old
 * snapshot (a dump, somebody's open transaction) each checkpoint leaves dead rows that vacuum cannot remove and the
 * next one has to pass: it takes 1 ms for 24 partitions, 33 ms after 40 minutes. After a crash, what was read since the
 * last checkpoint is read again.
 */
const CHECKPOINT_EVERY_MS = { shortest: 500, times: 20, longest: 5_000 };
/** `atFirst`: until it has seen the topic, since nothing is read before. `quiet`: while nothing comes. */
const LOOK_EVERY_MS = { atFirst: 200, usually: 2_000, quiet: 4_000 };
/** Offsets that have not changed are committed again after this long: somebody may have reset the group. */
const COMMIT_AGAIN_MS = 30_000;
const BACKOFF = { firstMs: 100, longestMs: 5_000 };
/** The database cancels a statement after this long: only then is the statement known to have failed. */
export const STATEMENT_TIMEOUT_MS = 10_000;
const STALLED_AFTER = { sessions: 3, leastMs: 1.5 * STATEMENT_TIMEOUT_MS };

/** Thrown when a partition stands still although it could be read: the process has to start anew. */
export class PartitionStalled extends Error {
  override name = 'PartitionStalled';
}

/** Ends a membership because this process cannot see Kafka: others may see it. */
class KafkaUnseen extends Error {
  override name = 'KafkaUnseen';
}

/**
 * Keeps one view up to date with the bus. The page's database is the authority on who owns a partition and on how far
 * it is applied. What a process knows of both ends with its session of the database.
 */
export class Projector {
  readonly #bus: Bus;
  readonly #settings: ProjectorSettings;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #log: Log;
  readonly #metrics: ProjectorMetrics;
  readonly #fail: (err: unknown) => void;
  readonly #parkedRetries: ParkedRetries;
  readonly #startedAt: number;
  readonly #stopping = new AbortController();
  /** Rings when there may be more to read. */
  readonly #bell = new Bell();
  #state: ProcessState = 'joining';
  #membership: Membership | null = null;
  /** Between two steps towards a fair share. */
  #balanceRest: Rest | null = null;
  /** Between two checkpoints. */
  #checkpointRest: Rest | null = null;
  #running: Promise<unknown> = Promise.resolve();
  /** What is wrong with the database, until it has shown that it works. */
  #trouble: string | null = null;
  #kafkaTrouble: string | null = null;
  /** Names the partitions that cannot be seen, while others can; null when there are none. */
  #unseenTrouble: string | null = null;
  #unseen: ReadonlySet<number> = new Set();
  /** Why a partition cannot be read at its offset. A restart would not help. */
  readonly #unreadable = new Map<number, string>();
  #stalled: string | null = null;
  /** The topic that the bus leads to, as of the last look. */
  #topicId: string | null = null;
  /** The ends as of the last look; deliveries tell a newer `end`. */
  readonly #ends = new Map<number, PartitionEnds>();
  readonly #newestEnds = new Map<number, number>();
  readonly #caughtUpAt = new Map<number, number>();
  /** When each partition of the topic was last seen, or first heard of if it was never seen. In monotonic ms. */
  readonly #sawPartitionAt = new Map<number, number>();
  #sawKafkaAt: number;
  #lookedAt: number;
  #movements: ReadonlyMap<number, Movement> = new Map();
  #appliedBefore: ReadonlyMap<number, number> = new Map();
  #heldBack: ReadonlySet<number> = new Set();
  /** Nothing has come since the last look, and everything was applied then. */
  #isQuiet = false;
  #committed: { readonly offsets: ReadonlyMap<number, number>; readonly at: number } | null = null;
  #commitsRefused = 0;

  constructor(
    bus: Bus,
    settings: ProjectorSettings,
    metrics: (read: () => PartitionReading) => ProjectorMetrics,
    log: Log,
    fail: (err: unknown) => void,
  ) {
    this.#bus = bus;
    this.#settings = settings;
    this.#clock = settings.clock ?? SYSTEM_CLOCK;
    this.#random = settings.random ?? Math.random;
    this.#log = log;
    this.#fail = fail;
    this.#startedAt = this.#clock.now();
    this.#sawKafkaAt = this.#clock.monotonic();
    this.#lookedAt = this.#clock.monotonic();
    this.#metrics = metrics(() => this.#read());
    this.#parkedRetries = new ParkedRetries(this.#metrics.redriven, log, this.#clock);
  }

  get state(): ProcessState {
    return this.#state;
  }

  /** Names what keeps it from working; null when nothing does. */
  notReadyBecause(): string | null {
    const [unreadable] = this.#unreadable.values();
    const trouble =
      this.#stalled ?? this.#trouble ?? this.#kafkaTrouble ?? this.#unseenTrouble ?? unreadable ?? null;
    if (trouble !== null || this.#state === 'running') return trouble;
    return this.#state === 'leaving' ? 'is stopping' : 'has not taken its share of the partitions yet';
  }

  start(): void {
    const { signal } = this.#stopping;
    const reading = this.#bus.read(
      {
        positions: () => this.#membership?.positions() ?? new Map(),
        changed: () => this.#bell.next(),
        deliver: (batch) => {
          const { partition, end } = batch;
          if (this.#isQuiet) {
            this.#isQuiet = false;
            this.#checkpointRest?.cutShort();
          }
          this.#newestEnds.set(partition, Math.max(end, this.#newestEnds.get(partition) ?? 0));
          this.#unreadable.delete(partition);
          this.#membership?.deliver(batch);
        },
        outOfRange: (partition, asked) => {
          // Whatever could not be read there has been deleted.
          this.#unreadable.delete(partition);
          this.#membership?.outOfRange(partition, asked);
        },
        unreadable: (partition, err) => {
          if (this.#membership?.states.has(partition)) {
            this.#unreadable.set(partition, `Kafka: partition ${partition}: ${err.message}`);
          }
        },
      },
      signal,
    );
    this.#running = Promise.all([
      reading.catch(this.#fail),
      this.#live().catch(this.#fail),
      this.#every(
        () => (this.#ends.size === 0 ? LOOK_EVERY_MS.atFirst : this.#lookEveryMs()),
        new Rest(this.#clock, signal),
        () => this.#look(),
      ),
    ]);
  }

  /** Applies what was delivered, stores how far it got, and gives its partitions up. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await this.#bus.close();
  }

  async #live(): Promise<void> {
    const { signal } = this.#stopping;
    const backoff = new Backoff({ ...BACKOFF, random: this.#random });
    while (!signal.aborted) {
      if (this.#kafkaTrouble !== null) {
        await this.#clock.pause(BACKOFF.firstMs, signal);
        continue;
      }
      this.#enter('joining');
      const membership = await this.#join();
      if (membership !== null) {
        await this.#serve(membership);
        if (signal.aborted) return this.#leave(membership);
        const { reason } = membership.over;
        if (!(reason instanceof KafkaUnseen || reason instanceof TopicChanged)) this.#distrust(reason);
        this.#membership = null;
        this.#unreadable.clear();
        if (membership.hasStored) backoff.reset();
      }
      this.#enter('recovering');
      await this.#clock.pause(backoff.next(), signal);
    }
    this.#enter('leaving');
  }

  async #join(): Promise<Membership | null> {
    const { settings, metrics, log } = { settings: this.#settings, metrics: this.#metrics, log: this.#log };
    let store: ViewStore | undefined;
    try {
      const opened = await settings.openStore();
      store = opened;
      await opened.join();
      const observer = tracedApplier(
        loggedApplier(metrics.observer, log, this.#clock),
        settings.tracing,
        opened,
        settings,
        log,
      );
      return new Membership(
        opened,
        (onFailure) =>
          new Applier(
            opened,
            (event) => settings.projection.toRow(event),
            new Map(),
            [],
            observer,
            onFailure,
            this.#clock,
          ),
        () => this.#bus.ends(),
        () => this.#metrics.rebalanced(),
        this.#bell,
        this.#clock,
        log,
      );
    } catch (err) {
      void store?.close();
      this.#distrust(err);
      return null;
    }
  }

  /** Resolves when the membership is over, or the process is to stop. */
  async #serve(membership: Membership): Promise<void> {
    this.#membership = membership;
    this.#movements = new Map();
    this.#enter('positioning');
    const signal = AbortSignal.any([this.#stopping.signal, membership.over]);
    const orEnd = (work: () => Promise<unknown>) => () => work().catch((err) => membership.end(err));
    const pace = new BalancePace(this.#clock, this.#settings.sessionTimeoutMs);
    this.#balanceRest = new Rest(this.#clock, signal);
    this.#checkpointRest = new Rest(this.#clock, signal);
    let restMs = 0;
    const ended = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    // These end with the signal. A statement that is in flight then is not awaited.
    const ticking = Promise.all([
      this.#every(
        () => pace.nextMs(),
        this.#balanceRest,
        orEnd(async () => {
          if (this.#kafkaTrouble !== null) {
            await membership.leave(1_000);
            throw new KafkaUnseen('cannot see Kafka');
          }
          await membership.adopt(this.#topicId);
          const partitions = [...this.#ends.keys()].filter((one) => !this.#unseen.has(one));
          const balance = await membership.balance(partitions);
          // Nothing is balanced before the topic was seen.
          pace.saw({ ...balance, isBalanced: balance.isBalanced && partitions.length > 0 });
          if (this.#state === 'positioning' && partitions.length > 0) this.#enter('running');
        }),
      ),
      this.#every(
        () => {
          const { shortest, longest } = CHECKPOINT_EVERY_MS;
          // The next delivery cuts it short.
          return this.#isQuiet ? longest : Math.min(longest, Math.max(shortest, restMs));
        },
        this.#checkpointRest,
        orEnd(async () => {
          const startedAt = this.#clock.monotonic();
          await membership.checkpoint();
          restMs = CHECKPOINT_EVERY_MS.times * (this.#clock.monotonic() - startedAt);
          this.#trustAgain(membership);
        }),
      ),
      this.#every(
        () => this.#lookEveryMs(),
        new Rest(this.#clock, signal),
        orEnd(async () => {
          const parked = await membership.look();
          this.#metrics.parkedSellers(parked);
          void membership.retryParked(this.#parkedRetries, parked > 0);
        }),
      ),
    ]);
    if (!signal.aborted) await Promise.race([ended, ticking]);
  }

  async #leave(membership: Membership): Promise<void> {
    this.#enter('leaving');
    await membership.leave(3_000);
    await this.#commit(membership);
    await membership.close();
    this.#membership = null;
  }

  #enter(state: ProcessState): void {
    if (this.#state === state) return;
    this.#log.debug({ from: this.#state, to: state }, 'changes its state');
    this.#state = state;
  }

  #distrust(err: unknown): void {
    const trouble = `the database of the page: ${(err as Error)?.message}`;
    if (trouble !== this.#trouble) {
      this.#log.warn(
        { err },
        'cannot use the database of the page; goes on from the last checkpoint when it is back',
      );
    } else this.#log.debug({ err }, 'still cannot use the database of the page');
    this.#trouble = trouble;
  }

  /** A database that answers again may still refuse writes: it is trusted once it has stored something. */
  #trustAgain(membership: Membership): void {
    if (this.#trouble === null || this.#state !== 'running') return;
    const hasWork = this.#looks(membership).some(({ readable }) => readable > 0);
    if (hasWork && !membership.hasStored) return;
    this.#log.info({ trouble: this.#trouble }, 'the database of the page works again');
    this.#trouble = null;
  }

  /** What changes slowly: how far the topic goes, what others are told, whether anything stands still. */
  async #look(): Promise<void> {
    const membership = this.#membership;
    const [canSee] = await Promise.all([this.#askForEnds(), membership && this.#commit(membership)]);
    const now = this.#clock.now();
    const { partitions } = this.#read();
    for (const { partition, records } of partitions) {
      if (records === 0) this.#caughtUpAt.set(partition, now);
    }
    this.#isQuiet = canSee && this.notReadyBecause() === null && partitions.every((one) => one.records === 0);
    const lookedAt = this.#lookedAt;
    this.#lookedAt = this.#clock.monotonic();
    if (!canSee || membership === null || membership !== this.#membership || membership.over.aborted) {
      this.#movements = new Map();
      return;
    }
    this.#tellHeldBack(membership);
    this.#watch(membership, this.#lookedAt - lookedAt);
  }

  /** @returns whether the bus answered */
  async #askForEnds(): Promise<boolean> {
    try {
      const asking = Promise.all([this.#bus.topicId(), this.#bus.ends()]);
      const [topicId, ends] = await within(3_000, 'asking for the ends of the topic', asking, this.#clock);
      this.#topicId = topicId;
      const now = this.#clock.monotonic();
      const known = this.#ends.size;
      for (const [partition, one] of ends) {
        if (one !== null) this.#ends.set(partition, one);
        if (one !== null || !this.#sawPartitionAt.has(partition)) this.#sawPartitionAt.set(partition, now);
      }
      // A topic that was made anew may have fewer.
      for (const partition of this.#sawPartitionAt.keys()) {
        if (ends.has(partition)) continue;
        this.#sawPartitionAt.delete(partition);
        this.#ends.delete(partition);
      }
      this.#tellUnseen(now);
      // There is something to take.
      if (this.#ends.size > known) this.#balanceRest?.cutShort();
      // A topic that was made anew ends earlier.
      this.#newestEnds.clear();
      this.#sawKafkaAt = this.#clock.monotonic();
      if (this.#kafkaTrouble !== null) this.#log.info('sees the topic again');
      this.#kafkaTrouble = null;
      return true;
    } catch (err) {
      const unseenMs = this.#clock.monotonic() - this.#sawKafkaAt;
      if (unseenMs > this.#settings.sessionTimeoutMs) {
        if (this.#kafkaTrouble === null) this.#log.error({ err, unseenMs }, 'cannot see the topic');
        this.#kafkaTrouble = `Kafka: ${(err as Error).message}`;
      }
      return false;
    }
  }

  /** Partitions whose broker is away, or that have no leader: others may see them. */
  #tellUnseen(now: number): void {
    const unseen = [...this.#sawPartitionAt].flatMap(([partition, at]) =>
      now - at > this.#settings.sessionTimeoutMs ? [partition] : [],
    );
    this.#unseen = new Set(unseen);
    if (unseen.length > 0 && this.#unseenTrouble === null) {
      this.#log.error({ partitions: unseen }, 'cannot see some partitions of the topic');
    }
    this.#unseenTrouble = unseen.length > 0 ? `Kafka: partitions ${unseen.join(', ')} cannot be seen` : null;
  }

  async #commit(membership: Membership): Promise<void> {
    const stored = membership.stored();
    if (stored.size === 0 || this.#isCommitted(stored)) return;
    try {
      await within(2_000, 'committing offsets', this.#bus.commit(stored), this.#clock);
      this.#committed = { offsets: stored, at: this.#clock.monotonic() };
      this.#commitsRefused = 0;
    } catch (err) {
      // Only others read committed offsets, and the next commit makes up for a failed one: one failure is not logged.
      this.#commitsRefused += 1;
      if (this.#commitsRefused === 2)
        this.#log.warn({ err }, 'cannot commit offsets: others do not see the lag');
    }
  }

  #isCommitted(offsets: ReadonlyMap<number, number>): boolean {
    const before = this.#committed;
    if (before === null || this.#clock.monotonic() - before.at > COMMIT_AGAIN_MS) return false;
    if (before.offsets.size !== offsets.size) return false;
    return [...offsets].every(([partition, next]) => before.offsets.get(partition) === next);
  }

  /** Logs that somebody's open transaction holds a partition back, once for as long as it does. */
  #tellHeldBack(membership: Membership): void {
    const heldBack = new Set<number>();
    for (const partition of membership.states.keys()) {
      const records = this.#unstable(partition);
      if (records === 0) continue;
      heldBack.add(partition);
      if (this.#heldBack.has(partition)) continue;
      this.#log.warn({ partition, records }, 'an open transaction of another producer holds messages back');
    }
    this.#heldBack = heldBack;
  }

  /** Fails the process when a partition that could move stands still. */
  #watch(membership: Membership, passedMs: number): void {
    for (const one of this.#unreadable.keys()) if (!membership.states.has(one)) this.#unreadable.delete(one);
    const looks = this.#looks(membership);
    this.#movements = watchMovement(this.#movements, looks, passedMs, 2 * LOOK_EVERY_MS.usually);
    this.#appliedBefore = new Map(looks.map(({ partition, applied }) => [partition, applied]));
    const limit = Math.max(STALLED_AFTER.sessions * this.#settings.sessionTimeoutMs, STALLED_AFTER.leastMs);
    const still = [...this.#movements].filter(([, { stillMs }]) => stillMs > limit);
    const [worst] = still.sort(([, a], [, b]) => b.readable - a.readable);
    if (worst === undefined || this.#stalled !== null) return;
    const [partition, { readable, stillMs }] = worst;
    const state = membership.states.get(partition);
    this.#stalled = `partition ${partition} has stood still for ${Math.round(stillMs / 1_000)} s with ${readable} messages to read`;
    this.#log.error(
      { partition, readable, stillMs, state, partitions: still.map(([one]) => one) },
      'a partition stands still: gives everything up and starts anew',
    );
    this.#metrics.stalled();
    this.#fail(new PartitionStalled(this.#stalled));
  }

  #looks(membership: Membership): PartitionLook[] {
    const { applier } = membership;
    const applied = [...membership.states.keys()].map(
      (partition) => [partition, membership.applied(partition) ?? -1] as const,
    );
    const someMoved = applied.some(
      ([partition, next]) => (this.#appliedBefore.get(partition) ?? next) < next,
    );
    return applied.map(([partition, next]) => ({
      partition,
      applied: next,
      readable:
        this.#unreadable.has(partition) || this.#unseen.has(partition)
          ? 0
          : Math.max(0, (this.#ends.get(partition)?.next ?? 0) - Math.max(next, 0)),
      isQueued: someMoved && applier.oldestWaiting(partition) !== null,
    }));
  }

  /** Messages that cannot be read yet, as of the last look. */
  #unstable(partition: number): number {
    const ends = this.#ends.get(partition);
    return ends === undefined ? 0 : ends.end - ends.next;
  }

  #read(): PartitionReading {
    const now = this.#clock.now();
    const membership = this.#membership;
    const states = membership?.states ?? new Map();
    const partitions = [...states.keys()].flatMap((partition) => {
      const applied = membership?.applied(partition) ?? null;
      if (applied === null) return [];
      const progress = {
        applied,
        end: Math.max(this.#ends.get(partition)?.end ?? applied, this.#newestEnds.get(partition) ?? 0),
        oldestDelivered: membership?.applier.oldestWaiting(partition) ?? null,
        lastApplied: membership?.applier.positions.get(partition)?.writtenAt ?? null,
        caughtUpAt: this.#caughtUpAt.get(partition) ?? null,
      };
      return [
        {
          partition,
          position: applied,
          records: lagRecords(progress),
          seconds: lagSeconds(progress, now, this.#startedAt),
          unstable: this.#unstable(partition),
        },
      ];
    });
    return { partitions, states: [...states.values()], ofTopic: this.#sawPartitionAt.size };
  }

  /** Well within the time after which what was not seen counts as away. */
  #lookEveryMs(): number {
    const { usually, quiet } = LOOK_EVERY_MS;
    if (!this.#isQuiet) return usually;
    return Math.max(usually, Math.min(quiet, (this.#settings.sessionTimeoutMs * 2) / 3));
  }

  /** Until what the rest ends with. @param interval in ms; half of it is left to chance */
  async #every(interval: () => number, rest: Rest, work: () => Promise<unknown>): Promise<void> {
    while (!rest.signal.aborted) {
      await work();
      await rest.of(interval() * (0.75 + this.#random() / 2));
    }
  }
}
