import type { Client } from '#contracts/client.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';

/** What the source of truth has for a seller with at least one change. */
export interface Truth {
  readonly sellerId: number;
  readonly version: number;
  /** When that version was committed, as in its event. */
  readonly committedAt: string;
  readonly clients: readonly Client[];
  readonly erased: boolean;
}

export interface Source {
  /** Sellers above `after`, by id, `limit` at most. */
  next(after: number, limit: number): Promise<readonly Truth[]>;
  /** Those of the sellers that the source knows. */
  of(sellerIds: readonly number[]): Promise<readonly Truth[]>;
  /** A mark of the newest message that waits to be sent; null when none waits. */
  newestUnsent(): Promise<number | null>;
  /** Whether every message up to the mark has been sent. */
  isSentUpTo(mark: number): Promise<boolean>;
}

/** A row that differs from what the source has. */
export interface Difference {
  readonly sellerId: number;
  /** The source's version; null when the source does not know the seller. */
  readonly expected: number | null;
  /** The view's version; null when it has no row. */
  readonly held: number | null;
  /** Digests of the expected row and of the view's row; 0 for none. */
  readonly digests: { readonly expected: bigint; readonly held: bigint };
}
export interface Comparison {
  /** The sum of the digests of the rows that agree. */
  readonly digest: bigint;
  readonly differences: readonly Difference[];
}

/** A message that the view could not apply. */
export interface ParkedSeller {
  readonly sellerId: number;
  /** Null when the message does not tell it. */
  readonly version: number | null;
  /** Parked for longer than Kafka keeps a tombstone, so only the source still knows what became of the seller. */
  readonly isOutdated: boolean;
}

export interface View {
  /** Compares whole rows of the sellers in (after, through]; `truths` must be all that the source has in that range. */
  compareRange(truths: readonly Truth[], after: number, through: number): Promise<Comparison>;
  /** Compares whole rows of these sellers; `truths` holds those of them that the source knows. */
  compareSellers(truths: readonly Truth[], sellerIds: readonly number[]): Promise<Comparison>;
  /** The offset after the last message applied, by partition. */
  checkpoints(): Promise<ReadonlyMap<number, number>>;
  /** Messages that could not be applied, of known sellers. */
  parked(): Promise<readonly ParkedSeller[]>;
}

export interface Topic {
  /** The first offset of each partition, and the offset that its next message will get. */
  ends(): Promise<ReadonlyMap<number, { readonly first: number; readonly next: number }>>;
}

export interface CompareOptions {
  /** How long the view may take to catch up, over all waits, in ms. */
  readonly catchUpMs: number;
  /** Sellers in one statement. */
  readonly sellersAtATime?: number;
  /** How often to compare sellers again that keep changing. */
  readonly rounds?: number;
  /** Between two checks while waiting, in ms. */
  readonly lookEveryMs?: number;
  /** Aborts the comparison, which then throws the signal's reason. */
  readonly signal?: AbortSignal;
  /** Awaited after each range, with its number of sellers, to spare the databases when there is time. */
  readonly pace?: (sellers: number) => Promise<void>;
  /**
   * For a caller that compares all the time: it has another try, and memory for only so many rows. The comparison gives
   * up when the view does not catch up at the start, or once this many rows differ or may differ.
   */
  readonly givesUpAt?: number;
  readonly clock?: Clock;
}

/** The whole result of a comparison. */
export interface Found {
  /** Sellers that the source knows, those erased included. */
  readonly sellers: number;
  /** Rows that are missing, wrong or surplus, by seller. */
  readonly differences: ReadonlyMap<number, Difference>;
  /** When the view did not catch up: rows that are older or missing, so that nobody can tell whether they are wrong. */
  readonly late: ReadonlyMap<number, Difference>;
  /** Sellers who changed during the whole comparison. */
  readonly unsettled: number;
  readonly digest: ViewComparison['digest'];
  /** False when the view did not catch up with the source. */
  readonly caughtUp: boolean;
  /** False when it gave up before the last seller. */
  readonly complete: boolean;
}

export interface ViewComparison {
  /** Sellers that the source knows, those erased included. */
  readonly sellers: number;
  /** Sellers whose row is missing, wrong or surplus, or who have a parked message. */
  readonly differing: number;
  /** Ids of some of them, ten at most. */
  readonly examples: readonly number[];
  /**
   * Sellers who changed during the whole comparison: their rows changed too and could not be compared. They do not
   * count as differing.
   */
  readonly unsettled: number;
  /** Digests over all expected rows, and over all rows of the view; equal when nothing differs. */
  readonly digest: { readonly source: string; readonly view: string };
  readonly tookMs: number;
  /** False when the view did not catch up with the source; `differing` then also counts rows that are only late. */
  readonly caughtUp: boolean;
}

const EXAMPLES = 10;
const BELOW_ALL = Number.MIN_SAFE_INTEGER;
const ABOVE_ALL = Number.MAX_SAFE_INTEGER;

/**
 * Compares every row of a view with what the source of truth has, while sellers write and the view follows.
 *
 * A row of the same version must be the same row: the content of a version never changes. A row that is newer than the
 * source, or of a seller the source does not know, is wrong at once, because the source is asked again after the row
 * was read. A row that is older or absent may only be late. It counts once the view has applied everything that was in
 * flight when the newer version was seen: all of the outbox was sent, and every partition was applied up to its end
 * after that.
 *
 * Nothing is locked, and no transaction lasts longer than one range of sellers.
 * @throws what the ports throw
 */
export async function compareView(
  source: Source,
  view: View,
  topic: Topic,
  options: CompareOptions,
): Promise<ViewComparison> {
  const { clock = SYSTEM_CLOCK } = options;
  const startedAt = clock.monotonic();
  const { sellers, differences, late, unsettled, digest, caughtUp } = await findDifferences(
    source,
    view,
    topic,
    options,
  );
  const parked = (await view.parked()).map(({ sellerId }) => sellerId);
  const differing = new Set([...differences.keys(), ...late.keys(), ...parked]);
  return {
    sellers,
    differing: differing.size,
    examples: [...differing].slice(0, EXAMPLES),
    unsettled,
    digest,
    tookMs: Math.round(clock.monotonic() - startedAt),
    caughtUp,
  };
}

/**
 * The comparison of `compareView`, with every row that it found. It does not look at parked messages.
 * @throws what the ports throw
 */
export async function findDifferences(
  source: Source,
  view: View,
  topic: Topic,
  { sellersAtATime = 2_000, rounds = 5, ...options }: CompareOptions,
): Promise<Found> {
  const { clock = SYSTEM_CLOCK } = options;
  const findings = new Findings();
  let patienceMs = options.catchUpMs;
  const catchUp = async () => {
    const since = clock.monotonic();
    const done = await hasCaughtUp(source, view, topic, { ...options, catchUpMs: patienceMs });
    patienceMs -= clock.monotonic() - since;
    return done;
  };
  let caughtUp = await catchUp();
  const gaveUp = !caughtUp && options.givesUpAt !== undefined;
  const { sellers, open, complete } = gaveUp
    ? { sellers: 0, open: new Map<number, Doubt>(), complete: false }
    : await compareAll(source, view, sellersAtATime, findings, options);
  let left: ReadonlyMap<number, Doubt> = open;
  for (let round = 0; round < rounds && left.size > 0; round++) {
    caughtUp &&= await catchUp();
    if (!caughtUp) break;
    left = await lookAgain(source, view, sellersAtATime, left, findings, options.signal);
  }
  if (!caughtUp) for (const { row } of left.values()) findings.counts(row);
  return {
    sellers,
    differences: findings.differences,
    late: caughtUp ? new Map() : new Map([...left].map(([sellerId, { row }]) => [sellerId, row])),
    unsettled: caughtUp ? left.size : 0,
    digest: findings.digest(),
    caughtUp,
    complete,
  };
}

/** A seller whose row is older than the source, or absent, and may only be late. */
interface Doubt {
  /** The version that the view must have once it has applied everything that was in flight. */
  readonly mustReach: number;
  readonly row: Difference;
}

class Findings {
  readonly differences = new Map<number, Difference>();
  #source = 0n;
  #view = 0n;

  agrees(digest: bigint): void {
    this.#source += digest;
    this.#view += digest;
  }

  differs(row: Difference): void {
    this.differences.set(row.sellerId, row);
    this.counts(row);
  }

  counts({ digests }: Difference): void {
    this.#source += digests.expected;
    this.#view += digests.held;
  }

  digest(): ViewComparison['digest'] {
    const hex = (sum: bigint) => BigInt.asUintN(64, sum).toString(16).padStart(16, '0');
    return { source: hex(this.#source), view: hex(this.#view) };
  }
}

async function compareAll(
  source: Source,
  view: View,
  limit: number,
  findings: Findings,
  { signal, pace, givesUpAt = Number.POSITIVE_INFINITY }: Partial<CompareOptions>,
): Promise<{ sellers: number; open: Map<number, Doubt>; complete: boolean }> {
  const open = new Map<number, Doubt>();
  let sellers = 0;
  let after = BELOW_ALL;
  let ahead: Promise<readonly Truth[]> | null = null;
  while (after < ABOVE_ALL) {
    const truths = await (ahead ?? source.next(after, limit));
    ahead = null;
    signal?.throwIfAborted();
    sellers += truths.length;
    // After the last seller of the source the view may have more rows.
    const through = truths.length < limit ? ABOVE_ALL : truths.at(-1)!.sellerId;
    // Not with a pace: the rows would be compared with an outdated state of the source.
    if (through < ABOVE_ALL && !pace) {
      ahead = source.next(through, limit);
      ahead.catch(() => {}); // Awaited in the next round, perhaps after something else has failed.
    }
    const { digest, differences } = await view.compareRange(truths, after, through);
    findings.agrees(digest);
    const judged = await judge(source, truths, differences, findings, () => 0);
    for (const [sellerId, doubt] of judged) open.set(sellerId, doubt);
    after = through;
    if (open.size + findings.differences.size >= givesUpAt) break;
    if (after < ABOVE_ALL) await pace?.(truths.length);
  }
  return { sellers, open, complete: after >= ABOVE_ALL };
}

/** Compares the doubtful sellers again, after the view has caught up with what the source had. */
async function lookAgain(
  source: Source,
  view: View,
  limit: number,
  doubts: ReadonlyMap<number, Doubt>,
  findings: Findings,
  signal?: AbortSignal,
): Promise<Map<number, Doubt>> {
  const left = new Map<number, Doubt>();
  const sellerIds = [...doubts.keys()];
  for (let at = 0; at < sellerIds.length; at += limit) {
    signal?.throwIfAborted();
    const some = sellerIds.slice(at, at + limit);
    const truths = await source.of(some);
    const { digest, differences } = await view.compareSellers(truths, some);
    findings.agrees(digest);
    const reached = (sellerId: number) => doubts.get(sellerId)!.mustReach;
    for (const [sellerId, doubt] of await judge(source, truths, differences, findings, reached)) {
      left.set(sellerId, doubt);
    }
  }
  return left;
}

/**
 * Records rows that certainly differ.
 * @param mustHave the version that the view has had time to reach
 * @returns sellers whose row may still be in flight
 */
async function judge(
  source: Source,
  truths: readonly Truth[],
  differences: readonly Difference[],
  findings: Findings,
  mustHave: (sellerId: number) => number,
): Promise<Map<number, Doubt>> {
  const doubts = new Map<number, Doubt>();
  if (differences.length === 0) return doubts;
  const erased = new Set(truths.filter((truth) => truth.erased).map((truth) => truth.sellerId));
  const newer: Difference[] = [];
  for (const one of differences) {
    const { sellerId, expected, held } = one;
    if (expected === null || (held !== null && held > expected)) newer.push(one);
    else if (held === expected) findings.differs(one);
    // Of an erased seller compaction keeps a tombstone, and later nothing: a view that reads the topic after that has
    // no row for the seller, which is right.
    else if (held === null && erased.has(sellerId)) continue;
    else if ((held ?? 0) < mustHave(sellerId)) findings.differs(one);
    else doubts.set(sellerId, { mustReach: expected, row: one });
  }
  if (newer.length === 0) return doubts;
  const now = new Map(
    (await source.of(newer.map(({ sellerId }) => sellerId))).map((truth) => [truth.sellerId, truth.version]),
  );
  for (const one of newer) {
    const version = now.get(one.sellerId) ?? 0;
    if (one.held! > version) findings.differs(one);
    else doubts.set(one.sellerId, { mustReach: version, row: one });
  }
  return doubts;
}

/**
 * Waits until the view has applied everything that the source had committed at the time of this call.
 * @returns false when it took longer than `catchUpMs`
 */
async function hasCaughtUp(
  source: Source,
  view: View,
  topic: Topic,
  { catchUpMs, lookEveryMs = 100, signal, clock = SYSTEM_CLOCK }: CompareOptions,
): Promise<boolean> {
  const deadline = clock.monotonic() + catchUpMs;
  const until = async (holds: () => Promise<boolean>) => {
    while (!(await holds())) {
      if (clock.monotonic() >= deadline) return false;
      await clock.pause(lookEveryMs, signal);
      signal?.throwIfAborted();
    }
    return true;
  };
  const mark = await source.newestUnsent();
  if (mark !== null && !(await until(() => source.isSentUpTo(mark)))) return false;
  const ends = await topic.ends();
  return until(async () => {
    const applied = await view.checkpoints();
    return [...ends].every(
      ([partition, { first, next }]) => next <= first || (applied.get(partition) ?? 0) >= next,
    );
  });
}
