/** A relay that sleeps must miss no row, whenever it falls asleep and whoever writes meanwhile: on a real PostgreSQL. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type pg from 'pg';
import { BUCKETS } from '#contracts/bucket.ts';
import { silentLog } from '#platform/log.ts';
import { connect } from '#platform/postgres.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { migrateSource } from '../../services/migrate/databases.ts';
import { relayRows } from '../../services/outbox-relay/shard.ts';
import { openOutbox, prepareSession } from '../../services/top-clients/adapters/postgres/outbox.ts';
import {
  type OutboxAlarm,
  openOutboxAlarm,
  type SetAlarm,
} from '../../services/top-clients/adapters/postgres/outbox-alarm.ts';

let folder: string;
let postgres: LocalPostgres;
const opened: pg.Client[] = [];

const session = async (user?: string): Promise<pg.Client> => {
  const url = new URL(postgres.url('source'));
  if (user !== undefined) url.username = user;
  const client = await connect(
    {
      url: url.href,
      applicationName: 'relay',
      statementTimeoutMs: 10_000,
      connectTimeoutMs: 3_000,
      pipeline: true,
    },
    () => {},
  );
  opened.push(client);
  return client;
};
const write = (db: pg.Client, bucket: number) =>
  db.query(
    `insert into outbox (bucket, seller_id, version, type, value, committed_at)
    values ($1, 1, 1, 'client-updated', '{}', now())`,
    [bucket],
  );

const never = new AbortController().signal;
/** Long enough that only a ring can have ended it sooner. */
const LONG_MS = 20_000;
/** Whether it rings at all, soon. */
const rings = async (rung: (ms: number, signal: AbortSignal) => Promise<void>, ms: number) => {
  const startedAt = performance.now();
  await rung(ms, never);
  return performance.now() - startedAt < ms - 5;
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'outbox-alarm-'));
  postgres = await startPostgres({ dataDir: folder });
  await postgres.createDatabase('source');
  await migrateSource(postgres.url('source'), silentLog);
}, 60_000);
afterEach(async () => {
  await Promise.all(opened.splice(0).map((client) => client.end()));
});
afterAll(async () => {
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

test('it cannot be set while a transaction that has written is open, and then sees what that wrote', async () => {
  const [relay, writer] = [await session(), await session()];
  const alarm = openOutboxAlarm(relay, { index: 0, of: 1 }, silentLog);
  await writer.query('begin');
  await write(writer, 5);
  expect(await alarm.set()).toBeNull();
  await writer.query('commit');
  const set = await alarm.set();
  expect(set).not.toBeNull();
  const { rows } = await relay.query('select count(*) as count from outbox');
  expect(rows[0].count).toBeGreaterThan(0);
  set!.off();
});

test('it rings when a transaction commits, not when it is rolled back, and not for rows of another shard', async () => {
  const [relay, writer] = [await session(), await session()];
  const set = (await openOutboxAlarm(relay, { index: 1, of: 4 }, silentLog).set())!;
  await writer.query('begin');
  await write(writer, 1);
  await writer.query('rollback');
  await write(writer, 2);
  expect(await rings(set.rung, 100)).toBe(false);
  const bell = rings(set.rung, LONG_MS);
  await write(writer, BUCKETS - 3);
  expect(await bell).toBe(true);
  set.off();
});

test('while nobody sleeps nobody is notified', async () => {
  const [relay, writer, listener] = [await session(), await session(), await session()];
  const heard: string[] = [];
  await listener.query('listen outbox');
  listener.on('notification', ({ payload }) => heard.push(payload ?? ''));
  const set = (await openOutboxAlarm(relay, { index: 0, of: 1 }, silentLog).set())!;
  await write(writer, 7);
  set.off();
  await relay.query('select 1');
  await write(writer, 8);
  await listener.query('select 1');
  await listener.query('select 1');
  expect(heard).toEqual(['7']);
});

test('it cannot be set where the outbox does not ring, or another holds a part', async () => {
  const [relay, other, admin] = [await session(), await session(), await session()];
  const theirs = await openOutboxAlarm(other, { index: 1, of: 3 }, silentLog).set();
  const mine = openOutboxAlarm(relay, { index: 0, of: 3 }, silentLog);
  expect(await mine.set()).toBeNull();
  theirs!.off();
  await other.query('select 1');
  (await mine.set())!.off();
  await admin.query('alter table outbox disable trigger wake_relay');
  expect(await mine.set()).toBeNull();
  await admin.query('alter table outbox enable trigger wake_relay');
});

test('where PostgreSQL refuses what it takes, it says so once, and the session goes on', async () => {
  const admin = await session();
  await admin.query(`create role plain login; grant select on outbox to plain;
    revoke execute on function pg_try_advisory_lock(integer, integer) from public`);
  try {
    const relay = await session('plain');
    const warned: string[] = [];
    const log = {
      ...silentLog,
      warn: (_: unknown, text?: string) => void warned.push(text ?? ''),
    } as typeof silentLog;
    const alarm = openOutboxAlarm(relay, { index: 0, of: 1 }, log);
    expect([await alarm.set(), await alarm.set()]).toEqual([null, null]);
    expect(warned).toEqual([expect.stringContaining('cannot be woken')]);
    expect((await relay.query('select from outbox limit 0')).rows).toEqual([]);
  } finally {
    await admin.query('grant execute on function pg_try_advisory_lock(integer, integer) to public');
  }
});

test.each([
  ['that falls asleep', true],
  ['that goes on sleeping', false],
])(
  'no row is missed, however writers and a relay %s meet',
  async (_, ends) => {
    const relay = await session();
    const writers = await Promise.all(Array.from({ length: 4 }, () => session()));
    const alarm = openOutboxAlarm(relay, { index: 0, of: 1 }, silentLog);
    await relay.query('delete from outbox');
    const EACH = 100;
    const asleep = Promise.withResolvers<void>();
    const writing = Promise.all(
      writers.map(async (writer, at) => {
        for (let turn = 0; turn < EACH; turn++) {
          // Where writers leave it no moment, a relay never sleeps.
          if (turn === EACH / 2) await asleep.promise;
          await writer.query('begin');
          await write(writer, (at * 251 + turn) % BUCKETS);
          // Lets others in between, by chance.
          for (let i = Math.random() * 4; i > 1; i--) await writer.query('select 1');
          await writer.query('commit');
        }
      }),
    );
    const take = async () => (await relay.query('delete from outbox')).rowCount ?? 0;
    let taken = 0;
    let slept = 0;
    let set: SetAlarm | null = null;
    while (taken < EACH * writers.length) {
      if (set === null) {
        taken += await take();
        set = await alarm.set();
        if (set === null) continue;
      }
      let found = await take();
      while (found === 0 && taken < EACH * writers.length) {
        slept += 1;
        asleep.resolve();
        const hasRung = await rings(set.rung, LONG_MS);
        expect(hasRung).toBe(true);
        found = await take();
        // What goes on may have found the row before it rang.
        if (ends) expect(found).toBeGreaterThan(0);
      }
      taken += found;
      if (!ends) continue;
      set.off();
      set = null;
    }
    await writing;
    expect(slept).toBeGreaterThan(0);
  },
  60_000,
);

test('where commits are slow, writers do not wait for one another because a relay sleeps', async () => {
  const writers = await Promise.all(Array.from({ length: 8 }, () => session()));
  // As on a slow disk: each commit takes so long, and all that come meanwhile are over with it.
  const SLOW_MS = 50;
  for (const writer of writers)
    await writer.query(`set commit_delay = ${SLOW_MS * 1_000}; set commit_siblings = 0`);
  const EACH = 20;
  const writeAll = async () => {
    const startedAt = performance.now();
    const writeEach = writers.map(async (writer, at) => {
      for (let turn = 0; turn < EACH; turn++) await write(writer, (at * 251 + turn) % BUCKETS);
    });
    await Promise.all(writeEach);
    return performance.now() - startedAt;
  };
  const alone = await writeAll();

  const db = await session();
  await prepareSession(db);
  const shard = { index: 0, of: 1 };
  const asleep = Promise.withResolvers<void>();
  const alarm = openOutboxAlarm(db, shard, silentLog);
  const told: OutboxAlarm = {
    async set() {
      const set = await alarm.set();
      if (set === null) return null;
      return {
        rung: (ms, signal) => {
          asleep.resolve();
          return set.rung(ms, signal);
        },
        off: () => set.off(),
      };
    },
  };
  const ended = new AbortController();
  const relaying = relayRows(
    openOutbox(db, shard, silentLog),
    { send: async () => {}, end: () => {} },
    { sent: () => {}, sendFailed: () => {}, blocked: () => {}, held: () => {} },
    ended.signal,
    { isHeld: () => !ended.signal.aborted },
    silentLog,
    { alarm: told },
  );
  try {
    await asleep.promise;
    const beside = await writeAll();
    expect(beside / alone).toBeLessThan(3);
  } finally {
    ended.abort();
    await relaying;
  }
}, 60_000);
