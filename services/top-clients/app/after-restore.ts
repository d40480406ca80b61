import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import { throttled } from '#platform/throttled.ts';

/*
 * A source that was restored to an earlier point has forgotten versions that it had published. The topic, the views
 * and whoever else reads the topic are ahead of it, and three things are wrong:
 *
 * - **Who was erased after that point is in the source again.** The tombstone on the topic is all that remembers it.
 * - **Lists that changed after that point stand in the views**, and readers ignore the older state of the source.
 * - **The next changes get numbers that were used before.** Readers ignore them as well, and an `If-Match`, a
 *   `minVersion` or an `ETag` of before speaks of another list.
 *
 * So what was published is held against the log, message by message: version *and* time of the commit, because a
 * number that was used a second time has another time. Each seller of whom the log lacks something is erased again if
 * an erasure was lost, and otherwise raised to one version above everything that was published: the log gets entries
 * that put the list into the order it has, and the list is sent once. From then on versions are unique again, and
 * every reader that goes by them follows by itself, those of others too.
 *
 * It may be run at any time, also while sellers write, and again: what is right already is left alone. A seller whose
 * own new changes have passed the lost ones needs nothing.
 */

/** A version of a seller as a message told it. */
export interface PublishedVersion {
  readonly sellerId: number;
  readonly version: number;
  /** In ISO 8601. */
  readonly committedAt: string;
  /** Whether the version is an erasure. */
  readonly erases: boolean;
}

/** Everything that was published and can still be read. */
export interface PublishedVersions {
  /**
   * Has all that there is now looked at in portions, one after the other.
   * @throws when it cannot be read to its end, or what `look` throws
   */
  readAll(
    look: (published: readonly PublishedVersion[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
}

/** A seller, and the newest version that was published and that the source has lost. */
export interface LostVersions {
  readonly sellerId: number;
  readonly through: number;
}

/** The store of a source that was restored. */
export interface RestoredStore {
  /** Those that the log does not have: not that version, or another change under its number. */
  findLost(published: readonly PublishedVersion[]): Promise<readonly PublishedVersion[]>;
  /** Whether the log has an erasure of this seller from that time on. */
  wasErasedSince(sellerId: number, since: string): Promise<boolean>;
  /**
   * Raises versions of sellers in one transaction; the lists stay. Those that have gone beyond by themselves are left.
   * @param sellers in ascending order
   * @param publish true: to one above what was published, and the list is sent; false: to the same version and nothing
   * is sent, for an erasure follows
   * @returns how many were raised
   */
  raise(sellers: readonly LostVersions[], publish: boolean): Promise<number>;
  /** Whether more rows than this wait to be published. */
  isOutboxLongerThan(rows: number): Promise<boolean>;
}

/** What is known to be lost of a seller. */
interface LostSeller extends LostVersions {
  /** When the newest erasure that is lost was committed; null: none is. */
  readonly erasedAt: string | null;
}

export interface ResumeOptions {
  /** Finds what is lost and changes nothing. */
  readonly dryRun: boolean;
  readonly sellersPerSecond: number;
  /** It waits while the outbox has more rows than this. */
  readonly mostWaiting: number;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

export interface Resumed {
  /** Messages that were held against the log. */
  readonly messages: number;
  /** Sellers of whom the source has lost something. */
  readonly lost: number;
  readonly erased: number;
  readonly raised: number;
}

/** Erases one seller by the use case, in a transaction of its own. */
export type Erase = (sellerId: number) => Promise<void>;

const SELLERS_AT_A_TIME = 50;

/**
 * Brings a restored source above what it had published.
 * @throws when that cannot be read to its end; the reason of the signal; what the store throws. It can be run again then
 */
export async function resumeAfterRestore(
  published: PublishedVersions,
  store: RestoredStore,
  erase: Erase,
  options: ResumeOptions,
  log: Log,
): Promise<Resumed> {
  const { dryRun, signal } = options;
  const lost = new Map<number, LostSeller>();
  let messages = 0;
  await published.readAll(async (some) => {
    messages += some.length;
    for (const one of await store.findLost(some)) lost.set(one.sellerId, add(lost.get(one.sellerId), one));
  }, signal);
  const all = [...lost.values()].sort((a, b) => a.sellerId - b.sellerId);
  const erasures: LostSeller[] = [];
  const others: LostSeller[] = [];
  for (const one of all) {
    const isOpen = one.erasedAt !== null && !(await store.wasErasedSince(one.sellerId, one.erasedAt));
    (isOpen ? erasures : others).push(one);
  }
  const found = { messages, lost: all.length, erasures: erasures.length };
  log.info(
    found,
    dryRun ? 'found what the source has lost; nothing was changed' : 'found what the source has lost',
  );
  if (dryRun) return { messages, lost: all.length, erased: 0, raised: 0 };
  // Erasures first: what was erased must not be shown for longer than needed.
  for (const one of erasures) {
    signal.throwIfAborted();
    // Without being sent: the list of before must not reach a page.
    await store.raise([one], false);
    await erase(one.sellerId);
  }
  return { messages, lost: all.length, erased: erasures.length, raised: await raise(store, others, options) };
}

function add(
  before: LostSeller | undefined,
  { sellerId, version, committedAt, erases }: PublishedVersion,
): LostSeller {
  const erasedAt = before?.erasedAt ?? null;
  return {
    sellerId,
    through: Math.max(before?.through ?? 0, version),
    erasedAt: erases && (erasedAt === null || erasedAt < committedAt) ? committedAt : erasedAt,
  };
}

async function raise(
  store: RestoredStore,
  sellers: readonly LostSeller[],
  { sellersPerSecond: perSecond, mostWaiting, signal, clock }: ResumeOptions,
): Promise<number> {
  if (sellers.length === 0) return 0;
  let raised = 0;
  let at = 0;
  const isFull = () => store.isOutboxLongerThan(mostWaiting);
  await throttled({ perSecond, isFull, signal, clock }, async () => {
    const some = sellers.slice(at, at + SELLERS_AT_A_TIME);
    raised += await store.raise(some, true);
    at += some.length;
    return { items: some.length, isLast: at === sellers.length };
  });
  return raised;
}
