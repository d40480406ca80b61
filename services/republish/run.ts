import { partitionOf } from '#contracts/partition.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import type { Queryable } from '#platform/postgres.ts';
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
  /** Who starts one of this name again goes on with it, or finds it done. */
  readonly request: string;
  /** Sellers from one id to another, both included. */
  readonly first: number;
  readonly last: number;
}

export interface RunOptions {
  /** Sellers published again in a second, at most. */
  readonly sellersPerSecond: number;
  /** It waits while more rows than this are in the outbox: what sellers change now shall not wait behind them. */
  readonly mostWaiting: number;
  /** Sellers whose rows are locked in one transaction. A command that needs one of them waits for as long. */
  readonly sellersAtATime?: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  /** Told after each transaction. */
  readonly onProgress?: (done: number, sellers: number) => void;
}

const SELLERS_AT_A_TIME = 100;
const LOOK_EVERY_MS = 20;

/**
 * Starts a run unless there is one of its name. Another that somebody asked for and left unfinished is over when this
 * one publishes all of its sellers: nobody would ever end it, and it would be told of as the one that stands still.
 */
export async function beginRun(
  db: Queryable,
  { request, first, last }: Wanted,
  movedFrom: number | null = null,
): Promise<void> {
  await db.query(
    `insert into republish (request, first_seller, last_seller, moved_from, through, sellers)
    select $1, $2, $3, $4, $2::bigint - 1, count(*) from seller where seller_id between $2 and $3
    on conflict do nothing`,
    [request, first, last, movedFrom],
  );
  if (movedFrom !== null) return;
  await db.query(
    `update republish older set finished_at = clock_timestamp()
    from republish this
    where this.request = $1 and older.started_at < this.started_at and older.finished_at is null
      and older.moved_from is null and older.first_seller >= this.first_seller and older.last_seller <= this.last_seller`,
    [request],
  );
}

interface Run {
  readonly through: number;
  readonly last_seller: number;
  readonly moved_from: number | null;
  readonly sellers_done: number;
  readonly sellers: number;
  readonly finished: boolean;
  readonly partitions: number | null;
}

/**
 * Publishes states again until the run is done. How far it has come is committed together with the messages, so that
 * whoever starts it again after a kill -9 goes on at that very seller, and nothing is left out or sent twice.
 * @param db a session of its own on the primary, which no other run uses
 * @returns how many sellers were looked at, before a kill included
 * @throws the reason of the signal; what the database throws: the run can go on later
 */
export async function finishRun(db: Queryable, request: string, options: RunOptions): Promise<number> {
  const { sellersPerSecond, mostWaiting, signal, clock = SYSTEM_CLOCK, onProgress } = options;
  for (;;) {
    signal?.throwIfAborted();
    const since = clock.monotonic();
    if (await isFull(db, mostWaiting)) {
      await clock.pause(LOOK_EVERY_MS, signal);
      continue;
    }
    const { done, sellers, published, finished } = await inOneTransaction(db, () =>
      goOn(db, request, options.sellersAtATime ?? SELLERS_AT_A_TIME),
    );
    onProgress?.(done, sellers);
    if (finished) return done;
    const rest = (published * 1_000) / sellersPerSecond - (clock.monotonic() - since);
    if (rest > 0) await clock.pause(rest, signal);
  }
}

async function isFull(db: Queryable, mostWaiting: number): Promise<boolean> {
  const { rows } = await db.query<{ waiting: number }>(
    'select count(*) as waiting from (select from outbox limit $1) waiting',
    [mostWaiting + 1],
  );
  return rows[0]!.waiting > mostWaiting;
}

async function goOn(db: Queryable, request: string, limit: number) {
  const { rows } = await db.query<Run>(
    `select through, last_seller, republish.moved_from, sellers_done, sellers, finished_at is not null as finished,
      partitions
    from republish left join partition_layout on true where request = $1 for update of republish`,
    [request],
  );
  const run = rows[0];
  if (!run) throw new Error(`there is no run ${request}`);
  const { sellers_done: before, sellers } = run;
  if (run.finished) return { done: before, sellers, published: 0, finished: true };
  const some = await db.query<{ seller_id: number }>(
    'select seller_id from seller where seller_id > $1 and seller_id <= $2 order by seller_id limit $3',
    [run.through, run.last_seller, limit],
  );
  const sellerIds = some.rows.map(({ seller_id }) => seller_id);
  const left = leaves(run);
  const moving = sellerIds.filter((sellerId) => left(sellerId) !== null || run.moved_from === null);
  const messages =
    moving.length === 0 ? [] : (await lockSellers(db, moving)).map((seller) => messagesOf(seller, left));
  await addMessages(db, messages.flat());
  const finished = sellerIds.length < limit;
  await db.query(
    `update republish set through = $2, sellers_done = sellers_done + $3, progressed_at = clock_timestamp(),
      finished_at = case when $4 then clock_timestamp() end
    where request = $1`,
    [request, sellerIds.at(-1) ?? run.through, sellerIds.length, finished],
  );
  if (finished && run.moved_from !== null) await db.query('update partition_layout set moved_from = null');
  return { done: before + sellerIds.length, sellers, published: moving.length, finished };
}

/** Which partition a seller leaves; null for one that stays. */
function leaves({ moved_from: before, partitions: now }: Run): (sellerId: number) => number | null {
  if (before === null) return () => null;
  if (now === null) throw new Error('sellers cannot move before a partition layout is stored');
  return (sellerId) => {
    const left = partitionOf(String(sellerId), before);
    return left === partitionOf(String(sellerId), now) ? null : left;
  };
}

function messagesOf(seller: LockedSeller, left: (sellerId: number) => number | null): ExtraMessage[] {
  // Nothing was ever published of one without a version, unless by a source that was restored to before.
  const state = seller.version === 0 ? [] : stateOf(withChange(seller), null);
  const partition = left(seller.sellerId);
  return partition === null ? state : [...state, movedOf(seller, partition)];
}

/** Where the log has lost its newest entry the list still counts: an order of clients that is the one they have. */
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
