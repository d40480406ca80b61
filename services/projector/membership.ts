import type { Bell } from '#platform/bell.ts';
import type { Clock } from '#platform/clock.ts';
import { within } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { Applier } from './applier.ts';
import type { Batch, Bus, PartitionEnds } from './bus.ts';
import type { Balance } from './pace.ts';
import type { ParkedRetries } from './parked-retries.ts';
import { partitionShare } from './partition-share.ts';
import { OwnershipLost, type ViewStore } from './view-store.ts';

/*
 * The life of a partition in this process. Every partition is in exactly one of these states at any time:
 *
 *              its lock was got            begins at its checkpoint
 *   unowned ───────────────────▶ positioning ──────────────────▶ running
 *      ▲                              ▲                           │   │
 *      │                              └───────────────────────────┘   │ others have fewer than their share
 *      │                                the topic does not hold the   ▼
 *      │                                offset (any more)         releasing
 *      └──────────────────────────────────────────────────────────────┘
 *        drained, checkpoint stored, lock given up
 *
 * Only a running partition is read. When the session ends, all partitions are unowned.
 */
export type OwnedState = 'positioning' | 'running' | 'releasing';

interface Owned {
  state: OwnedState;
  /** The checkpoint that is known to be stored; null before it was read. */
  known: number | null;
}

/** The topic was replaced by another one of the same name. */
export class TopicChanged extends Error {
  override name = 'TopicChanged';

  constructor() {
    super('the topic was made anew');
  }
}

const DRAIN_MS = 2_000;
const ASK_AGAIN_MS = 500;

/**
 * What this process owns during one session of the page's database. The session's locks say which partitions that is.
 * Any failure ends the membership and everything that was begun in it. Nothing is carried over to the next one.
 */
export class Membership {
  readonly applier: Applier;
  readonly #store: ViewStore;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #ends: Bus['ends'];
  readonly #onChange: () => void;
  readonly #over = new AbortController();
  readonly #bell: Bell;
  readonly #owned = new Map<number, Owned>();
  #hasStored = false;
  /** Id of the topic that the owned partitions are read from; null before it was seen. */
  #topicId: string | null = null;

  /**
   * @param makeApplier given what to call when the database fails
   * @param ends asks the bus
   * @param onChange told of each change of what is owned
   * @param bell rung when there may be more to read
   */
  constructor(
    store: ViewStore,
    makeApplier: (onFailure: (err: unknown) => void) => Applier,
    ends: Bus['ends'],
    onChange: () => void,
    bell: Bell,
    clock: Clock,
    log: Log,
  ) {
    this.#store = store;
    this.applier = makeApplier((err) => this.end(err));
    this.#ends = ends;
    this.#onChange = onChange;
    this.#bell = bell;
    this.#clock = clock;
    this.#log = log;
    if (store.lost.aborted) this.end(store.lost.reason);
    else store.lost.addEventListener('abort', () => this.end(store.lost.reason));
    void this.#ringWithTheApplier();
  }

  /** Aborted, with the reason, when this process owns nothing any more. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Whether a checkpoint of this membership was stored: then the database takes writes, and not only answers. */
  get hasStored(): boolean {
    return this.#hasStored;
  }

  get states(): ReadonlyMap<number, OwnedState> {
    return new Map([...this.#owned].map(([partition, { state }]) => [partition, state]));
  }

  /** The offset after the last message applied of a partition that is owned; null where that is not known yet. */
  applied(partition: number): number | null {
    return this.applier.positions.get(partition)?.next ?? this.#owned.get(partition)?.known ?? null;
  }

  /** What others may be told: checkpoints that are stored. */
  stored(): ReadonlyMap<number, number> {
    return new Map(
      [...this.#owned].flatMap(([partition, { known }]) => (known === null ? [] : [[partition, known]])),
    );
  }

  /** The next offset of each partition that is read; empty while there is no room. */
  positions(): ReadonlyMap<number, number> {
    const positions = new Map<number, number>();
    if (this.#over.signal.aborted || !this.applier.hasRoom) return positions;
    for (const [partition, { state }] of this.#owned) {
      const next = state === 'running' ? this.applier.handedOver(partition) : undefined;
      if (next !== undefined) positions.set(partition, next);
    }
    return positions;
  }

  deliver({ partition, from, next, messages }: Batch): void {
    if (this.#owned.get(partition)?.state !== 'running') return;
    // The answer to an earlier request: the partition was given up meanwhile, and perhaps taken again.
    if (this.applier.handedOver(partition) !== from) return;
    this.applier.handOver(partition, messages, next);
  }

  outOfRange(partition: number, asked: number): void {
    const owned = this.#owned.get(partition);
    if (owned?.state !== 'running' || this.applier.handedOver(partition) !== asked) return;
    owned.state = 'positioning';
    this.#reposition(partition, owned, asked).catch((err) => this.end(err));
  }

  /**
   * Begins every partition anew when the checkpoints are of another topic.
   * @param topicId null where Kafka gives topics none
   * @throws TopicChanged when partitions owned here were begun in the other topic
   */
  async adopt(topicId: string | null): Promise<void> {
    if (topicId === null || topicId === this.#topicId) return;
    const wasAnother = await this.#store.adoptTopic(topicId);
    if (wasAnother) {
      this.#log.warn({ topicId }, 'the topic was made anew: every partition is read from its beginning');
    }
    const before = this.#topicId;
    this.#topicId = topicId;
    if (this.#owned.size > 0 && (wasAnother || before !== null)) throw new TopicChanged();
  }

  /**
   * One step towards a fair share of the partitions.
   * @param partitions those of the topic that can be seen from here; others are left to whoever sees them
   * @returns what tells how soon the next step should come
   */
  async balance(partitions: readonly number[]): Promise<Balance> {
    const ownership = await this.#store.ownership();
    const lost = [...this.#owned.keys()].filter((one) => ownership.owners.get(one) !== ownership.me);
    if (lost.length > 0) throw new OwnershipLost(lost);
    // A lock counts how often it was taken: one that this process does not know of keeps its partition from everybody.
    const strays = [...ownership.owners].flatMap(([partition, owner]) =>
      owner === ownership.me && !this.#owned.has(partition) ? [partition] : [],
    );
    if (strays.length > 0) await this.#store.disown(strays);
    const releasing = new Set<number>();
    for (const [partition, { state }] of this.#owned) if (state === 'releasing') releasing.add(partition);
    const { take, release, isBalanced, lacks } = partitionShare(ownership, partitions, releasing);
    if (take.length > 0) await this.#take(take);
    const seen = new Set(partitions);
    const unseen = [...this.#owned.keys()].filter((one) => !seen.has(one));
    // A partition that is being positioned is released once it runs.
    const ready = [...release, ...unseen].filter((one) => this.#owned.get(one)?.state === 'running');
    // Not awaited: the session must show that it lives.
    if (ready.length > 0) void this.#release(ready).catch((err) => this.end(err));
    return { isBalanced, isAlone: ownership.members.length === 1, lacks };
  }

  /** Stores how far the view is. @param only these partitions, or all that are owned */
  async checkpoint(only?: readonly number[]): Promise<void> {
    const progress = [...this.applier.positions].flatMap(([partition, { next, committedAt }]) => {
      const known = this.#owned.get(partition)?.known;
      if (known === null || known === undefined || known === next) return [];
      return only === undefined || only.includes(partition) ? [{ partition, known, next, committedAt }] : [];
    });
    if (progress.length === 0) return;
    const before = await this.#store.checkpoint(progress);
    if (progress.some(({ partition, known }) => (before.get(partition) ?? -1) < known)) {
      throw new Error('the checkpoints were reset');
    }
    for (const { partition, next } of progress) {
      const owned = this.#owned.get(partition);
      if (owned) owned.known = Math.max(next, before.get(partition) ?? 0);
    }
    this.#hasStored = true;
  }

  /** Looks at what others may have changed: parked sellers, checkpoints. @returns how many sellers are parked */
  async look(): Promise<number> {
    const watched = [...this.#owned].filter(([, { state }]) => state === 'running');
    const partitions = watched.map(([partition]) => partition);
    let parkedSellers = 0;
    const knownBefore = new Map(watched.map(([partition, { known }]) => [partition, known ?? 0]));
    const [stored] = await Promise.all([
      this.#store.loadCheckpoints(partitions),
      this.applier.refreshParked(async () => {
        const parked = await this.#store.parkedSellers();
        parkedSellers = parked.length;
        return known(parked);
      }),
    ]);
    for (const [partition, owned] of watched) {
      // If it is lower now, this process itself began the partition anew.
      const least = Math.min(knownBefore.get(partition)!, owned.known ?? 0);
      const wasReset = (stored.get(partition) ?? 0) < least;
      if (wasReset && owned.state === 'running') throw new Error('the checkpoints were reset');
    }
    return parkedSellers;
  }

  /** Tries parked messages of what is owned again, where they are due. @param isAnyParked as `look` told */
  async retryParked(retries: ParkedRetries, isAnyParked: boolean): Promise<void> {
    const running = [...this.#owned].flatMap(([partition, { state }]) =>
      state === 'running' ? [partition] : [],
    );
    await retries.look(this.#store, running, isAnyParked);
  }

  /** Applies what was handed over, stores how far that is, and gives everything up with the session. */
  async leave(drainMs: number): Promise<void> {
    await within(drainMs, 'applying what was delivered', this.applier.drain(), this.#clock).catch((err) =>
      this.#log.warn(
        { err },
        'stops with messages that were delivered and not applied; they will be read again',
      ),
    );
    if (this.#over.signal.aborted) return;
    await within(2_000, 'storing the checkpoints', this.checkpoint(), this.#clock).catch((err) =>
      this.end(err),
    );
  }

  /** Gives up everything at once. */
  async close(): Promise<void> {
    this.end(new Error('left'));
    await within(1_000, 'closing the session', this.#store.close(), this.#clock).catch(() => {});
  }

  end(reason: unknown): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort(reason);
    this.#owned.clear();
    this.applier.end();
    // Its rows may not have reached the disk, and its state is unknown: the session is of no further use.
    void this.#store.close();
    this.#bell.ring();
  }

  async #take(partitions: readonly number[]): Promise<void> {
    const taking = this.#store.tryOwn(partitions);
    // Asked for at once, and read after the locks were taken: nobody else moves these checkpoints any more.
    const reading = Promise.all([this.#store.loadCheckpoints(partitions), this.#store.parkedSellers()]);
    // If the locks cannot be taken, that is what is told.
    reading.catch(() => {});
    const got = await taking;
    if (got.length === 0 || this.#over.signal.aborted) return;
    for (const partition of got) this.#owned.set(partition, { state: 'positioning', known: null });
    this.#onChange();
    const [stored, sellers] = await reading;
    if (this.#over.signal.aborted) return;
    const parked = known(sellers);
    for (const partition of got) {
      const next = stored.get(partition)!;
      this.applier.begin(partition, next, parked);
      this.#owned.set(partition, { state: 'running', known: next });
    }
    this.#log.info({ took: got, partitions: [...this.#owned.keys()] }, 'owns partitions');
    this.#bell.ring();
  }

  /** Of all at once: one flush for their checkpoints, and who waits for them takes them in one go. */
  async #release(partitions: readonly number[]): Promise<void> {
    for (const one of partitions) this.#owned.get(one)!.state = 'releasing';
    await within(
      DRAIN_MS,
      'applying what was delivered',
      Promise.all(partitions.map((one) => this.applier.drainPartition(one))),
      this.#clock,
    ).catch((err) =>
      this.#log.debug({ err, partitions }, 'gives partitions up with messages that were not applied'),
    );
    await this.checkpoint(partitions);
    if (this.#over.signal.aborted) return;
    for (const one of partitions) this.applier.release(one);
    await this.#store.disown(partitions);
    for (const one of partitions) this.#owned.delete(one);
    this.#log.info({ partitions }, 'gave partitions to others');
    this.#onChange();
  }

  /** Finds where to go on in a partition that does not hold the offset asked for. */
  async #reposition(partition: number, owned: Owned, asked: number): Promise<void> {
    await this.applier.drainPartition(partition);
    const ends = await this.#endsOf(partition);
    if (ends === null) return;
    // Also if the offset exists again by now: messages below it may be new, in place of those that are gone.
    this.#log.warn({ partition, asked, ...ends }, BEGINS_ANEW);
    await this.#beginAt(partition, owned, ends.first);
    if (this.#over.signal.aborted) return;
    owned.state = 'running';
    this.#bell.ring();
  }

  /** Asks until the bus answers. @returns null when the membership ends first */
  async #endsOf(partition: number): Promise<PartitionEnds | null> {
    while (!this.#over.signal.aborted) {
      try {
        const all = await within(3_000, 'asking for the ends of the topic', this.#ends(), this.#clock);
        const ends = all.get(partition);
        if (ends) return this.#over.signal.aborted ? null : ends;
      } catch (err) {
        this.#log.debug({ err, partition }, 'cannot see where the partition begins');
      }
      await this.#clock.pause(ASK_AGAIN_MS, this.#over.signal);
    }
    return null;
  }

  async #beginAt(partition: number, owned: Owned, next: number): Promise<void> {
    this.applier.release(partition);
    // Set before it is stored, so that `look` does not take it for a reset by somebody else.
    owned.known = Math.min(owned.known ?? next, next);
    await this.#store.resetCheckpoint(partition, next);
    owned.known = next;
    this.applier.begin(partition, next, []);
  }

  async #ringWithTheApplier(): Promise<void> {
    while (!this.#over.signal.aborted) {
      await this.applier.nextChange();
      this.#bell.ring();
    }
  }
}

const BEGINS_ANEW = 'the topic did not hold the offset of the checkpoint: goes on from the oldest it holds';

const known = (sellers: ReadonlyArray<number | null>): number[] =>
  sellers.filter((seller) => seller !== null);
