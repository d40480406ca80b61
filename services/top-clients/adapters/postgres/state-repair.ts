import { CANARY_SELLER } from '#contracts/canary.ts';
import type { SellerChange } from '#contracts/events.ts';
import type { Queryable } from '#platform/postgres.ts';
import type { StateRepair } from '../../app/ports.ts';
import { NEW_SELLER, type Seller } from '../../domain/seller.ts';

// Any constant will do, as long as every repair takes the same one.
const REPAIR_LOCK = 7_461_002_919;
/** Few enough that a command which needs one of their locks waits only milliseconds. */
const SELLERS_AT_A_TIME = 100;
const ENTRIES_AT_A_TIME = 5_000;

const FIND_LAST = `select max(seller_id) as last from (
  select distinct seller_id from seller_event where seller_id > $1 order by seller_id limit $2) next`;
const ADMIT_SELLERS = `insert into seller (seller_id, updated_at)
  select distinct seller_id, clock_timestamp() from seller_event where seller_id > $1 and seller_id <= $2
  on conflict do nothing`;
// The canary is left out: its log is cut short and does not give the state. A seller without a lock is left alone.
const LOCK_SELLERS = `select seller_id, version, clients::text, erased, updated_at from seller
  where seller_id > $1 and seller_id <= $2 and seller_id <> ${CANARY_SELLER} order by seller_id for update`;
const READ_ENTRIES = `select seller_id, version, change, committed_at from seller_event
  where (seller_id, version) > ($1, $2) and seller_id <= $3 order by seller_id, version limit $4`;
const CORRECT_SELLERS = `update seller set version = given.version, clients = given.clients::json,
    erased = given.erased, updated_at = given.updated_at
  from unnest($1::bigint[], $2::bigint[], $3::text[], $4::boolean[], $5::timestamptz[])
    given (seller_id, version, clients, erased, updated_at)
  where seller.seller_id = given.seller_id`;
const DELETE_SELLERS = 'delete from seller where seller_id = any($1::bigint[])';

interface StateRow {
  seller_id: number;
  version: number;
  clients: string;
  erased: boolean;
  updated_at: Date;
}
interface EntryRow {
  seller_id: number;
  version: number;
  change: SellerChange | null;
  committed_at: Date;
}

/** The state in PostgreSQL. The connection must not be shared: it holds the lock against other repairs. */
export function postgresStateRepair(db: Queryable): StateRepair {
  return {
    async exclusively(work) {
      const { rows } = await db.query<{ locked: boolean }>('select pg_try_advisory_lock($1) as locked', [
        REPAIR_LOCK,
      ]);
      if (!rows[0]!.locked) return 'busy';
      try {
        return await work();
      } finally {
        await db.query('select pg_advisory_unlock($1)', [REPAIR_LOCK]);
      }
    },

    async repairNext(after, step) {
      const found = await db.query<{ last: number | null }>(FIND_LAST, [after, SELLERS_AT_A_TIME]);
      const last = found.rows[0]!.last;
      // After the last seller with a log there may be states without any log.
      const through = last ?? Number.MAX_SAFE_INTEGER;
      await db.query('begin');
      try {
        await db.query(ADMIT_SELLERS, [after, through]);
        const { rows: states } = await db.query<StateRow>(LOCK_SELLERS, [after, through]);
        const wanted = await fold(db, after, through, new Set(states.map((row) => row.seller_id)), step);
        const wrong = states.filter((row) => differs(row, wanted.get(row.seller_id)));
        const orphans = wrong.filter((row) => !wanted.has(row.seller_id)).map((row) => row.seller_id);
        const corrections = wrong.flatMap(({ seller_id }) => {
          const state = wanted.get(seller_id);
          return state ? [{ seller_id, ...state }] : [];
        });
        await db.query(CORRECT_SELLERS, [
          corrections.map((one) => one.seller_id),
          corrections.map((one) => one.seller.version),
          corrections.map((one) => JSON.stringify(one.seller.clients)),
          corrections.map((one) => one.seller.erased),
          corrections.map((one) => one.updatedAt),
        ]);
        await db.query(DELETE_SELLERS, [orphans]);
        await db.query('commit');
        return { last, sellers: wanted.size, corrected: wrong.length };
      } catch (err) {
        await db.query('rollback').catch(() => {});
        throw err;
      }
    },
  };
}

type Wanted = Map<number, { seller: Seller; updatedAt: Date }>;

/** The state that the log gives for each locked seller. It is read in pages, because a log has no bound. */
async function fold(
  db: Queryable,
  after: number,
  through: number,
  locked: ReadonlySet<number>,
  step: Parameters<StateRepair['repairNext']>[1],
): Promise<Wanted> {
  const wanted: Wanted = new Map();
  let [sellerId, version] = [after, Number.MAX_SAFE_INTEGER];
  for (;;) {
    const { rows } = await db.query<EntryRow>(READ_ENTRIES, [sellerId, version, through, ENTRIES_AT_A_TIME]);
    for (const row of rows) {
      // A seller who was added after the locks were taken has the right state, and is not locked.
      if (!locked.has(row.seller_id)) continue;
      try {
        const before = wanted.get(row.seller_id)?.seller ?? NEW_SELLER;
        wanted.set(row.seller_id, { seller: step(before, row), updatedAt: row.committed_at });
      } catch (cause) {
        throw new Error(`the log of seller ${row.seller_id}: ${(cause as Error).message}`, { cause });
      }
    }
    const end = rows.at(-1);
    if (!end || rows.length < ENTRIES_AT_A_TIME) return wanted;
    [sellerId, version] = [end.seller_id, end.version];
  }
}

function differs(row: StateRow, wanted: { seller: Seller; updatedAt: Date } | undefined): boolean {
  // Without a change there is nothing to rebuild; a refused first command may have left an empty row.
  if (!wanted) return row.version > 0;
  const { seller, updatedAt } = wanted;
  return (
    row.version !== seller.version ||
    row.erased !== seller.erased ||
    row.updated_at.getTime() !== updatedAt.getTime() ||
    row.clients !== JSON.stringify(seller.clients)
  );
}
