import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { userName } from '#contracts/database-users.ts';
import { CANARY_SELLER } from '../../../contracts/canary.ts';
import { type Client, LIMITS, NewClient } from '../../../contracts/client.ts';
import { makeUsers, namesOf } from '../../../local-stack/database-users.ts';
import { type LocalPostgres, startPostgres } from '../../../local-stack/postgres.ts';
import { migrateSource } from '../../../migrate/databases.ts';
import { silentLog } from '../../../platform/log.ts';
import { connect, openPool, type Pool } from '../../../platform/postgres.ts';
import { CANARY_LOG, rebuildState, writeCanary } from '../../app/index.ts';
import type { Sellers, WriteRequest, WriteResult } from '../../app/ports.ts';
import { runCommand } from '../../app/run-command.ts';
import { NEW_SELLER, type Seller } from '../../domain/seller.ts';
import { type Intent, intent } from '../../testing/commands.ts';
import { postgresSellers } from './sellers.ts';
import { postgresStateRepair } from './state-repair.ts';

let folder: string;
let postgres: LocalPostgres;
let pool: Pool;
/** Who migrates. */
let owner: Pool;
let sellers: Sellers;
const settings = () => ({
  url: postgres.url('source', userName('source', 'source')),
  applicationName: 'spec',
  statementTimeoutMs: 10_000,
  connectTimeoutMs: 5_000,
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sellers-'));
  postgres = await startPostgres({ dataDir: join(folder, 'data') });
  await postgres.createDatabase('source');
  await makeUsers(postgres, ['source']);
  await migrateSource(postgres.url('source'), silentLog, { users: namesOf('source') });
  pool = openPool({ ...settings(), maximum: 4, pipeline: true }, silentLog);
  owner = openPool({ ...settings(), url: postgres.url('source'), maximum: 1 }, silentLog);
  sellers = postgresSellers(pool);
});
afterAll(async () => {
  await pool?.end();
  await owner?.end();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

const request = (sellerId: number, more: Partial<WriteRequest> = {}): WriteRequest => ({
  sellerId,
  expectedVersions: null,
  idempotency: null,
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  ...more,
});

/** Applies an intent to whatever the list is when the lock is held. */
const attempt = (sellerId: number, intended: Intent, known: Seller): Promise<WriteResult<Seller>> =>
  runCommand(sellers, request(sellerId), intended(known), ({ list }) => list!);

let last = 0;
async function live(intents: readonly Intent[]): Promise<{ sellerId: number; seller: Seller }> {
  const sellerId = ++last;
  let seller = NEW_SELLER;
  for (const intended of intents) {
    const result = await attempt(sellerId, intended, seller);
    if ('decided' in result && result.decided.kind === 'done') seller = result.decided.answer;
  }
  return { sellerId, seller };
}

const rebuild = async () => {
  const client = await connect(settings(), () => {});
  try {
    return await rebuildState(postgresStateRepair(client), () => {});
  } finally {
    await client.end();
  }
};
const table = async () =>
  (await pool.query('select *, clients::text from seller where version > 0 order by 1')).rows;

test('what is read is what was decided, and the outbox says the same', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(intent, { maxLength: 30 }), async (intents) => {
      const { sellerId, seller } = await live(intents);
      const list = await sellers.list(sellerId);
      expect(list.version).toBe(seller.version);
      expect(JSON.parse(list.clients)).toEqual(seller.clients);

      const { rows } = await pool.query<{ version: number; value: string | null; type: string }>(
        'select version, value, type from outbox where seller_id = $1 order by id',
        [sellerId],
      );
      const events = rows.filter(({ value }) => value !== null).map(({ value }) => JSON.parse(value!));
      expect(events.map(({ version }) => version)).toEqual(events.map((_, i) => i + 1));
      expect(events).toHaveLength(seller.version);
      if (events.length > 0) expect(events.at(-1)).toMatchObject({ sellerId, clients: seller.clients });
      // A tombstone follows each erasure at once.
      const erasures = rows.flatMap(({ value, type }, i) =>
        type === 'seller-erased' && value !== null ? [i] : [],
      );
      const tombstones = rows.flatMap(({ value }, i) => (value === null ? [i] : []));
      expect(tombstones).toEqual(erasures.map((i) => i + 1));
    }),
    { numRuns: 40 },
  );
});

test('whatever happened, and whatever happens to the state, the log alone rebuilds it', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(intent, { maxLength: 25 }), { minLength: 1, maxLength: 4 }),
      fc.constantFrom(
        'delete from seller',
        `update seller set clients = '[]', version = version + 7`,
        'update seller set erased = not erased where seller_id % 2 = 0',
        `update seller set updated_at = 'epoch' where seller_id % 2 = 0`,
        `insert into seller (seller_id, version, updated_at) values (1000000, 5, now())`,
        'select 1',
      ),
      async (histories, damage) => {
        for (const intents of histories) await live(intents);
        const truth = await table();
        await pool.query(damage);
        const rebuilt = await rebuild();
        expect(await table()).toEqual(truth);
        expect(rebuilt).toMatchObject({ sellers: truth.length });
        expect(await rebuild()).toEqual({ sellers: truth.length, corrected: 0 });
      },
    ),
    { numRuns: 20 },
  );
});

test('a rebuild while sellers write loses nothing and stops nobody', async () => {
  const ids = Array.from({ length: 10 }, () => ++last);
  const add = (sellerId: number, n: number) =>
    runCommand(
      sellers,
      request(sellerId),
      {
        kind: 'add-client',
        clientId: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
        client: NewClient.parse({ name: `Brand ${n}` }),
      },
      ({ version }) => version,
    );
  const writing = Promise.all(
    ids.map(async (sellerId) => {
      for (let n = 1; n <= 20; n++) await add(sellerId, n);
    }),
  );
  let rounds = 0;
  let done = false;
  void writing.finally(() => {
    done = true;
  });
  while (!done) {
    expect(await rebuild()).toMatchObject({ corrected: 0 });
    rounds += 1;
  }
  await writing;
  expect(rounds).toBeGreaterThan(0);
  for (const list of (await sellers.lists(ids, Number.MAX_SAFE_INTEGER)).lists) {
    expect(list.version).toBe(20);
    expect(JSON.parse(list.clients).map(({ name }: Client) => name)).toEqual(
      Array.from({ length: 20 }, (_, i) => `Brand ${i + 1}`),
    );
  }
});

test('a log with a gap is refused, naming the seller and the version, and the state is left alone', async () => {
  const { sellerId } = await live([
    () => ({ kind: 'add-client', clientId: crypto.randomUUID(), client: NewClient.parse({ name: 'A' }) }),
    () => ({ kind: 'add-client', clientId: crypto.randomUUID(), client: NewClient.parse({ name: 'B' }) }),
    () => ({ kind: 'add-client', clientId: crypto.randomUUID(), client: NewClient.parse({ name: 'C' }) }),
  ]);
  const before = await table();
  const { rows } = await pool.query(
    'delete from seller_event where seller_id = $1 and version = 2 returning *',
    [sellerId],
  );
  await expect(rebuild()).rejects.toThrow(`the log of seller ${sellerId}: its version 2 is missing`);
  expect(await table()).toEqual(before);
  await pool.query(
    'insert into seller_event select * from json_populate_record(null::seller_event, $1::json)',
    [JSON.stringify(rows[0])],
  );
  expect(await rebuild()).toMatchObject({ corrected: 0 });
});

test('two rebuilds at once: one works, the other says so', async () => {
  const client = await connect(settings(), () => {});
  const repair = postgresStateRepair(client);
  expect(await repair.exclusively(rebuild)).toBe('busy');
  await client.end();
  expect(await rebuild()).not.toBe('busy');
});

test('a clock that was set back does not put a change before the one it follows', async () => {
  const { sellerId } = await live([
    () => ({ kind: 'add-client', clientId: crypto.randomUUID(), client: NewClient.parse({ name: 'A' }) }),
  ]);
  const future = '2999-01-01T00:00:00.000Z';
  await pool.query('update seller set updated_at = $2 where seller_id = $1', [sellerId, future]);
  await runCommand(sellers, request(sellerId), { kind: 'erase-seller' }, () => null);
  const entries = await sellers.log(sellerId, 1, 10);
  expect(entries).toMatchObject([{ version: 2, committedAt: future }]);
});

test('keys older than a day are forgotten, newer ones kept', async () => {
  const sellerId = ++last;
  const keep = (key: string) =>
    runCommand(
      sellers,
      request(sellerId, { idempotency: { key, fingerprint: Buffer.from('x') } }),
      { kind: 'reorder-clients', clientIds: [] },
      () => null,
    );
  await keep('old');
  await keep('new');
  await pool.query(`update idempotency_key set created_at = now() - interval '25 hours' where key = 'old'`);
  // More than one statement deletes.
  await pool.query(
    `insert into idempotency_key select $1, 'old ' || n, 'x', '{}', now() - interval '2 days' from generate_series(1, 2500) n`,
    [sellerId],
  );
  expect(await sellers.forgetKeys(24, new AbortController().signal)).toBe(2_501);
  const { rows } = await pool.query('select key from idempotency_key where seller_id = $1', [sellerId]);
  expect(rows).toEqual([{ key: 'new' }]);
});

test('migrating leaves each seller the newest keys, no more than it may have', async () => {
  const [many, few] = [++last, ++last];
  await pool.query('delete from idempotency_key');
  await pool.query(
    `insert into idempotency_key
     select $1::bigint, 'k' || n, 'x'::bytea, '{"kind":"done","version":1}'::json, now() - n * interval '1 second'
     from generate_series(1, $2::int) n
     union all select $3::bigint, 'k' || n, 'x'::bytea, '{}'::json, now() - n * interval '1 hour' from generate_series(1, 20) n`,
    [many, LIMITS.idempotencyKeysPerSeller + 500, few],
  );
  await owner.query(`delete from schema_migration where name = '004-keys-without-contents.sql'`);
  await migrateSource(postgres.url('source'), silentLog);
  const { rows } = await pool.query(
    `select seller_id, count(*) as keys, min(created_at) > now() - interval '10050 seconds' as newest
     from idempotency_key group by 1 order by 1`,
  );
  expect(rows).toEqual([
    { seller_id: many, keys: LIMITS.idempotencyKeysPerSeller, newest: true },
    { seller_id: few, keys: 20, newest: false },
  ]);
});

test('a key that a server of before used again after an erasure does not stop the next one', async () => {
  const sellerId = ++last;
  const write = (name: string) =>
    runCommand(
      sellers,
      request(sellerId, { idempotency: { key: 'k', fingerprint: Buffer.from(name) } }),
      { kind: 'add-client', clientId: crypto.randomUUID(), client: NewClient.parse({ name }) },
      () => null,
    );
  const erase = () => runCommand(sellers, request(sellerId), { kind: 'erase-seller' }, () => null);
  await write('A');
  await erase();
  expect(await write('A')).toEqual({ kind: 'key-erased' });
  await pool.query(
    `insert into idempotency_key values ($1, 'k', 'A', '{"kind":"done","version":3,"answer":{"id":"a"}}', now())`,
    [sellerId],
  );
  expect(await write('A')).toEqual({ kind: 'key-erased' });
  await runCommand(
    sellers,
    request(sellerId),
    { kind: 'add-client', clientId: crypto.randomUUID(), client: NewClient.parse({ name: 'B' }) },
    () => null,
  );
  expect(await erase()).toMatchObject({ kind: 'committed' });
  expect(await write('A')).toEqual({ kind: 'key-erased' });
});

test('of several replicas one changes the canary at a time, and another takes over when it is gone', async () => {
  const seen: (number | null)[] = [null, null, null];
  const turn = async (replica: number) => {
    const { version, written } = await writeCanary(sellers, seen[replica]!);
    seen[replica] = version;
    return written;
  };
  const round = async (...replicas: number[]) => {
    const wrote: number[] = [];
    for (const replica of replicas) if (await turn(replica)) wrote.push(replica);
    return wrote;
  };
  await round(0, 1, 2);
  expect(await round(0, 1, 2)).toEqual([0]);
  expect(await round(0, 1, 2)).toEqual([0]);
  // Without the first: one interval to notice, then the next one writes.
  expect(await round(1, 2)).toHaveLength(1);
  expect(await round(1, 2)).toEqual([1]);
  const { version } = await sellers.list(CANARY_SELLER);
  // At the very same moment: the lock and the version let one through.
  const atOnce = await Promise.all([writeCanary(sellers, version), writeCanary(sellers, version)]);
  expect(atOnce.filter(({ written }) => written)).toHaveLength(1);
  expect(await sellers.list(CANARY_SELLER)).toMatchObject({ version: version + 1 });
});

test("the canary's log stays short, and a rebuild of everybody's state leaves the canary alone", async () => {
  for (let i = 0; i < 350; i++) {
    const { version } = await sellers.list(CANARY_SELLER);
    expect(await writeCanary(sellers, version)).toEqual({ version: version + 1, written: true });
  }
  const before = await sellers.list(CANARY_SELLER);
  const log = await sellers.log(CANARY_SELLER, 0, 10_000);
  expect(log.length).toBeLessThanOrEqual(CANARY_LOG + 100);
  expect(log.at(-1)!.version).toBe(before.version);
  expect(log[0]!.version).toBeGreaterThan(1);
  expect(await rebuild()).toMatchObject({ corrected: 0 });
  expect(await sellers.list(CANARY_SELLER)).toEqual(before);
});

test('a rule that throws leaves nothing behind, and the connection in order', async () => {
  const sellerId = ++last;
  for (let i = 0; i < 10; i++) {
    await expect(
      sellers.write(request(sellerId), () => {
        throw new Error('bug');
      }),
    ).rejects.toThrow('bug');
  }
  expect(await sellers.list(sellerId)).toMatchObject({ version: 0 });
  const { rows } = await pool.query('select count(*) as left from seller where seller_id = $1', [sellerId]);
  expect(rows).toEqual([{ left: 0 }]);
  expect(pool.totalCount).toBeLessThanOrEqual(4);
});
