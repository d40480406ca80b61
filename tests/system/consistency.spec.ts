/** A view that is watched, on real PostgreSQL and Kafka: found and healed whatever is done to it, never a false alarm. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { CANARY_SELLER } from '#contracts/canary.ts';
import { silentLog } from '#platform/log.ts';
import { namesOf } from '../../services/local-stack/database-users.ts';
import { type Pipeline, startPipeline } from '../../services/local-stack/pipeline.ts';
import type { RunningRole } from '../../services/local-stack/run-role.ts';
import { until } from '../../services/local-stack/until.ts';
import { migratePage } from '../../services/migrate/databases.ts';
import { addClients } from '../../services/seed/source.ts';
import { disorderIn, produceByHand, readTopic } from '../support/topic.ts';
import { openWriter, type Writer } from '../support/writer.ts';

/** Sellers of the seed, a third of them with clients; nobody writes them afterwards. */
const SEEDED = 20_000;
const WRITERS = { first: 30_001, last: 30_100 };
const ERASED = Array.from({ length: 20 }, (_, i) => 40_001 + i);
const UNKNOWN = Array.from({ length: 10 }, (_, i) => 500_001 + i);
const HEALED_WITHIN_MS = 60_000;

let pipeline: Pipeline;
let writer: Writer;
let watcher: RunningRole;

beforeAll(async () => {
  pipeline = await startPipeline({ partitions: 4 });
  const { postgres, source } = pipeline;
  await postgres.createDatabase('user');
  const users = namesOf('user');
  await migratePage('user', postgres.url('user'), { delivery: 'hybrid', version: 1 }, silentLog, { users });
  for (let first = 1; first <= SEEDED; first += 1_000) {
    const ids = Array.from({ length: 1_000 }, (_, i) => first + i);
    await addClients(source, ids, new Date().toISOString());
  }
  writer = openWriter(postgres.url('source'));
  for (const sellerId of ERASED) {
    await writer.add(sellerId, 'A secret');
    await writer.erase(sellerId);
  }
  await pipeline.relay();
  await pipeline.projector();
  await pipeline.projector('projector-user', {
    env: { TC_PAGE: 'user', TC_DELIVERY: 'hybrid', TC_DATABASE_URL: postgres.url('user') },
  });
  await until('the view has everything', async () => (await sumOfView()) === (await sumOfSource()), 60_000);
}, 180_000);

afterAll(async () => {
  await writer?.close();
  await pipeline?.stop();
}, 60_000);

afterEach(async () => {
  await writer.rest();
  await watcher?.stop();
});

const sumOfView = async () =>
  (await pipeline.view.query<{ sum: number }>('select sum(version)::bigint as sum from top_clients')).rows[0]!
    .sum;
const sumOfSource = async () =>
  (await pipeline.source.query<{ sum: number }>('select sum(version)::bigint as sum from seller')).rows[0]!
    .sum;

/** The watcher as it is by default, but for what a test says. */
const watch = async (env: Record<string, string> = {}) => {
  watcher = await pipeline.startRole('watch-view', 'watch-view', {
    env: {
      TC_PAGE: 'gig',
      TC_DATABASE_URL: pipeline.postgres.url('gig'),
      TC_SOURCE_DATABASE_URL: pipeline.postgres.url('source'),
      ...env,
    },
  });
};
const metric = (name: string) => watcher.metric(`topclients_consistency_${name}`);
const passes = () => metric('comparison_duration_seconds_count');
const untilPasses = async (more: number) => {
  const before = await passes();
  await until(`${more} comparisons more`, async () => (await passes()) >= before + more, 60_000, 50);
};

/** What must be in the view, row by row, as the source has it; what it has too much shows as well. */
async function rows(sellerIds: readonly number[]) {
  const { rows: found } = await pipeline.view.query<{ seller_id: number; version: number; clients: unknown }>(
    'select seller_id, version, clients from top_clients where seller_id = any ($1) order by seller_id',
    [sellerIds],
  );
  return found;
}
async function truths(sellerIds: readonly number[]) {
  const { rows: found } = await pipeline.source.query<{
    seller_id: number;
    version: number;
    clients: unknown;
  }>(
    'select seller_id, version, clients from seller where seller_id = any ($1) and version > 0 order by seller_id',
    [sellerIds],
  );
  return found;
}

const change = (text: string, sellerIds: readonly number[]) => pipeline.view.query(text, [sellerIds]);

/** 100 rows broken by hand, in every way there is. @returns the sellers */
async function breakRows(): Promise<number[]> {
  const { rows: some } = await pipeline.view.query<{ seller_id: number }>(
    'select seller_id from top_clients where seller_id <= $1 order by random() limit 70',
    [SEEDED],
  );
  const ids = some.map((row) => row.seller_id);
  await change(`update top_clients set clients = '[]' where seller_id = any ($1)`, ids.slice(0, 20));
  await change('delete from top_clients where seller_id = any ($1)', ids.slice(20, 40));
  await change('update top_clients set version = version - 1 where seller_id = any ($1)', ids.slice(40, 55));
  await change(
    `update top_clients set version = version + 50, clients = '[{"name":"X"}]' where seller_id = any ($1)`,
    ids.slice(55, 70),
  );
  await change(`update top_clients set clients = '[{"name":"A secret"}]' where seller_id = any ($1)`, ERASED);
  await change(
    `insert into top_clients (seller_id, version, committed_at, clients)
    select id, 3, now(), '[{"name":"Nobody"}]' from unnest($1::bigint[]) id`,
    UNKNOWN,
  );
  return [...ids, ...ERASED, ...UNKNOWN];
}

test('while sellers write all the time there is no alarm, in any of several comparisons', async () => {
  writer.keepWriting(WRITERS.first, WRITERS.last, 150);
  await watch({ TC_SELLERS_PER_SECOND: '20000', TC_PAUSE_MS: '100' });
  await until('the first comparison', async () => (await passes()) >= 1, 30_000);
  const { writes } = writer;
  for (let i = 0; i < 5; i++) {
    await untilPasses(1);
    expect(await metric('divergent_sellers')).toBe(0);
  }
  expect(writer.writes).toBeGreaterThan(writes + 50);
  expect(await metric('compared_sellers')).toBeGreaterThan(5_000);
  expect(await metric('compared_timestamp_seconds')).toBeGreaterThan(Date.now() / 1_000 - 30);
  expect([await metric('errors_total'), await metric('repairs_total')]).toEqual([0, 0]);
}, 120_000);

test('100 rows broken by hand are found and healed within a minute, while sellers write', async () => {
  writer.keepWriting(WRITERS.first, WRITERS.last, 50);
  await watch();
  const broken = await breakRows();
  expect(broken).toHaveLength(100);
  const since = Date.now();
  let most = 0;
  await until(
    'the view is as the source has it',
    async () => {
      most = Math.max(most, await metric('divergent_sellers'));
      return JSON.stringify(await rows(broken)) === JSON.stringify(await truths(broken));
    },
    HEALED_WITHIN_MS,
    100,
  );
  await until(
    'the watcher says so',
    async () => most > 0 && (await metric('divergent_sellers')) === 0,
    HEALED_WITHIN_MS - (Date.now() - since),
  );
  expect(most).toBe(100);
  expect([await metric('repairs_total'), await metric('unhealed_sellers')]).toEqual([100, 0]);
  expect((await rows(ERASED)).every((row) => JSON.stringify(row.clients) === '[]')).toBe(true);
  expect(await rows(UNKNOWN)).toEqual([]);
  expect(disorderIn(await readTopic(pipeline.kafka.bootstrap))).toEqual([]);
}, 120_000);

test('duplicates of repairs, and all of the topic once more, change nothing, nor does another view mind', async () => {
  const all = async () =>
    JSON.stringify((await pipeline.view.query('select * from top_clients order by seller_id')).rows);
  const before = await all();
  const repairs = (await readTopic(pipeline.kafka.bootstrap)).filter(({ headers }) =>
    headers['ce_type']!.includes('repaired'),
  );
  expect(repairs.length).toBeGreaterThanOrEqual(100);
  const again = repairs.map(({ sellerId, partition, value, headers }) => ({
    key: String(sellerId),
    partition,
    value,
    headers: { ...headers },
  }));
  await produceByHand(pipeline.kafka.bootstrap, again, again);
  await pipeline.view.query('update checkpoint set next_offset = 0');
  const user = pipeline.postgres.url('user');
  await watch({ TC_PAUSE_MS: '0', TC_SELLERS_PER_SECOND: '20000', TC_REPAIR: 'false' });
  // A comparison begins by waiting until everything on the topic was applied.
  await untilPasses(2);
  expect(await metric('divergent_sellers')).toBe(0);
  expect(await all()).toBe(before);
  await watcher.stop();
  await watch({
    TC_PAGE: 'user',
    TC_DELIVERY: 'hybrid',
    TC_DATABASE_URL: user,
    TC_PAUSE_MS: '0',
    TC_SELLERS_PER_SECOND: '20000',
  });
  await untilPasses(1);
  expect([await metric('divergent_sellers'), await metric('errors_total')]).toEqual([0, 0]);
}, 120_000);

test('who only watches finds and does not heal', async () => {
  const broken = await breakRows();
  const before = await rows(broken);
  await watch({ TC_REPAIR: 'false', TC_PAUSE_MS: '0', TC_SELLERS_PER_SECOND: '20000' });
  await until('it is found', async () => (await metric('divergent_sellers')) === 100, 60_000);
  await untilPasses(2);
  expect([await metric('divergent_sellers'), await metric('repairs_total')]).toEqual([100, 0]);
  expect(await rows(broken)).toEqual(before);
  await watcher.stop();
  await watch({ TC_PAUSE_MS: '0', TC_SELLERS_PER_SECOND: '20000' });
  await until(
    'it is healed',
    async () => JSON.stringify(await rows(broken)) === JSON.stringify(await truths(broken)),
    60_000,
  );
}, 120_000);

test('a row that is broken again after every repair is called unhealed, and not repaired for ever', async () => {
  // As a fault in the projection would: whatever is written comes out wrong.
  await pipeline.view.query(`create function spoil() returns trigger language plpgsql as
    'begin new.clients = ''[1]''; return new; end'`);
  const [{ seller_id: sellerId }] = (
    await pipeline.view.query<{ seller_id: number }>('select seller_id from top_clients order by 1 limit 1')
  ).rows as [{ seller_id: number }];
  await pipeline.view.query(
    `create trigger spoil before insert or update on top_clients for each row when (new.seller_id = ${sellerId})
    execute function spoil()`,
  );
  await pipeline.view.query('update top_clients set version = version where seller_id = $1', [sellerId]);
  await watch({ TC_PAUSE_MS: '0', TC_SELLERS_PER_SECOND: '50000' });
  await until('it is called unhealed', async () => (await metric('unhealed_sellers')) === 1, 60_000);
  await untilPasses(3);
  expect([await metric('divergent_sellers'), await metric('repairs_total')]).toEqual([1, 3]);
  await pipeline.view.query('drop trigger spoil on top_clients');
  await watcher.stop();
  await watch({ TC_PAUSE_MS: '0', TC_SELLERS_PER_SECOND: '50000' });
  await until(
    'it is healed',
    async () => (await passes()) > 1 && (await metric('divergent_sellers')) === 0,
    60_000,
  );
}, 120_000);

test('a seller with a parked message is no divergence', async () => {
  await produceByHand(pipeline.kafka.bootstrap, [{ key: '60001', value: 'nonsense' }]);
  await watch({ TC_PAUSE_MS: '0', TC_SELLERS_PER_SECOND: '50000' });
  await untilPasses(2);
  expect([await metric('divergent_sellers'), await metric('repairs_total')]).toEqual([0, 0]);
}, 60_000);

test('what is parked of an erased seller is taken away, though nothing of it can be read', async () => {
  const [erased] = ERASED as [number];
  const kept = async () =>
    (await pipeline.view.query('select from parked where seller_id = $1', [erased])).rowCount;
  await produceByHand(pipeline.kafka.bootstrap, [{ key: String(erased), value: 'what a person once told' }]);
  await until('it is parked', async () => (await kept()) === 1);
  await watch({ TC_PAUSE_MS: '0', TC_SELLERS_PER_SECOND: '50000' });
  await until('it is gone', async () => (await kept()) === 0);
  await until('nothing differs', async () => (await metric('divergent_sellers')) === 0);
}, 60_000);

test('a database that is away is an error counted, not the end: it goes on when the database is back', async () => {
  await watch({ TC_PAUSE_MS: '0', TC_SELLERS_PER_SECOND: '50000', TC_CATCH_UP_MS: '5000' });
  await untilPasses(1);
  pipeline.postgres.kill('SIGKILL');
  await until('the failure is counted', async () => (await metric('errors_total')) > 0, 60_000);
  await pipeline.postgres.restart();
  await untilPasses(2);
}, 120_000);

test('the canary is timed when it comes to the view, once a change', async () => {
  await watch();
  const seen = () => watcher.metric('topclients_canary_delay_seconds_count');
  await writer.add(CANARY_SELLER, 'Canary 1');
  await until(
    'it is in the view',
    async () => (await watcher.metric('topclients_canary_seen_timestamp_seconds')) > 0,
  );
  const before = await seen();
  await writer.add(CANARY_SELLER, 'Canary 2');
  await until('it is timed', async () => (await seen()) === before + 1);
  expect(await watcher.metric('topclients_canary_delay_seconds_sum')).toBeLessThan(10);
}, 60_000);

test('a view that is kept for a rollback is found wrong and healed like the one that is shown', async () => {
  const second = { delivery: 'asynchronous', version: 2 } as const;
  await migratePage('gig', pipeline.postgres.url('gig'), second, silentLog, { users: namesOf('gig') });
  const projector = await pipeline.projector('projector-kept', { env: { TC_VIEW_VERSION: '2' } });
  const sellers = [1, 2, 3];
  const ofKept = async () =>
    (
      await pipeline.view.query<{ held: string }>(
        `select seller_id || ' ' || version || ' ' || clients as held from top_clients_asynchronous_v2.top_clients
        where seller_id = any ($1) order by seller_id`,
        [sellers],
      )
    ).rows.map(({ held }) => held);
  const divergent = () =>
    watcher.metric('topclients_consistency_kept_divergent_sellers', 'page="gig",view="asynchronous-v2"');
  try {
    await until(
      'the kept view has everything',
      async () =>
        (
          await pipeline.view.query<{ sum: number }>(
            'select sum(version)::bigint as sum from top_clients_asynchronous_v2.top_clients',
          )
        ).rows[0]!.sum === (await sumOfSource()),
      60_000,
    );
    const right = await ofKept();
    expect(right.length).toBeGreaterThan(0);
    await watch({
      TC_SELLERS_PER_SECOND: '20000',
      TC_PAUSE_MS: '100',
      TC_KEPT_VIEWS: 'asynchronous-v2',
      TC_REPAIR: 'false',
    });
    await untilPasses(1);
    expect(await divergent()).toBe(0);
    await pipeline.view.query(
      `update top_clients_asynchronous_v2.top_clients set clients = '[{"name":"Wrong"}]' where seller_id = any ($1)`,
      [sellers],
    );
    await until('it is found', async () => (await divergent()) === right.length, 60_000);
    expect(await metric('divergent_sellers')).toBe(0);
    await watcher.stop();
    await watch({ TC_SELLERS_PER_SECOND: '20000', TC_PAUSE_MS: '100', TC_KEPT_VIEWS: 'asynchronous-v2' });
    await until(
      'it is healed',
      async () => JSON.stringify(await ofKept()) === JSON.stringify(right),
      HEALED_WITHIN_MS,
    );
  } finally {
    await projector.stop();
  }
}, 180_000);
