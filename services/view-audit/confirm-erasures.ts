import { placeOfView } from '#contracts/erasures.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { type Log, withoutPasswords } from '#platform/log.ts';
import type {
  ErasureBook,
  OpenErasure,
  StoreOfView,
  StoreReport,
} from '../top-clients/adapters/postgres/erasure-book.ts';
import type { Difference, ParkedSeller, Source, Topic, View } from './compare-view.ts';
import type { KeptView } from './kept-views.ts';
import type { PageCaches } from './page-caches.ts';

/** An opened version of a view. */
export interface OpenView {
  readonly view: View;
  readonly memory: PageCaches;
  close(): Promise<void>;
}

/** Everything needed to confirm the erasures of one page; opened again after a failure. */
export interface ErasureSession {
  readonly book: ErasureBook;
  readonly source: Source;
  readonly topic: Topic;
  /** Every version of a view that is in the page's database, shown or not. */
  views(): Promise<readonly KeptView[]>;
  openView(view: KeptView): Promise<OpenView>;
  close(): Promise<void>;
}

const LOOK_EVERY_MS = 1_000;
const RETRY_EVERY_MS = 5_000;
/** In one look at a view. The next look continues behind them, so that those that stay open do not block others. */
const ERASURES_AT_A_TIME = 500;

/**
 * Reports to the receipts of erasures what the page's database still holds, until the signal aborts: in every view, its
 * parked messages, and the caches of its page servers. After a failure of a dependency it retries.
 */
export async function confirmErasures(
  page: string,
  open: () => Promise<ErasureSession>,
  log: Log,
  signal: AbortSignal,
  clock: Clock = SYSTEM_CLOCK,
): Promise<void> {
  let session: ErasureSession | null = null;
  let opened = new Map<string, OpenView>();
  const reached = new Map<string, string>();
  const end = async () => {
    const all = [...opened.values(), ...(session ? [session] : [])];
    [session, opened] = [null, new Map()];
    await Promise.allSettled(all.map((one) => one.close()));
  };
  let fails = false;
  while (!signal.aborted) {
    try {
      session ??= await open();
      await lookAtPage(page, session, opened, reached, signal);
      if (fails) log.info('erasures are confirmed again');
      fails = false;
    } catch (err) {
      if (signal.aborted) break;
      if (!fails) log.warn({ err }, 'could not look what has become of erasures; tries again');
      fails = true;
      void end();
    }
    await clock.pause(fails ? RETRY_EVERY_MS : LOOK_EVERY_MS, signal);
  }
  await end();
}

/**
 * Looks once at every view in a page's database.
 * @param opened open views, by place; further ones are opened when there is an erasure to check
 * @param reached the last erasure that the previous look reached, by place
 * @throws the first failure to look into a view, after it has looked into all others
 */
export async function lookAtPage(
  page: string,
  session: ErasureSession,
  opened: Map<string, OpenView>,
  reached: Map<string, string>,
  signal: AbortSignal,
  limit = ERASURES_AT_A_TIME,
): Promise<void> {
  const { book } = session;
  const known = new Set(await book.places(page));
  const failures: unknown[] = [];
  for (const view of await session.views()) {
    const place = placeOfView(page, view.delivery, view.version);
    known.delete(place);
    // After the abort the view may be about to be dropped with its page: nobody would undo this registration.
    if (signal.aborted) return;
    await book.register(place);
    const erasures = await book.open(place, reached.get(place) ?? null, limit);
    if (erasures.length < limit) reached.delete(place);
    else reached.set(place, erasures.at(-1)!.id);
    if (erasures.length === 0) continue;
    try {
      const one = opened.get(place) ?? (await session.openView(view));
      opened.set(place, one);
      await book.report(place, await judgeView(erasures, session, one));
    } catch (err) {
      // One view's failure must not block the others.
      const said = withoutPasswords((err as Error).message).replaceAll('\u0000', '');
      const because = `cannot look into the view ${place}: ${said}`;
      failures.push(new Error(because, { cause: err }));
      const openBecause = `the watcher of the page ${because}`;
      const reports = erasures.flatMap(({ id, stores }) =>
        [...stores].map((store) => ({ id, store, openBecause })),
      );
      await book.report(place, reports).catch((failure) => failures.push(failure));
    }
  }
  // A view that is not in the database holds nothing.
  for (const place of known) {
    await book.gone(place);
    const view = opened.get(place);
    opened.delete(place);
    reached.delete(place);
    await view?.close();
  }
  if (failures.length > 0) throw failures[0];
}

/** The report on each erasure, for each of the view's stores that has not confirmed. */
export async function judgeView(
  erasures: readonly OpenErasure[],
  { source, topic }: Pick<ErasureSession, 'source' | 'topic'>,
  { view, memory }: Omit<OpenView, 'close'>,
): Promise<readonly StoreReport[]> {
  const sellers = [...new Set(erasures.map(({ sellerId }) => sellerId))];
  // Asked before the rows are read: if true, the rows include everything that is on the topic now.
  const isApplied = await hasAppliedAll(view, topic);
  const truths = await source.of(sellers);
  const differences = new Map(
    (await view.compareSellers(truths, sellers)).differences.map((one) => [one.sellerId, one]),
  );
  const parked = Map.groupBy(await view.parked(), ({ sellerId }) => sellerId);
  const erasedNow = new Set(truths.filter(({ erased }) => erased).map(({ sellerId }) => sellerId));

  const because = new Map<OpenErasure, { view: string | null; parked: string | null }>();
  for (const erasure of erasures) {
    const { sellerId, version, isSent, stores } = erasure;
    const row = differences.get(sellerId) ?? null;
    const ofView = stores.has('view')
      ? rowIsOpen(row, version, isApplied && isSent && erasedNow.has(sellerId))
      : null;
    because.set(erasure, { view: ofView, parked: ofView ?? parkedIsOpen(parked.get(sellerId), version) });
  }
  const empty = erasures.filter((one) => one.stores.has('page-cache') && because.get(one)!.view === null);
  const remembered = await memory.cachedBecause(empty);
  return erasures.flatMap((erasure) => {
    const { view: ofView, parked: ofParked } = because.get(erasure)!;
    const reasons: Readonly<Record<StoreOfView, string | null>> = {
      view: ofView,
      'parked-messages': ofParked,
      'page-cache': ofView ?? remembered.get(erasure.id) ?? null,
    };
    return [...erasure.stores].map((store) => ({ id: erasure.id, store, openBecause: reasons[store] }));
  });
}

/**
 * Why a row may still hold something from before the erasure; null when it cannot. Rows are compared with the source to
 * the last byte, and the source holds nothing from before.
 * @param mayBeAbsent the view has applied everything and the seller is erased: after compaction there is nothing to
 * write
 */
function rowIsOpen(row: Difference | null, version: number, mayBeAbsent: boolean): string | null {
  if (row === null || (row.held === null && mayBeAbsent)) return null;
  if (row.held === null)
    return 'the view has no row of the seller yet, and has not read the whole topic since';
  if (row.held < version) return `the row is at version ${row.held} yet`;
  return 'the row is not as the source has it';
}

/** A parked message could not be read or written; one older than the erasure may hold the seller's data. */
const parkedIsOpen = (parked: readonly ParkedSeller[] | undefined, erased: number): string | null =>
  parked?.some(({ version }) => version === null || version < erased)
    ? 'an older message of the seller is parked'
    : null;

/** Whether the view has applied everything that is on the topic now. */
async function hasAppliedAll(view: View, topic: Topic): Promise<boolean> {
  const ends = await topic.ends();
  const applied = await view.checkpoints();
  return [...ends].every(
    ([partition, { first, next }]) => next <= first || (applied.get(partition) ?? 0) >= next,
  );
}
