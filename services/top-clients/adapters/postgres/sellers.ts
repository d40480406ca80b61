import { createHash } from 'node:crypto';
import { bucketOf } from '#contracts/bucket.ts';
import { type Client, LIMITS } from '#contracts/client.ts';
import type { SellerChange } from '#contracts/events.ts';
import { isUnavailable, type Pool, type PoolClient } from '#platform/postgres.ts';
import {
  type Kept,
  type Locked,
  type LogEntry,
  type Sellers,
  type StoredList,
  Unavailable,
  type WriteRequest,
} from '../../app/ports.ts';
import type { Rejection, Seller } from '../../domain/seller.ts';
import { BUSY } from './busy.ts';
import { openReceipt } from './erasures.ts';
import { recordEvent } from './record-event.ts';

const asUnavailable = (err: unknown): unknown =>
  isUnavailable(err) || BUSY.has((err as { code?: string }).code ?? '')
    ? new Unavailable(`PostgreSQL: ${(err as Error).message}`, { cause: err })
    : err;

/**
 * The store in PostgreSQL. The pool's connections must pipeline: a write then takes two round trips. The first locks
 * and reads, the second writes and commits.
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
        const { locked, used } = await lock(tx, request);
        if (request.idempotency && used) {
          await rollBack();
          if (used.outcome.kind === 'erased') return { kind: 'key-erased' };
          return Buffer.compare(used.fingerprint, request.idempotency.fingerprint) === 0
            ? { kind: 'replayed', kept: keptOf(used.outcome), locked }
            : { kind: 'key-reused' };
        }
        const { version } = locked.seller;
        const { expectedVersions, excludedVersions } = request;
        if (expectedVersions && !expectedVersions.includes(version)) {
          await rollBack();
          return { kind: 'version-mismatch', version };
        }
        if (excludedVersions && (excludedVersions === 'any' || excludedVersions.includes(version))) {
          await rollBack();
          return { kind: 'version-excluded', version };
        }
        const verdict = rule(locked);
        if (verdict === 'too-many-keys') {
          await rollBack();
          return { kind: verdict };
        }
        const { commits, decided, kept, erasedAt } = verdict;
        const changesNothing = commits.length === 0 && !request.idempotency && erasedAt === undefined;
        if (changesNothing) await rollBack();
        else {
          await Promise.all([
            ...commits.flatMap(({ change, after }) => record(tx, request, change, after, locked.now)),
            ...(erasedAt === undefined
              ? []
              : [
                  // Also for an erasure that changes nothing: keys may have been used since the erasure before.
                  tx.query({ ...ERASE_KEYS, values: [request.sellerId] }),
                  openReceipt(tx, request, erasedAt, commits.length > 0, locked.now),
                ]),
            ...(request.idempotency ? [keepKey(tx, request, kept, locked.now)] : []),
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

    lists: (sellerIds, mostBytes) =>
      read(async () => {
        const { rows } = await pool.query<ListRow>({ ...READ_LISTS, values: [sellerIds, mostBytes] });
        const found = new Map(rows.map((row) => [row.seller_id, row]));
        const remaining = rows.filter(({ clients }) => clients === null).map((row) => row.seller_id);
        const left = new Set(remaining);
        const lists = sellerIds
          .filter((sellerId) => !left.has(sellerId))
          .map((sellerId) => listOf(sellerId, found.get(sellerId)));
        return { lists, remaining };
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

    forgetKeys: (hours, signal) =>
      read(async () => {
        let forgotten = 0;
        for (let last = SWEEP; last === SWEEP && !signal.aborted; forgotten += last) {
          last = (await pool.query({ ...FORGET_KEYS, values: [hours, SWEEP] })).rowCount ?? 0;
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

// The casts to text keep pg from parsing what is only passed through.
const READ_LIST = {
  name: 'read-list',
  text: 'select seller_id, version, clients::text, updated_at from seller where seller_id = $1',
};
// Clients beyond the answer's limit are not sent from the database. `clients` is stored as text: its cast is free.
const READ_LISTS = {
  name: 'read-lists',
  text: `select seller_id, version, updated_at,
      case when sum(octet_length(clients::text)) over (order by at) <= $2 then clients::text end as clients
    from unnest($1::bigint[]) with ordinality as asked (seller_id, at) join seller using (seller_id)
    order by at`,
};

interface LogRow {
  version: number;
  type: string;
  change: string | null;
  committed_at: Date;
}
const READ_LOG = {
  name: 'read-log',
  // After an erasure commits, older entries are hidden; they are emptied batch by batch.
  text: `select version, type, committed_at,
      case when version >= coalesce((select max(version) from erasure where seller_id = $1), 0) then change::text end
        as change
    from seller_event where seller_id = $1 and version > $2 order by version limit $3`,
};

/** Keys deleted in one statement, so that a sweep never blocks writes for long. */
const SWEEP = 1_000;
const FORGET_KEYS = {
  name: 'forget-keys',
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
// This statement follows the one that waited for the lock: its snapshot has what the transaction before committed, and
// its clock is read under the lock.
const LOOK_UP_KEY = {
  name: 'look-up-key',
  text: `select clock_timestamp() as now, used.fingerprint, used.outcome,
      (select count(*) from (select from idempotency_key where seller_id = $1 and $2::text is not null limit $4) k) as keys
    from (values (true)) one left join lateral (
      select fingerprint, outcome from idempotency_key where seller_id = $1 and key in ($2, $3)
      order by fingerprint limit 1
    ) used on true`,
};

/** First round trip: begins, locks the seller and looks up the idempotency key. */
async function lock(tx: PoolClient, { sellerId, idempotency }: WriteRequest) {
  const key = idempotency?.key ?? null;
  const [, , sellers, looks] = await Promise.all([
    tx.query('begin'),
    tx.query({ ...ADMIT_SELLER, values: [sellerId] }),
    tx.query<ListRow & { erased: boolean }>({ ...LOCK_SELLER, values: [sellerId] }),
    tx.query<{ now: Date; fingerprint: Buffer | null; outcome: StoredOutcome; keys: number }>({
      ...LOOK_UP_KEY,
      values: [sellerId, key, key && erasedKey(sellerId, key), LIMITS.idempotencyKeysPerSeller],
    }),
  ]);
  const row = sellers.rows[0]!;
  const look = looks.rows[0]!;
  const changedAt = row.version > 0 ? row.updated_at : null;
  // When the clock was set back, a change must not get an earlier time than the one before it.
  const now = changedAt && changedAt > look.now ? changedAt : look.now;
  const locked: Locked = {
    seller: {
      version: row.version,
      clients: JSON.parse(row.clients) as Client[],
      erased: row.erased,
    },
    updatedAt: changedAt?.toISOString() ?? null,
    now: now.toISOString(),
    keys: look.keys,
  };
  const { fingerprint, outcome } = look;
  return { locked, used: fingerprint && { fingerprint, outcome } };
}

/**
 * The outcome that a row stores, as JSON. Earlier versions stored whole answers, of which only the id of an added
 * client is read. They can read our outcomes as well.
 */
type StoredOutcome =
  | { readonly kind: 'done'; readonly version: number; readonly answer?: { readonly id?: string } | null }
  | { readonly kind: 'rejected'; readonly rejection: Rejection }
  | { readonly kind: 'erased' };

const keptOf = (stored: Exclude<StoredOutcome, { kind: 'erased' }>): Kept =>
  stored.kind === 'done'
    ? { kind: 'done', version: stored.version, addedId: stored.answer?.id ?? null }
    : stored;

const stored = (kept: Kept): StoredOutcome =>
  kept.kind === 'rejected'
    ? kept
    : {
        kind: 'done',
        version: kept.version,
        ...(kept.addedId === null ? {} : { answer: { id: kept.addedId } }),
      };

/** What replaces a key after an erasure: it has a space, which no caller can send. ERASE_KEYS computes the same. */
const erasedKey = (sellerId: number, key: string): string =>
  `erased ${createHash('sha256').update(`${sellerId} ${key}`).digest('hex')}`;

const ADD_TOMBSTONE = {
  name: 'add-tombstone',
  text: `insert into outbox (bucket, seller_id, version, type, value, committed_at, traceparent)
    values ($1, $2, $3, 'seller-erased', null, $4, $5)`,
};
// A key may be any text, even a name. After an erasure only a hash stays, which shows whether the key comes again.
const ERASE_KEYS = {
  name: 'erase-keys',
  text: `with used as (delete from idempotency_key where seller_id = $1 and fingerprint <> '' returning key, created_at)
    insert into idempotency_key (seller_id, key, fingerprint, outcome, created_at)
    select $1, 'erased ' || encode(sha256(convert_to($1::bigint || ' ' || key, 'UTF8')), 'hex'), '', '{"kind":"erased"}', created_at
    from used on conflict do nothing`,
};
const KEEP_KEY = {
  name: 'keep-key',
  text: `insert into idempotency_key (seller_id, key, fingerprint, outcome, created_at)
    values ($1, $2, $3, $4, $5)`,
};

/**
 * Sends the statements that record a change: the state, the log, the outbox, and for an erasure the tombstone. The log
 * before an erasure is emptied afterwards (erasures.ts): it may be too long for one transaction.
 */
function record(
  tx: PoolClient,
  { sellerId, traceparent }: WriteRequest,
  change: SellerChange,
  { version, clients, erased }: Seller,
  now: string,
): Promise<unknown>[] {
  const recorded = recordEvent(tx, {
    sellerId,
    version,
    type: change.type,
    changeJson: JSON.stringify(change),
    clientsJson: JSON.stringify(clients),
    erased,
    committedAt: now,
    traceparent,
  });
  if (change.type !== 'seller-erased') return [recorded];
  const tombstone = [bucketOf(sellerId), sellerId, version, now, traceparent];
  return [recorded, tx.query({ ...ADD_TOMBSTONE, values: tombstone })];
}

const keepKey = (
  tx: PoolClient,
  { sellerId, idempotency }: WriteRequest,
  kept: Kept,
  now: string,
): Promise<unknown> =>
  tx.query({
    ...KEEP_KEY,
    values: [
      sellerId,
      idempotency!.key,
      Buffer.from(idempotency!.fingerprint),
      JSON.stringify(stored(kept)),
      now,
    ],
  });
