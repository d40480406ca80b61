/** What an erasure leaves of a seller, and what becomes of parked messages, in every view on the real PostgreSQL. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Client } from '#contracts/client.ts';
import { userName } from '#contracts/database-users.ts';
import { cloudEventId, cloudEventType, type SellerEvent } from '#contracts/events.ts';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { REPAIR_TYPE } from '#contracts/repair.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { SYSTEM_CLOCK } from '#platform/clock.ts';
import { silentLog } from '#platform/log.ts';
import { connect, openPool, type Pool } from '#platform/postgres.ts';
import { makeUsers, namesOf } from '../../services/local-stack/database-users.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { until } from '../../services/local-stack/until.ts';
import { migratePage } from '../../services/migrate/databases.ts';
import { Applier } from '../../services/projector/applier.ts';
import type { BusMessage } from '../../services/projector/bus.ts';
import { redrive } from '../../services/projector/redrive.ts';
import { openViewStore, type ViewStore } from '../../services/projector/view-store.ts';

let folder: string;
let postgres: LocalPostgres;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'top-clients-parking-'));
  // The smallest queue of notifications there is, 512 kB, so that a spec can fill it.
  postgres = await startPostgres({
    dataDir: join(folder, 'postgres'),
    settings: { max_notify_queue_pages: 64 },
  });
}, 60_000);
afterAll(async () => {
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

const SECRET = 'Nobody may read this';
const client: Client = {
  id: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff',
  name: SECRET,
  industry: 'Food',
  description: '',
  logo: null,
  from: null,
  to: null,
};
const AT = '2026-11-23T10:00:00.000Z';
type Sent = Omit<BusMessage, 'offset'>;

const message = (sellerId: number, version: number, more: Partial<BusMessage> = {}): Sent => ({
  timestamp: '1700000000000',
  key: Buffer.from(String(sellerId)),
  value: Buffer.from(
    JSON.stringify({
      sellerId,
      version,
      committedAt: AT,
      change: { type: 'client-updated', client },
      clients: [client],
    } satisfies SellerEvent),
  ),
  headers: { ce_type: cloudEventType('client-updated'), ce_id: cloudEventId(sellerId, version), ce_time: AT },
  ...more,
});
const erasure = (sellerId: number, version: number): Sent =>
  message(sellerId, version, {
    value: Buffer.from(
      JSON.stringify({
        sellerId,
        version,
        committedAt: AT,
        change: { type: 'seller-erased' },
        clients: [],
      } satisfies SellerEvent),
    ),
  });
const tombstone = (sellerId: number, version: number): Sent =>
  message(sellerId, version, {
    value: null,
    headers: {
      ce_type: cloudEventType('seller-erased'),
      ce_id: cloudEventId(sellerId, version),
      ce_time: AT,
    },
  });
const unreadable = (sellerId: number, id?: string): Sent =>
  message(sellerId, 1, {
    value: Buffer.from(`nonsense about ${SECRET}`),
    headers: id === undefined ? {} : { ce_id: id },
  });

const VIEWS = PAGE_NAMES.flatMap((page) =>
  (['asynchronous', 'hybrid'] as const).map((delivery) => ({ page, delivery })),
);

describe.each(VIEWS)('the $delivery view of $page', ({ page, delivery }) => {
  const projection = projectionsOf(page)[delivery];
  let view: Pool;
  let store: ViewStore;
  let counted: Record<string, number>;
  let failures: unknown[];
  let muted: boolean[];
  const offsets = new Map<number, number>();

  const settings = (user: string | undefined = userName('projector', page)) => ({
    url: postgres.url(page, user),
    applicationName: 'parking.spec',
    statementTimeoutMs: 10_000,
    connectTimeoutMs: 5_000,
    searchPath: [viewSchema(delivery, 1), 'public'],
  });
  beforeAll(async () => {
    await postgres.createDatabase(page);
    await makeUsers(postgres, [page]);
    const users = namesOf(page);
    await migratePage(page, postgres.url(page), { delivery, version: 1 }, silentLog, { users });
    view = openPool({ ...settings('postgres'), maximum: 4 }, silentLog);
  }, 60_000);
  afterAll(() => view?.end());
  beforeEach(async () => {
    await view.query('truncate top_clients, checkpoint, parked');
    store = await openViewStore(settings(), projection);
    counted = {};
    failures = [];
    muted = [];
    offsets.clear();
  });
  afterEach(async () => {
    await view.query('alter table top_clients drop constraint if exists unlucky');
    await store.close();
  });

  /** Applies what a partition delivers, as a projector of its own would. */
  async function apply(partition: number, ...messages: Sent[]): Promise<void> {
    const count = (result: string, more = 1) => {
      counted[result] = (counted[result] ?? 0) + more;
    };
    const applier = new Applier(
      store,
      (event) => projection.toRow(event),
      new Map([[partition, 0]]),
      (await store.parkedSellers()).filter((sellerId) => sellerId !== null),
      {
        applied: (_, changed) => count('applied', changed),
        repaired: (result) => count(`repair ${result}`),
        skipped: count,
        parked: () => count('parked'),
        muted: (isMuted) => muted.push(isMuted),
      },
      (err) => failures.push(err),
      { ...SYSTEM_CLOCK, pause: (_, signal) => SYSTEM_CLOCK.pause(20, signal) },
    );
    const from = offsets.get(partition) ?? 0;
    offsets.set(partition, from + messages.length);
    applier.handOver(
      partition,
      messages.map((one, at) => ({ ...one, offset: String(from + at) })),
      from + messages.length,
    );
    await applier.drain();
    if (muted.at(-1)) await until('page servers are told again', async () => muted.at(-1) === false, 10_000);
    applier.end();
    expect(failures).toEqual([]);
  }

  const rows = async () =>
    (await view.query('select to_jsonb(held) as row from top_clients held order by seller_id')).rows.map(
      ({ row }) => row,
    );
  const versions = async () =>
    Object.fromEntries((await rows()).map((row) => [row.seller_id, row.version] as const));
  const parked = async () =>
    (
      await view.query(
        'select partition, message_offset as offset, seller_id, version, attempts from parked order by 1, 2',
      )
    ).rows;
  const refuse = (sellerId: number) =>
    view.query(`alter table top_clients add constraint unlucky check (seller_id <> ${sellerId}) not valid`);
  const accept = () => view.query('alter table top_clients drop constraint unlucky');
  const retry = (partitions: readonly number[], anew = partitions) =>
    store.retryParked(partitions, anew).then((all) => all.map(({ sellerId, result }) => [sellerId, result]));
  const all = () => redrive(view as never, projection, silentLog);

  test('the tombstone that compaction left alone leaves the row that the erasure leaves', async () => {
    await apply(0, message(1, 5), message(2, 5));
    await apply(0, tombstone(1, 6), erasure(2, 6), tombstone(2, 6));
    const [alone, whole] = await rows();
    expect(alone).toEqual({ ...whole, seller_id: 1 });
    expect(alone.version).toBe(6);
    expect(JSON.stringify(alone)).not.toContain(SECRET);
    expect(JSON.stringify(alone)).not.toContain(client.id);
    expect(counted).toEqual({ applied: 4, tombstone: 1 });
  });

  test('a tombstone that comes late takes nothing back', async () => {
    await apply(0, message(1, 7));
    const before = await rows();
    await apply(0, tombstone(1, 6));
    expect(await rows()).toEqual(before);
  });

  test('an erasure supersedes what is parked of its seller, in whatever partition it stands', async () => {
    await refuse(1);
    await apply(0, message(1, 5), message(2, 5));
    await apply(3, unreadable(1), message(2, 6));
    expect(await parked()).toMatchObject([
      { partition: 0, version: 5 },
      { partition: 3, version: null },
    ]);
    await accept();
    await apply(7, tombstone(1, 6));
    expect(await parked()).toEqual([]);
    expect(await versions()).toEqual({ 1: 6, 2: 6 });
  });

  test('what is newer than the erasure stays parked, and is applied once the view takes it', async () => {
    await refuse(1);
    await apply(0, message(1, 7));
    await accept();
    await apply(3, tombstone(1, 6));
    expect(await parked()).toMatchObject([{ partition: 0, version: 7 }]);
    expect(await retry([0])).toEqual([[1, 'applied']]);
    expect(await versions()).toEqual({ 1: 7 });
  });

  test('what stands before an erasure in its partition is gone with it, also at a higher version of a time that is gone', async () => {
    await refuse(1);
    await apply(0, message(1, 9));
    await accept();
    // The source was restored to an earlier time, at which the seller was erased.
    await apply(0, erasure(1, 6), tombstone(1, 6));
    expect(await parked()).toEqual([]);
    expect(await retry([0])).toEqual([]);
    expect(await versions()).toEqual({ 1: 6 });
  });

  test('what tells no version takes no list away that may be applied yet', async () => {
    await refuse(1);
    await apply(0, message(1, 5));
    await apply(0, unreadable(1), unreadable(1));
    expect(await parked()).toMatchObject([
      { offset: 0, version: 5 },
      { offset: 2, version: null },
    ]);
    await apply(0, unreadable(1));
    await accept();
    expect(await retry([0])).toEqual([
      [1, 'applied'],
      [1, 'remains'],
    ]);
    expect(await versions()).toEqual({ 1: 5 });
  });

  test('a redrive leaves out nothing that another retry holds at that moment', async () => {
    await apply(0, unreadable(1), unreadable(2), unreadable(3));
    const [other, driver] = [await view.connect(), await view.connect()];
    await other.query('begin');
    await other.query('select from parked where message_offset = 0 for update');
    const driven = redrive(driver, projection, silentLog);
    const waiting = `select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%parked%'`;
    await until('it waits', async () => (await view.query(waiting)).rows.length > 0, 10_000);
    await other.query('commit');
    expect((await driven).remaining.map(({ offset }) => offset)).toEqual([0, 1, 2]);
    // The other one forgets the message: those behind it are tried all the same.
    await other.query('begin');
    await other.query('delete from parked where message_offset = 0');
    const again = redrive(driver, projection, silentLog);
    await until('it waits again', async () => (await view.query(waiting)).rows.length > 0, 10_000);
    await other.query('commit');
    expect((await again).remaining.map(({ offset }) => offset)).toEqual([1, 2]);
    other.release();
    driver.release();
  });

  test('what tells no version gives way to what comes behind it, taken together as one by one', async () => {
    const later = message(1, 5, { value: Buffer.from('{"sellerId":1,"version":5,') });
    await apply(0, unreadable(1), later);
    expect(await parked()).toMatchObject([{ offset: 1, version: 5 }]);
    await apply(0, unreadable(2));
    await apply(0, message(2, 5, { value: Buffer.from('{"sellerId":2,"version":5,') }));
    expect(await parked()).toMatchObject([
      { seller_id: 1, version: 5 },
      { seller_id: 2, version: 5 },
    ]);
  });

  test('the same message delivered again is no stale one', async () => {
    await apply(0, unreadable(1, cloudEventId(1, 5)));
    await apply(3, unreadable(1, cloudEventId(1, 5)));
    expect(counted).toEqual({ parked: 2 });
    expect(await parked()).toMatchObject([{ partition: 3, version: 5 }]);
  });

  test('nor does a copy of it that cannot be read', async () => {
    await refuse(1);
    await apply(0, message(1, 5));
    await apply(0, unreadable(1, cloudEventId(1, 5)));
    await apply(3, unreadable(1, cloudEventId(1, 5)));
    expect(await parked()).toMatchObject([{ partition: 0, offset: 0, version: 5 }]);
    await accept();
    expect(await retry([0])).toEqual([[1, 'applied']]);
    expect(await versions()).toEqual({ 1: 5 });
  });

  test('a repair supersedes what is parked of its seller', async () => {
    await refuse(1);
    await apply(0, message(1, 5));
    await apply(3, message(2, 1), unreadable(2));
    await accept();
    const headers = { ce_type: REPAIR_TYPE };
    await apply(7, message(1, 5, { headers }), message(2, 1, { value: null, headers }));
    expect(await parked()).toEqual([]);
    expect(await versions()).toEqual({ 1: 5, 2: 1 });
  });

  test('an older list that is parked after all is never brought back', async () => {
    await refuse(1);
    await apply(0, message(1, 5));
    await accept();
    const kept = (await view.query('select * from parked')).rows;
    expect(kept).toHaveLength(1);
    await apply(0, erasure(1, 6), tombstone(1, 6));
    const before = await rows();
    // As it would be if it had been parked by another process in the meantime.
    const putBack = () =>
      view.query('insert into parked select * from jsonb_populate_record(null::parked, $1)', [
        JSON.stringify(kept[0]),
      ]);
    await putBack();
    expect(await all()).toEqual({ applied: 0, superseded: 1, remaining: [] });
    await putBack();
    expect(await retry([0])).toEqual([[1, 'superseded']]);
    expect(await rows()).toEqual(before);
    expect(await parked()).toEqual([]);
  });

  test('of a seller without a row, what is parked for longer than tombstones last is left to the watcher', async () => {
    await refuse(1);
    await apply(0, message(1, 5));
    await accept();
    await view.query(`update parked set parked_at = now() - interval '8 days'`);
    expect(await retry([0])).toEqual([[1, 'remains']]);
    expect((await all()).remaining).toMatchObject([
      { sellerId: 1, reason: expect.stringContaining('erased') },
    ]);
    expect(await rows()).toEqual([]);
  });

  test('what can be applied again is, by itself, with back-off, and only by the owner of its partition', async () => {
    await refuse(1);
    await apply(0, message(1, 5), unreadable(2, '2/4'), message(3, 1));
    expect(await retry([1, 2])).toEqual([]);
    expect(await retry([0], [])).toEqual([]);
    expect(await retry([0])).toEqual([
      [1, 'remains'],
      [2, 'remains'],
    ]);
    expect(await parked()).toMatchObject([
      { seller_id: 1, version: 5, attempts: 1 },
      { seller_id: 2, version: 4, attempts: 1 },
    ]);
    await accept();
    expect(await retry([0], [])).toEqual([]);
    await view.query(`update parked set next_try_at = next_try_at - interval '121 seconds'`);
    expect(await retry([0], [])).toEqual([
      [1, 'applied'],
      [2, 'remains'],
    ]);
    expect(await versions()).toEqual({ 1: 5, 3: 1 });
    const { rows: waits } = await view.query(
      `select round(extract(epoch from next_try_at - now()) / 60)::int as minutes from parked`,
    );
    expect(waits).toEqual([{ minutes: 4 }]);
  });

  test('a message that fails for a reason of its own in the database keeps nobody behind it waiting', async () => {
    const schema = viewSchema(delivery, 1);
    await view.query('alter table top_clients add constraint unlucky check (seller_id > 100) not valid');
    await apply(0, message(1, 5), message(2, 5));
    await accept();
    await view.query(`create function "${schema}".refuses() returns trigger language plpgsql as
      $$ begin if new.seller_id = 1 then raise exception 'not this one'; end if; return new; end $$`);
    await view.query(
      `create trigger refuses before insert on top_clients for each row execute function "${schema}".refuses()`,
    );
    try {
      expect(await retry([0])).toEqual([
        [1, 'remains'],
        [2, 'applied'],
      ]);
    } finally {
      await view.query(`drop function "${schema}".refuses() cascade`);
    }
  });

  test('two who retry at the same time do not take the same message', async () => {
    await refuse(1);
    await apply(0, message(1, 5));
    await accept();
    const other = await connect(settings(), () => {});
    await other.query('begin');
    await other.query('select from parked for update');
    expect(await retry([0])).toEqual([]);
    await other.query('rollback');
    await other.end();
    expect(await retry([0])).toEqual([[1, 'applied']]);
  });

  test('a view that is not as it should be parks nothing', async () => {
    await view.query('alter table top_clients rename to elsewhere');
    try {
      await expect(apply(0, message(1, 5))).rejects.toThrow();
      expect(failures).toMatchObject([{ code: '42P01' }]);
      expect(counted).toEqual({});
      expect(await parked()).toEqual([]);
    } finally {
      await view.query('alter table elsewhere rename to top_clients');
    }
  });

  test('a full queue of notifications neither stops nor parks a write, and page servers are told of all afterwards', async () => {
    const schema = viewSchema(delivery, 1);
    // It does not look how full the queue is, as a trigger of the page's own would not.
    await view.query(`create or replace function notify_of_changes() returns trigger language plpgsql as $$ begin
      if current_setting('top_clients.notify', true) is distinct from 'off' then
        perform pg_notify('${schema}', 'a change');
      end if;
      return null;
    end $$`);
    await view.query(
      'create trigger heedless after insert or update on top_clients for each statement execute function notify_of_changes()',
    );
    const told: string[] = [];
    const deaf = await connect(settings(), () => {});
    const listener = await connect(settings(), () => {});
    listener.on('notification', ({ payload = '' }) => told.push(payload));
    try {
      await deaf.query('listen elsewhere');
      await listener.query(`listen ${schema}`);
      // Whoever listens and stays in a transaction does not read.
      await deaf.query('begin');
      await deaf.query('select 1');
      // One by one, for what a transaction wrote that came to nothing wakes no listener up.
      await expect(
        (async () => {
          for (;;) await view.query(`select pg_notify('elsewhere', repeat('x', 7900))`);
        })(),
      ).rejects.toMatchObject({ code: '54000', file: 'async.c' });

      const applied = apply(0, message(1, 5), message(2, 5));
      await until('the rows are there', async () => (await rows()).length === 2, 5_000);
      expect([store.isMuted, muted, failures]).toEqual([true, [true], []]);
      expect(await parked()).toEqual([]);
      expect(await store.unmute()).toBe(false);
      expect(told).toEqual([]);

      await deaf.query('rollback');
      await applied;
      expect([store.isMuted, muted]).toEqual([false, [true, false]]);
      await until('page servers are told that anything may have changed', async () => told.includes('*'));
      expect(counted).toEqual({ applied: 2 });
      await apply(0, message(3, 5));
      await until('they are told of changes again', async () => told.includes('a change'));
    } finally {
      await view.query('drop trigger heedless on top_clients');
      await deaf.end();
      await listener.end();
    }
  }, 30_000);
});
