/** The receipt of an erasure beside what the disks hold, while processes are killed: it says neither too little nor too much. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ErasureReceipt, type ErasureStore } from '#contracts/erasures.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { viewSchema } from '#pages/projection.ts';
import { patchTopicConfigs } from '#platform/kafka/alter-configs.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { silentLog } from '#platform/log.ts';
import { connect } from '#platform/postgres.ts';
import { until } from '../../services/local-stack/until.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { produceByHand } from '../support/topic.ts';

const VIEW = viewSchema('asynchronous', 1);
const SELLER = 5;
const MARKER = 'Qx7ErasedMarker';
const COMPACTS_AT_ONCE = {
  'min.compaction.lag.ms': '0',
  'max.compaction.lag.ms': '1000',
  'min.cleanable.dirty.ratio': '0.001',
  'segment.ms': '1000',
  'file.delete.delay.ms': '1000',
};

let stack: Stack;

beforeAll(async () => {
  stack = await startStack({
    pages: ['user'],
    watch: true,
    sellers: 8,
    partitions: 1,
    kafkaProperties: { 'log.cleaner.backoff.ms': 500 },
    env: { 'watch-user': { TC_READ_TOPIC_AFTER_MS: 0, TC_READ_TOPIC_EVERY_MS: 1_000 } },
  });
}, 240_000);
afterAll(() => stack?.stop(), 60_000);

const source = (method: string, path: string, init: { token?: string; body?: unknown; key?: string } = {}) =>
  fetch(`${stack.urls.source}${path}`, {
    method,
    headers: {
      ...(init.token ? { authorization: `Bearer ${init.token}` } : {}),
      ...(init.body ? { 'content-type': 'application/json' } : {}),
      ...(init.key ? { 'idempotency-key': init.key } : {}),
    },
    ...(init.body ? { body: JSON.stringify(init.body) } : {}),
    signal: AbortSignal.timeout(10_000),
  });
const page = async () => (await fetch(`${stack.urls.user}/users/${SELLER}`)).text();

/** Whether the bytes of the marker are in some file of a folder below the stack's. */
async function onDisk(...path: string[]): Promise<boolean> {
  const grep = promisify(execFile)('grep', ['-r', '-a', '-q', '-s', MARKER, join(stack.folder, ...path)]);
  return grep.then(
    () => true,
    () => false,
  );
}

/** Whether any statement can still read the marker in some table of a database. */
async function inTables(database: 'source' | 'user'): Promise<string[]> {
  const pool = stack.database(database);
  const { rows } = await pool.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema') and schemaname not like 'pg\\_temp%' order by 1`,
  );
  const found: string[] = [];
  for (const { name } of rows) {
    const { rowCount } = await pool.query(
      `select from ${name} one where one::text like '%${MARKER}%' limit 1`,
    );
    if (rowCount! > 0) found.push(name);
  }
  return found;
}

/** Ends a process as a crash would, and starts it again. */
async function crash(name: string): Promise<() => Promise<void>> {
  const process = stack.process(name);
  const { exited } = process;
  process.kill('SIGKILL');
  await exited;
  return () => process.restart();
}

test('a receipt is complete when no store has anything any more, and says which one has until then', async () => {
  const [seller, operator] = await Promise.all([
    stack.issuer.token(SELLER),
    stack.issuer.token('operator', { scope: 'top-clients:erase' }),
  ]);
  const body = { name: MARKER, description: MARKER };
  const added = await source('POST', `/v1/sellers/${SELLER}/clients`, { token: seller, body, key: 'k' });
  expect(added.status).toBe(201);
  await until('the page shows the client', async () => (await page()).includes(MARKER));
  // One that the view cannot apply, and keeps.
  const torn = { key: String(SELLER), value: `torn ${MARKER}` };
  const parked = async () => (await stack.database('user').query(`select from ${VIEW}.parked`)).rowCount;
  await produceByHand(stack.kafka.bootstrap, [torn]);
  await until('the message is parked', async () => (await parked()) === 1);
  expect(await inTables('source')).toEqual(expect.arrayContaining(['public.seller', 'public.seller_event']));
  expect(await inTables('user')).toEqual([`${VIEW}.parked`, `${VIEW}.top_clients`]);
  expect(await onDisk('kafka', 'data')).toBe(true);

  // Nothing that carries the erasure on is there when it is committed, and who committed it dies.
  const back = await Promise.all([crash('projector-user'), crash('outbox-relay')]);
  const erased = await source('DELETE', `/v1/sellers/${SELLER}`, { token: operator });
  expect(erased.status).toBe(202);
  await (await crash('top-clients'))();
  const receipt = async () =>
    ErasureReceipt.parse(await (await source('GET', erased.headers.get('location')!)).json());
  const waitsFor = async (): Promise<ErasureStore[]> =>
    (await receipt()).stores.filter(({ confirmedAt }) => confirmedAt === null).map(({ store }) => store);
  await until('the source has confirmed what is its own', async () => !(await waitsFor()).includes('log'));
  expect(await waitsFor()).toEqual(['outbox', 'topic', 'view', 'parked-messages', 'page-cache']);
  expect(await inTables('source')).toEqual([]);
  expect(await inTables('user')).toEqual([`${VIEW}.parked`, `${VIEW}.top_clients`]);

  for (const start of back) await start();
  await (await crash('outbox-relay'))();
  await until('all but the topic have confirmed', async () => (await waitsFor()).join() === 'topic', 60_000);
  for (const database of ['source', 'user'] as const) expect(await inTables(database)).toEqual([]);
  expect(await page()).not.toContain(MARKER);
  const before = (await receipt()).stores.find(({ store }) => store === 'topic')!;
  expect(Date.parse(before.bytesUntil!)).toBeGreaterThan(Date.now());
  expect(await onDisk('kafka', 'data')).toBe(true);

  const kafka = openKafka('spec', { brokers: [stack.kafka.bootstrap] }, silentLog);
  await patchTopicConfigs(kafka, SELLER_EVENTS.topic, COMPACTS_AT_ONCE);
  let changes = 0;
  const another = await stack.issuer.token(6);
  await until(
    'the receipt is complete',
    async () => {
      // The next segment begins with a message.
      changes += 1;
      const client = { name: `Brand ${changes}` };
      await source('POST', '/v1/sellers/6/clients', { token: another, body: client });
      return (await receipt()).complete;
    },
    60_000,
    1_000,
  );
  await until('the files are deleted', async () => !(await onDisk('kafka', 'data')), 15_000, 200);

  // Of databases the receipt promises no time for bytes, and rightly: what a vacuum frees is not overwritten at once.
  const { stores } = await receipt();
  expect(stores.filter(({ bytesUntil }) => bytesUntil !== null).map(({ store }) => store)).toEqual(['topic']);
  // What the guide says to do about it.
  for (const database of ['source', 'user']) {
    const db = await connect(
      {
        url: stack.postgres.url(database),
        applicationName: 'spec',
        statementTimeoutMs: 30_000,
        connectTimeoutMs: 5_000,
      },
      () => {},
    );
    await db.query('vacuum full');
    await db.query('checkpoint');
    await db.end();
  }
  expect(await onDisk('postgres', 'pgdata', 'base')).toBe(false);
}, 300_000);
