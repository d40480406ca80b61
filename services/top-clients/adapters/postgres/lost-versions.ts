import { CANARY_SELLER } from '#contracts/canary.ts';
import type { Client } from '#contracts/client.ts';
import type { Queryable } from '#platform/postgres.ts';
import { newTraceparent } from '#platform/traceparent.ts';
import type { LostVersions, PublishedVersion, RestoredStore } from '../../app/after-restore.ts';
import { recordEvent } from './record-event.ts';
import { isOutboxLongerThan } from './republish-runs.ts';
import { lockSellers } from './states.ts';

/** @param db a session of its own on the primary; the caller ends it */
export const postgresRestoredStore = (db: Queryable): RestoredStore => ({
  findLost: (published) => findLost(db, published),
  wasErasedSince: (sellerId, since) => wasErasedSince(db, sellerId, since),
  isOutboxLongerThan: (rows) => isOutboxLongerThan(db, rows),
  async raise(sellers, publish) {
    await db.query('begin');
    try {
      const raised = await raiseVersions(db, sellers, publish, newTraceparent());
      await db.query('commit');
      return raised;
    } catch (err) {
      await db.query('rollback').catch(() => {});
      throw err;
    }
  },
});

// The canary's log is cut short, so an entry that is missing says nothing; its state is compared.
const FIND_LOST = `select position - 1 as index
  from unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) with ordinality
    as told (seller_id, version, committed_at, position)
  where case when seller_id = ${CANARY_SELLER}
    then version > coalesce((select version from seller where seller.seller_id = told.seller_id), 0)
    else not exists (
      select from seller_event as entry where entry.seller_id = told.seller_id and entry.version = told.version
        -- Messages tell milliseconds.
        and date_trunc('milliseconds', entry.committed_at) = told.committed_at)
    end
  order by position`;

async function findLost(
  db: Queryable,
  published: readonly PublishedVersion[],
): Promise<readonly PublishedVersion[]> {
  const { rows } = await db.query<{ index: number }>(FIND_LOST, [
    published.map(({ sellerId }) => sellerId),
    published.map(({ version }) => version),
    published.map(({ committedAt }) => committedAt),
  ]);
  return rows.map(({ index }) => published[index]!);
}

// A seller whom the source does not know needs a row to be locked.
const ADMIT = `insert into seller (seller_id, updated_at) select id, clock_timestamp() from unnest($1::bigint[]) id
  on conflict do nothing`;
const ADD_ENTRIES = `insert into seller_event (seller_id, version, type, change, committed_at)
  select $1, version, 'clients-reordered', $4::json, $5 from generate_series($2::bigint, $3::bigint) version`;
const RAISE_UNSEEN = 'update seller set version = $2, erased = false, updated_at = $3 where seller_id = $1';

/** The log gets entries that put the list into the order it has, so that it still rebuilds the state. */
async function raiseVersions(
  db: Queryable,
  sellers: readonly LostVersions[],
  publish: boolean,
  traceparent: string,
): Promise<number> {
  await db.query(ADMIT, [sellers.map(({ sellerId }) => sellerId)]);
  const lost = new Map(sellers.map(({ sellerId, through }) => [sellerId, through]));
  const locked = await lockSellers(db, [...lost.keys()]);
  // Read under the locks, and never before a seller's last change.
  const { rows: clocks } = await db.query<{ now: Date }>('select clock_timestamp() as now');
  let raised = 0;
  for (const { sellerId, version, clients, updatedAt } of locked) {
    const through = lost.get(sellerId)!;
    const to = publish ? through + 1 : through;
    if (version >= to) continue;
    const now = new Date(Math.max(clocks[0]!.now.getTime(), version > 0 ? updatedAt.getTime() : 0));
    const clientIds = (JSON.parse(clients) as Client[]).map(({ id }) => id);
    const changeJson = JSON.stringify({ type: 'clients-reordered', clientIds });
    // Nobody rebuilds the canary from its log, and it may be a day's worth behind.
    const first = sellerId === CANARY_SELLER ? to : version + 1;
    const last = publish ? to - 1 : to;
    if (first <= last) await db.query(ADD_ENTRIES, [sellerId, first, last, changeJson, now]);
    if (publish) {
      await recordEvent(db, {
        sellerId,
        version: to,
        type: 'clients-reordered',
        changeJson,
        clientsJson: clients,
        erased: false,
        committedAt: now.toISOString(),
        traceparent,
      });
    } else await db.query(RAISE_UNSEEN, [sellerId, to, now]);
    raised += 1;
  }
  return raised;
}

const ERASED_SINCE = `select exists (
  select from seller_event where seller_id = $1 and type = 'seller-erased' and committed_at >= $2) as since`;

async function wasErasedSince(db: Queryable, sellerId: number, since: string): Promise<boolean> {
  const { rows } = await db.query<{ since: boolean }>(ERASED_SINCE, [sellerId, since]);
  return rows[0]!.since;
}
