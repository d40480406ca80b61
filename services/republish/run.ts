import { partitionOf } from '#contracts/partition.ts';
import type { Clock } from '#platform/clock.ts';
import type { Queryable } from '#platform/postgres.ts';
import { throttled } from '#platform/throttled.ts';
import { endMove } from '../top-clients/adapters/postgres/partition-layout.ts';
import {
  addRun,
  advanceRun,
  endRunsWithin,
  isOutboxLongerThan,
  type LockedRun,
  lockRun,
  nextSellers,
} from '../top-clients/adapters/postgres/republish-runs.ts';
import {
  addMessages,
  type ExtraMessage,
  type LockedSeller,
  lockSellers,
  movedOf,
  stateOf,
} from '../top-clients/adapters/postgres/states.ts';

/** What a run is started for. */
export interface Wanted {
  /** The name of the run. Starting one of the same name again resumes it, or finds it done. */
  readonly request: string;
  /** Sellers from one id to another, both included. */
  readonly first: number;
  readonly last: number;
}

export interface RunOptions {
  /** Sellers published again in a second, at most. */
  readonly sellersPerSecond: number;
  /** The run waits while the outbox has more rows than this: sellers' new changes must not wait behind them. */
  readonly mostWaiting: number;
  /** Sellers whose rows are locked in one transaction. A command that needs one of them waits that long. */
  readonly sellersAtATime?: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  /** Called after each transaction. */
  readonly onProgress?: (done: number, sellers: number) => void;
}

const SELLERS_AT_A_TIME = 100;

/**
 * Starts a run unless one of its name exists. It ends an older unfinished run when all of that run's sellers are in
 * this one: nobody would resume the older run, and it would be reported as stalled.
 */
export async function beginRun(
  db: Queryable,
  { request, first, last }: Wanted,
  movedFrom: number | null = null,
): Promise<void> {
  await addRun(db, { request, first, last, movedFrom });
  if (movedFrom === null) await endRunsWithin(db, request);
}

/**
 * Republishes states until the run is done. The progress commits together with the messages, so a run that is started
 * again after a kill -9 continues with the next seller: nothing is left out or sent twice.
 * @param db a session of its own on the primary, which no other run uses
 * @returns how many sellers were looked at, before a kill included
 * @throws the reason of the signal; what the database throws: the run can be resumed later
 */
export async function finishRun(db: Queryable, request: string, options: RunOptions): Promise<number> {
  const { sellersPerSecond: perSecond, mostWaiting, signal, clock, onProgress } = options;
  const isFull = () => isOutboxLongerThan(db, mostWaiting);
  let looked = 0;
  await throttled({ perSecond, isFull, signal, clock }, async () => {
    const { done, sellers, published, finished } = await inOneTransaction(db, () =>
      goOn(db, request, options.sellersAtATime ?? SELLERS_AT_A_TIME),
    );
    onProgress?.(done, sellers);
    looked = done;
    return { items: published, isLast: finished };
  });
  return looked;
}

async function goOn(db: Queryable, request: string, limit: number) {
  const run = await lockRun(db, request);
  if (!run) throw new Error(`there is no run ${request}`);
  const { sellersDone: before, sellers } = run;
  if (run.finished) return { done: before, sellers, published: 0, finished: true };
  const sellerIds = await nextSellers(db, run.through, run.lastSeller, limit);
  const left = leaves(run);
  const moving = sellerIds.filter((sellerId) => left(sellerId) !== null || run.movedFrom === null);
  const messages =
    moving.length === 0 ? [] : (await lockSellers(db, moving)).map((seller) => messagesOf(seller, left));
  await addMessages(db, messages.flat());
  const finished = sellerIds.length < limit;
  await advanceRun(db, request, {
    through: sellerIds.at(-1) ?? run.through,
    sellers: sellerIds.length,
    finished,
  });
  if (finished && run.movedFrom !== null) await endMove(db);
  return { done: before + sellerIds.length, sellers, published: moving.length, finished };
}

/** Which partition a seller leaves; null for one that stays. */
function leaves({ movedFrom: before, partitions: now }: LockedRun): (sellerId: number) => number | null {
  if (before === null) return () => null;
  if (now === null) throw new Error('sellers cannot move before a partition layout is stored');
  return (sellerId) => {
    const left = partitionOf(String(sellerId), before);
    return left === partitionOf(String(sellerId), now) ? null : left;
  };
}

function messagesOf(seller: LockedSeller, left: (sellerId: number) => number | null): ExtraMessage[] {
  // Nothing was published of a seller without a version, except by a source that was later restored to before.
  const state = seller.version === 0 ? [] : stateOf(withChange(seller), null);
  const partition = left(seller.sellerId);
  return partition === null ? state : [...state, movedOf(seller, partition)];
}

/** When the log has lost its newest entry the list still holds: the change is then a reorder to its present order. */
function withChange(seller: LockedSeller): LockedSeller {
  if (seller.change !== null) return seller;
  const clientIds = (JSON.parse(seller.clients) as { id: string }[]).map(({ id }) => id);
  return { ...seller, change: JSON.stringify({ type: 'clients-reordered', clientIds }) };
}

export async function inOneTransaction<T>(db: Queryable, work: () => Promise<T>): Promise<T> {
  await db.query('begin');
  try {
    const result = await work();
    await db.query('commit');
    return result;
  } catch (err) {
    await db.query('rollback').catch(() => {});
    throw err;
  }
}
