import { Backoff } from '#platform/backoff.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import {
  type Difference,
  findDifferences,
  type ParkedSeller,
  type Source,
  type Topic,
  type Truth,
  type View,
} from './compare-view.ts';
import { RepairBook } from './repair-book.ts';

export interface Repairs {
  /**
   * Sends the state of these sellers again, in one transaction.
   * @returns those that could be sent: a seller with a damaged log is left out
   */
  send(differences: readonly Difference[]): Promise<readonly Difference[]>;
}

/** What a pass needs; opened again after a failure. */
export interface Session {
  readonly source: Source;
  readonly view: View;
  readonly topic: Topic;
  readonly repairs: Repairs;
  close(): Promise<void>;
}

export interface WatchSettings {
  readonly sellersPerSecond: number;
  /** Between the end of a pass and the next, in ms. */
  readonly pauseMs: number;
  /** How long a pass waits for the view to catch up, in ms. */
  readonly catchUpMs: number;
  /** False: it compares but does not repair. */
  readonly repair: boolean;
  readonly repairsPerPass: number;
  readonly repairsPerSecond: number;
}

export interface WatchObserver {
  /** Called when a pass reached a verdict. */
  compared(sellers: number, divergent: number, tookMs: number): void;
  repaired(sellers: number): void;
  unhealed(sellers: number): void;
  /** Called when a pass reached no verdict. */
  failed(): void;
}

/** Few enough that their locks are held for milliseconds. */
const REPAIRS_AT_A_TIME = 50;
const SELLERS_AT_A_TIME = 500;
/** A view with more differences is built anew instead of repaired. It also bounds the memory for what is found. */
const MOST_DIFFERENCES = 20_000;
const RETRY_UNHEALED_MS = 10 * 60_000;
const BACKOFF = { firstMs: 500, longestMs: 30_000 };
const EXAMPLES = 10;

/**
 * Compares a view with the source over and over, and has differing rows sent again, until the signal aborts. A failure
 * of a dependency ends the pass, not the watch.
 *
 * A seller whose newest state is parked is no divergence: the projector reports it, and could not apply the same state
 * a second time. A seller is compared as usual when the parked message is older than the source, when the row is newer
 * than the source, or when the seller is erased at the source; a repair then removes the parked message. A view that
 * does not catch up gets no verdict, because its late rows may be in flight.
 * @param open resolves to a session, or throws what prevents it
 * @param random 0 ≤ x < 1, for the jitter of the back-off
 */
export async function watchView(
  open: () => Promise<Session>,
  settings: WatchSettings,
  observer: WatchObserver,
  log: Log,
  signal: AbortSignal,
  clock: Clock = SYSTEM_CLOCK,
  random: () => number = Math.random,
): Promise<void> {
  const book = new RepairBook(RETRY_UNHEALED_MS);
  let session: Session | null = null;
  const backoff = new Backoff({ ...BACKOFF, random });
  let fails = false;
  let diverged = false;
  let unhealedBefore = 0;
  while (!signal.aborted) {
    try {
      session ??= await open();
      const verdict = await pass(session, settings, signal, clock);
      fails = !verdict.isOne;
      if (verdict.isOne) backoff.reset();
      if (verdict.isOne) {
        const { divergent, sellers, tookMs } = verdict;
        observer.compared(sellers, divergent.length, tookMs);
        const examples = divergent.slice(0, EXAMPLES).map(({ sellerId }) => sellerId);
        if (divergent.length > 0) log.warn({ divergent: divergent.length, examples }, 'the view differs');
        else if (diverged) log.info({ sellers }, 'the view is as the source has it again');
        diverged = divergent.length > 0;
        if (settings.repair) {
          const { send, unhealed, waiting } = book.plan(divergent, settings.repairsPerPass, clock.now());
          observer.unhealed(unhealed.length);
          if (unhealed.length !== unhealedBefore) tellUnhealed(unhealed, log);
          unhealedBefore = unhealed.length;
          if (waiting > 0) {
            log.warn(
              { waiting, repairsPerPass: settings.repairsPerPass },
              'more rows differ than one pass repairs; to build the view anew is quicker when most of it is wrong',
            );
          }
          await repair(session.repairs, send, settings.repairsPerSecond, book, observer, log, signal, clock);
        }
      } else {
        observer.failed();
        log.warn(
          { catchUpMs: settings.catchUpMs },
          'the view did not catch up, so that nothing can be said of it',
        );
      }
    } catch (err) {
      if (signal.aborted) break;
      fails = true;
      observer.failed();
      log.warn({ err }, 'could not compare the view with the source; tries again');
      const broken: Session | null = session;
      session = null;
      void broken?.close().catch(() => {});
    }
    await clock.pause(fails ? backoff.next() : settings.pauseMs, signal);
  }
  await session?.close();
}

async function pass(
  { source, view, topic }: Session,
  { sellersPerSecond, catchUpMs }: WatchSettings,
  signal: AbortSignal,
  clock: Clock,
) {
  const startedAt = clock.monotonic();
  const sellersAtATime = Math.min(SELLERS_AT_A_TIME, Math.max(1, Math.ceil(sellersPerSecond / 2)));
  let due = startedAt;
  const found = await findDifferences(source, view, topic, {
    catchUpMs,
    givesUpAt: MOST_DIFFERENCES,
    sellersAtATime,
    signal,
    clock,
    pace: async (sellers) => {
      due = Math.max(due, clock.monotonic() - 1_000) + (sellers / sellersPerSecond) * 1_000;
      await clock.pause(Math.max(0, due - clock.monotonic()), signal);
    },
  });
  return {
    sellers: found.sellers,
    divergent: await withoutHeldBack([...found.differences.values()], source, await view.parked()),
    // Rows found to differ do differ, even when the comparison gave up before the last seller.
    isOne: found.caughtUp && (found.complete || found.differences.size > 0),
    tookMs: clock.monotonic() - startedAt,
  };
}

/**
 * Leaves out sellers whose newest state is parked. Adds erased sellers for whom the view still has a parked message,
 * whatever their row says.
 */
async function withoutHeldBack(
  differences: readonly Difference[],
  source: Source,
  parked: readonly ParkedSeller[],
): Promise<readonly Difference[]> {
  if (parked.length === 0) return differences;
  const sellers = [...new Set(parked.map(({ sellerId }) => sellerId))];
  const truths = new Map<number, Truth>();
  for (let at = 0; at < sellers.length; at += SELLERS_AT_A_TIME) {
    for (const truth of await source.of(sellers.slice(at, at + SELLERS_AT_A_TIME))) {
      truths.set(truth.sellerId, truth);
    }
  }
  const heldBack = new Set(
    parked.filter((one) => isHeldBack(one, truths.get(one.sellerId))).map(({ sellerId }) => sellerId),
  );
  const differing = new Set(differences.map(({ sellerId }) => sellerId));
  const kept = sellers.flatMap((sellerId): Difference[] => {
    const truth = truths.get(sellerId);
    if (!truth?.erased || differing.has(sellerId)) return [];
    return [{ sellerId, expected: truth.version, held: null, digests: { expected: 0n, held: 0n } }];
  });
  const isDivergent = (one: Difference) => !heldBack.has(one.sellerId) || isAhead(one);
  return [...differences.filter(isDivergent), ...kept];
}

/** Whether the parked message is as new as the source, so that sending the state again would not help. */
const isHeldBack = ({ version, isOutdated }: ParkedSeller, truth: Truth | undefined): boolean =>
  truth !== undefined && !truth.erased && !isOutdated && (version === null || version >= truth.version);

/** The row is newer than the source, which was restored: a parked message does not explain that. */
const isAhead = ({ expected, held }: Difference): boolean => (held ?? 0) > (expected ?? 0);

function tellUnhealed(unhealed: readonly number[], log: Log): void {
  if (unhealed.length === 0) {
    log.info('no row stays wrong any more');
    return;
  }
  log.error(
    { unhealed: unhealed.length, examples: unhealed.slice(0, EXAMPLES) },
    'rows stay wrong although they were repaired; see whether the projector of this view applies anything, and look at them',
  );
}

async function repair(
  repairs: Repairs,
  send: readonly Difference[],
  repairsPerSecond: number,
  book: RepairBook,
  observer: WatchObserver,
  log: Log,
  signal: AbortSignal,
  clock: Clock,
): Promise<void> {
  const atATime = Math.min(REPAIRS_AT_A_TIME, repairsPerSecond);
  for (let at = 0; at < send.length; at += atATime) {
    if (at > 0) await clock.pause((atATime / repairsPerSecond) * 1_000, signal);
    if (signal.aborted) return;
    const some = send.slice(at, at + atATime);
    const sent = await repairs.send(some);
    // Repairs that could not be sent count as tried as well: otherwise they would be tried for ever.
    book.sent(some, clock.now());
    observer.repaired(sent.length);
    if (sent.length < some.length) {
      log.error(
        { sellers: some.filter((one) => !sent.includes(one)).map(({ sellerId }) => sellerId) },
        'the event log of these sellers ends before their state; restore it, then run rebuild-state',
      );
    }
  }
  if (send.length > 0) log.info({ sent: send.length }, 'sent again what differs');
}
