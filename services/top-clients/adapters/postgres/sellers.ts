import { bucketOf } from '#contracts/bucket.ts';
import type { Client } from '#contracts/client.ts';
import type { Change } from '#contracts/events.ts';
import { isUnavailable, type Pool, type PoolClient } from '#platform/postgres.ts';
import {
  type Decided,
  type Locked,
  type LogEntry,
  type Sellers,
  type StoredList,
  Unavailable,
  type WriteRequest,
} from '../../app/ports.ts';
import type { Seller } from '../../domain/seller.ts';
import { BUSY } from './busy.ts';
import { openReceipt } from './erasures.ts';

const asUnavailable = (err: unknown): unknown =>
  isUnavailable(err) || BUSY.has((err as { code?: string }).code ?? '')
    ? new Unavailable(`PostgreSQL: ${(err as Error).message}`, { cause: err })
    : err;

/**
 * The store in PostgreSQL. The pool's connections must pipeline: a write is then two round trips, one that locks and
 * looks, and one that writes and commits.
 */
export function postgresSellers(pool: Pool): Sellers {
  const read = async <T>(query: () => Promise<T>): Promise<T> => {
    try {
      return await query();
    } catch (err) {
      throw asUnavailable(err);
    }
  };

  return {
    async write(request, rule) {
      const tx = await read(() => pool.connect());
      let broken: Error | undefined;
      const rollBack = () =>
        tx.query('rollback').catch((err: Error) => {
          broken = err;
        });
      try {
        const { locked, answered } = await lock(tx, request);
        if (request.idempotency && answered) {
          await rollBack();
          return Buffer.compare(answered.fingerprint, request.idempotency.fingerprint) === 0
            ? { kind: 'replayed', decided: answered.outcome as Decided<never> }
            : { kind: 'key-reused' };
        }
        const { version } = locked.seller;
        if (request.expectedVersions && !request.expectedVersions.includes(version)) {
          await rollBack();
          return { kind: 'version-mismatch', version };
        }
        const { commits, decided, erasedAt } = rule(locked);
        const changesNothing = commits.length === 0 && !request.idempotency && erasedAt === undefined;
        if (changesNothing) await rollBack();
        else {
          await Promise.all([
            ...commits.flatMap(({ change, after }) => record(tx, request, change, after, locked.now)),
            ...(erasedAt === undefined
              ? []
              : [openReceipt(tx, request, erasedAt, commits.length > 0, locked.now)]),
            ...(request.idempotency ? [keepAnswer(tx, request, decided, locked.now)] : []),
            tx.query('commit'),
          ]);
        }
        return { kind: commits.length > 0 ? 'committed' : 'unchanged', decided };
      } catch (err) {
        if (isUnavailable(err)) broken = err as Error;
        else await rollBack();
        throw asUnavailable(err);
      } finally {
        tx.release(broken);
      }
    },

    list: (sellerId) =>
      read(async () => {
        const { rows } = await pool.query<ListRow>({ ...READ_LIST, values: [sellerId] });
        return listOf(sellerId, rows[0]);
      }),

    lists: (sellerIds) =>
      read(async () => {
        const { rows } = await pool.query<ListRow>({ ...READ_LISTS, values: [sellerIds] });
        const found = new Map(rows.map((row) => [row.seller_id, row]));
        return sellerIds.map((sellerId) => listOf(sellerId, found.get(sellerId)));
      }),

    log: (sellerId, after, limit) =>
      read(async () => {
        const { rows } = await pool.query<LogRow>({ ...READ_LOG, values: [sellerId, after, limit] });
        return rows.map(
          ({ version, type, change, committed_at }): LogEntry => ({
            version,
            type,
            change,
            committedAt: committed_at.toISOString(),
          }),
        );
      }),

    shortenLog: (sellerId, through) =>
      read(async () => {
        await pool.query({ ...SHORTEN_LOG, values: [sellerId, through] });
      }),

    forgetAnswers: (hours, signal) =>
      read(async () => {
        let forgotten = 0;
        for (let last = SWEEP; last === SWEEP && !signal.aborted; forgotten += last) {
          last = (await pool.query({ ...FORGET_ANSWERS, values: [hours, SWEEP] })).rowCount ?? 0;
        }
        return forgotten;
      }),
  };
}

interface ListRow {
  seller_id: number;
  version: number;
  clients: string;
  updated_at: Date;
}

const listOf = (sellerId: number, row: ListRow | undefined): StoredList =>
  row && row.version > 0
    ? { sellerId, version: row.version, updatedAt: row.updated_at.toISOString(), clients: row.clients }
    : { sellerId, version: 0, updatedAt: null, clients: '[]' };

// The casts to text keep pg from parsing what is only passed on.
const READ_LIST = {
  name: 'read-list',
  text: 'select seller_id, version, clients::text, updated_at from seller where seller_id = $1',
};
const READ_LISTS = {
  name: 'read-lists',
  text: 'select seller_id, version, clients::text, updated_at from seller where seller_id = any($1::bigint[])',
};

interface LogRow {
  version: number;
  type: string;
  change: string | null;
  committed_at: Date;
}
const READ_LOG = {
  name: 'read-log',
  // An erasure empties the log batch by batch, and hides it from its commit on.
  text: `select version, type, committed_at,
      case when version >= coalesce((select max(version) from erasure where seller_id = $1), 0) then change::text end
        as change
    from seller_event where seller_id = $1 and version > $2 order by version limit $3`,
};

/** Answers deleted in one statement, so that a sweep never holds up the writes for long. */
const SWEEP = 1_000;
const FORGET_ANSWERS = {
  name: 'forget-answers',
  text: `delete from idempotency_key where (seller_id, key) in (
    select seller_id, key from idempotency_key where created_at < now() - make_interval(hours => $1)
    order by created_at limit $2 for update skip locked)`,
};

const SHORTEN_LOG = {
  name: 'shorten-log',
  text: 'delete from seller_event where seller_id = $1 and version <= $2',
};

const ADMIT_SELLER = {
  name: 'admit-seller',
  text: 'insert into seller (seller_id, updated_at) values ($1, clock_timestamp()) on conflict do nothing',
};
const LOCK_SELLER = {
  name: 'lock-seller',
  text: 'select version, clients::text, erased, updated_at from seller where seller_id = $1 for update',
};
// A statement after the one that waited for the lock: its snapshot shows what the transaction before committed, and
// its clock is read under the lock.
const LOOK_UP_ANSWER = {
  name: 'look-up-answer',
  text: `select clock_timestamp() as now, fingerprint, outcome
    from (values ($1::bigint, $2::text)) wanted (seller_id, key) left join idempotency_key using (seller_id, key)`,
};

/** First round trip: begins, locks the seller and looks up the idempotency key. */
async function lock(tx: PoolClient, { sellerId, idempotency }: WriteRequest) {
  const [, , sellers, answers] = await Promise.all([
    tx.query('begin'),
    tx.query({ ...ADMIT_SELLER, values: [sellerId] }),
    tx.query<ListRow & { erased: boolean }>({ ...LOCK_SELLER, values: [sellerId] }),
    tx.query<{ now: Date; fingerprint: Buffer | null; outcome: unknown }>({
      ...LOOK_UP_ANSWER,
      values: [sellerId, idempotency?.key ?? null],
    }),
  ]);
  const row = sellers.rows[0]!;
  const answer = answers.rows[0]!;
  const changedAt = row.version > 0 ? row.updated_at : null;
  // A clock that was set back must not put a change before the one it follows.
  const now = changedAt && changedAt > answer.now ? changedAt : answer.now;
  const locked: Locked = {
    seller: {
      version: row.version,
      clients: JSON.parse(row.clients) as Client[],
      erased: row.erased,
    },
    updatedAt: changedAt?.toISOString() ?? null,
    now: now.toISOString(),
  };
  const { fingerprint, outcome } = answer;
  return { locked, answered: fingerprint && { fingerprint, outcome } };
}

// One statement for the three tables that every change touches.
const RECORD = {
  name: 'record',
  text: `with state as (
      update seller set version = $2, clients = $3, erased = $4, updated_at = $5 where seller_id = $1
    ), event as (
      insert into seller_event (seller_id, version, type, change, committed_at, traceparent)
      values ($1, $2, $6, $7, $5, $8)
    )
    insert into outbox (bucket, seller_id, version, type, value, committed_at, traceparent)
    values ($9, $1, $2, $6, $10, $5, $8)`,
};
const ADD_TOMBSTONE = {
  name: 'add-tombstone',
  text: `insert into outbox (bucket, seller_id, version, type, value, committed_at, traceparent)
    values ($1, $2, $3, 'seller-erased', null, $4, $5)`,
};
const FORGET_SELLER_ANSWERS = {
  name: 'forget-seller-answers',
  text: 'delete from idempotency_key where seller_id = $1',
};
const KEEP_ANSWER = {
  name: 'keep-answer',
  text: `insert into idempotency_key (seller_id, key, fingerprint, outcome, created_at)
    values ($1, $2, $3, $4, $5)`,
};

/**
 * Sends the statements that record a change: the state, the log, the outbox, and for an erasure the tombstone and the
 * idempotency keys. The log before it is emptied afterwards (erasures.ts): it may be longer than any transaction should be.
 */
function record(
  tx: PoolClient,
  { sellerId, traceparent }: WriteRequest,
  change: Change,
  { version, clients, erased }: Seller,
  now: string,
): Promise<unknown>[] {
  const bucket = bucketOf(sellerId);
  const changeJson = JSON.stringify(change);
  const clientsJson = JSON.stringify(clients);
  // A SellerEvent, put together from the two texts that are stored on their own as well.
  const value = `{"sellerId":${sellerId},"version":${version},"committedAt":"${now}","change":${changeJson},"clients":${clientsJson}}`;
  const recorded = tx.query({
    ...RECORD,
    values: [
      sellerId,
      version,
      clientsJson,
      erased,
      now,
      change.type,
      changeJson,
      traceparent,
      bucket,
      value,
    ],
  });
  if (change.type !== 'seller-erased') return [recorded];
  return [
    recorded,
    tx.query({ ...ADD_TOMBSTONE, values: [bucket, sellerId, version, now, traceparent] }),
    tx.query({ ...FORGET_SELLER_ANSWERS, values: [sellerId] }),
  ];
}

const keepAnswer = (
  tx: PoolClient,
  { sellerId, idempotency }: WriteRequest,
  decided: Decided<unknown>,
  now: string,
): Promise<unknown> =>
  tx.query({
    ...KEEP_ANSWER,
    values: [sellerId, idempotency!.key, Buffer.from(idempotency!.fingerprint), JSON.stringify(decided), now],
  });
