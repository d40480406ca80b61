/** Views held against the source of truth, and removed: on real PostgreSQL and Kafka, while everything is written. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { consumerGroup, SELLER_EVENTS } from '#contracts/topics.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { silentLog } from '#platform/log.ts';
import { connect } from '#platform/postgres.ts';
import { namesOf } from '../../services/local-stack/database-users.ts';
import { type Pipeline, startPipeline } from '../../services/local-stack/pipeline.ts';
import type { RunningRole } from '../../services/local-stack/run-role.ts';
import { until } from '../../services/local-stack/until.ts';
import { migratePage } from '../../services/migrate/databases.ts';
import { addClients } from '../../services/seed/source.ts';
import { postgresSource } from '../../services/top-clients/adapters/postgres/audit-source.ts';
import { compareView, type ViewComparison } from '../../services/view-audit/compare-view.ts';
import { openKafkaTopic } from '../../services/view-audit/kafka-topic.ts';
import { postgresView } from '../../services/view-audit/postgres-view.ts';
import { produceByHand } from '../support/topic.ts';
import { openWriter, type Writer } from '../support/writer.ts';

const VIEWS = PAGE_NAMES.flatMap((page) =>
  (['asynchronous', 'hybrid'] as const).map((delivery) => ({ page, delivery })),
);
type ViewName = (typeof VIEWS)[number];

/** Sellers of the seed, a part of them with clients; nobody writes them afterwards. */
const SEEDED = 1_500;
/** Sellers who write all the time where a test says so. */
const WRITERS = { first: 10_001, last: 10_100 };

let pipeline: Pipeline;
let writer: Writer;
const projectors = new Map<string, RunningRole>();

beforeAll(async () => {
  pipeline = await startPipeline({ partitions: 4 });
  const { postgres, source } = pipeline;
  await Promise.all(['user', 'search'].map((name) => postgres.createDatabase(name)));
  for (const { page, delivery } of VIEWS) {
    await migratePage(page, postgres.url(page), { delivery, version: 1 }, silentLog, {
      users: namesOf(page),
    });
  }
  await addClients(
    source,
    Array.from({ length: SEEDED }, (_, i) => i + 1),
    new Date().toISOString(),
  );
  writer = openWriter(postgres.url('source'));
  await pipeline.relay();
  await Promise.all(VIEWS.map((view) => startProjector(view)));
}, 180_000);

afterAll(async () => {
  await writer?.close();
  await pipeline?.stop();
}, 60_000);

afterEach(() => writer.rest());

async function startProjector({ page, delivery }: ViewName): Promise<void> {
  const name = `${page}-${delivery}`;
  projectors.set(
    name,
    await pipeline.projector(name, {
      env: { TC_PAGE: page, TC_DELIVERY: delivery, TC_DATABASE_URL: pipeline.postgres.url(page) },
    }),
  );
}

const session = (database: string, searchPath: string[] = []) =>
  connect(
    {
      url: pipeline.postgres.url(database),
      applicationName: 'views.spec',
      statementTimeoutMs: 60_000,
      connectTimeoutMs: 5_000,
      pipeline: true,
      ...(searchPath.length > 0 ? { searchPath } : {}),
    },
    () => {},
  );

/** Runs a statement on a view. */
async function alter<T>({ page, delivery }: ViewName, text: string, values: unknown[] = []): Promise<T[]> {
  const db = await session(page, [viewSchema(delivery, 1), 'public']);
  try {
    return (await db.query(text, values)).rows as T[];
  } finally {
    await db.end();
  }
}

async function compare({ page, delivery }: ViewName, catchUpMs = 20_000): Promise<ViewComparison> {
  const schema = viewSchema(delivery, 1);
  const kafka = openKafka('views.spec', { brokers: [pipeline.kafka.bootstrap] }, silentLog);
  const [source, view] = await Promise.all([session('source'), session(page, [schema, 'public'])]);
  const topic = openKafkaTopic(kafka, SELLER_EVENTS.topic, silentLog);
  try {
    return await compareView(
      postgresSource(source, silentLog),
      await postgresView(view, projectionsOf(page)[delivery], schema),
      topic,
      { catchUpMs, sellersAtATime: 200 },
    );
  } finally {
    await Promise.all([topic.close(), source.end(), view.end()]);
  }
}

/** The same version, another content. */
const CORRUPT: Readonly<Record<string, string>> = {
  'gig-asynchronous': `clients = '[]'`,
  'user-asynchronous': `clients = (clients::jsonb - 0)::json`,
  'search-asynchronous': 'client_count = client_count + 1',
  'gig-hybrid': `client_ids = client_ids[2:]`,
  'user-hybrid': `client_ids = '{}'`,
  'search-hybrid': 'client_ids = array_append(client_ids, gen_random_uuid())',
};

describe.each(VIEWS)('the $delivery view of $page', (view) => {
  test('agrees while sellers write all the time', async () => {
    writer.keepWriting(WRITERS.first, WRITERS.last, 150);
    const writesBefore = writer.writes;
    for (let i = 0; i < 3; i++) {
      const verdict = await compare(view);
      expect(verdict).toMatchObject({ differing: 0, examples: [], caughtUp: true });
      expect(verdict.digest.view).toBe(verdict.digest.source);
      expect(verdict.sellers).toBeGreaterThan(300);
    }
    expect(writer.writes).toBeGreaterThan(writesBefore);
  }, 60_000);

  test('differs in exactly the sellers whose rows were dropped, corrupted, aged or made up', async () => {
    await until('the view has everything', async () => (await compare(view)).differing === 0);
    const some = await alter<{ seller_id: number }>(
      view,
      'select seller_id from top_clients where seller_id <= $1 order by seller_id limit 300',
      [SEEDED],
    );
    const ids = some.map((row) => row.seller_id);
    const [dropped, corrupted, aged] = [ids.slice(0, 100), ids.slice(100, 200), ids.slice(200, 230)];
    const madeUp = Array.from({ length: 100 }, (_, i) => 500_000 + i);
    await alter(view, 'create table spare as select * from top_clients where seller_id = any ($1)', [ids]);
    writer.keepWriting(WRITERS.first, WRITERS.last, 150);
    await alter(view, 'delete from top_clients where seller_id = any ($1)', [dropped]);
    await alter(
      view,
      `update top_clients set ${CORRUPT[`${view.page}-${view.delivery}`]} where seller_id = any ($1)`,
      [corrupted],
    );
    await alter(view, 'update top_clients set version = version - 1 where seller_id = any ($1)', [aged]);
    await alter(
      view,
      `create temporary table made_up as select spare.* from spare limit 1;
      insert into top_clients select (json_populate_record(made_up, json_build_object('seller_id', id))).*
      from made_up, generate_series(${madeUp[0]}, ${madeUp.at(-1)}) id`,
    );
    const verdict = await compare(view);
    expect(verdict).toMatchObject({ differing: 330, caughtUp: true });
    expect(verdict.examples).toHaveLength(10);
    expect(verdict.digest.view).not.toBe(verdict.digest.source);
    await alter(view, 'delete from top_clients where seller_id = any ($1)', [[...ids, ...madeUp]]);
    await alter(view, 'insert into top_clients select * from spare');
    await alter(view, 'drop table spare');
    expect(await compare(view)).toMatchObject({ differing: 0, caughtUp: true });
  }, 60_000);
});

const GIG = { page: 'gig', delivery: 'asynchronous' } as const;

test('an erased seller whose list is still in the view differs, one who is not there does not', async () => {
  for (const sellerId of [20_001, 20_002]) {
    await writer.add(sellerId, 'A secret');
    await writer.erase(sellerId);
  }
  await until('the erasures are visible', async () => (await compare(GIG)).differing === 0);
  await alter(GIG, 'delete from top_clients where seller_id = 20001');
  await alter(GIG, `update top_clients set clients = '[{"name":"A secret"}]' where seller_id = 20002`);
  expect(await compare(GIG)).toMatchObject({ differing: 1, examples: [20_002] });
  await alter(GIG, `update top_clients set clients = '[]' where seller_id = 20002`);
});

test('white space and the order of members make no difference', async () => {
  await alter(GIG, 'update top_clients set clients = clients::jsonb::json where seller_id <= 100');
  expect(await compare(GIG)).toMatchObject({ differing: 0 });
});

test('a seller with a parked message differs until a good event sets the seller free', async () => {
  await produceByHand(pipeline.kafka.bootstrap, [{ key: '30001', value: 'nonsense' }]);
  expect(await compare(GIG)).toMatchObject({ differing: 1, examples: [30_001], caughtUp: true });
  await writer.add(30_001, 'Spotify');
  expect(await compare(GIG)).toMatchObject({ differing: 0, caughtUp: true });
});

test('a view whose projector is away has not caught up, and the late sellers count', async () => {
  await projectors.get('gig-asynchronous')!.stop();
  await writer.add(40_001, 'Spotify');
  expect(await compare(GIG, 1_000)).toMatchObject({ differing: 1, examples: [40_001], caughtUp: false });
  await startProjector(GIG);
  expect(await compare(GIG)).toMatchObject({ differing: 0, caughtUp: true });
});

const settings = (view: ViewName, version = 1) => ({
  TC_PAGE: view.page,
  TC_DELIVERY: view.delivery,
  TC_VIEW_VERSION: String(version),
  TC_DATABASE_URL: pipeline.postgres.url(view.page),
  TC_KAFKA_BROKERS: pipeline.kafka.bootstrap,
});

test('the role writes its verdict where Kubernetes takes last words from, and ends well whatever it is', async () => {
  const TC_TERMINATION_LOG = join(pipeline.folder, 'last-words');
  const role = () =>
    pipeline.runRole('compare-views', {
      ...settings(GIG),
      TC_SOURCE_DATABASE_URL: pipeline.postgres.url('source'),
      TC_TERMINATION_LOG,
    });
  await role();
  const verdict = JSON.parse(await readFile(TC_TERMINATION_LOG, 'utf8')) as ViewComparison;
  expect(verdict).toMatchObject({ differing: 0, caughtUp: true });
  expect(verdict.tookMs).toBeGreaterThan(0);
  await alter(GIG, `update top_clients set clients = '[1]' where seller_id = 40001`);
  expect(await role()).toContain('the view differs from the source');
  expect(JSON.parse(await readFile(TC_TERMINATION_LOG, 'utf8'))).toMatchObject({
    differing: 1,
    examples: [40_001],
  });
}, 30_000);

test('a view that is not there cannot be judged, and the role says what to run', async () => {
  await expect(
    pipeline.runRole('compare-views', {
      ...settings(GIG, 7),
      TC_SOURCE_DATABASE_URL: pipeline.postgres.url('source'),
    }),
  ).rejects.toThrow(/there is no view top_clients_asynchronous_v7 in this database; run migrate/);
}, 30_000);

describe('a view that goes', () => {
  const view = { page: 'user', delivery: 'hybrid' } as const;
  const drop = (env: Record<string, string> = {}) =>
    pipeline.runRole('drop-view', { ...settings(view), ...env });
  const groups = async () => {
    const admin = openKafka('views.spec', { brokers: [pipeline.kafka.bootstrap] }, silentLog).admin();
    await admin.connect();
    try {
      return (await admin.listGroups()).groups.map(({ groupId }) => groupId);
    } finally {
      await admin.disconnect();
    }
  };
  const group = consumerGroup(view.page, view.delivery, 1);

  test('is not removed while a projector keeps it up', async () => {
    await expect(drop({ TC_WAIT_MS: '300' })).rejects.toThrow(/a projector writes to the view over/);
    expect((await compare(view)).differing).toBe(0);
  }, 30_000);

  test('is removed with its records and its group once the projector is gone, and again is no error', async () => {
    const dropping = drop({ TC_WAIT_MS: '20000' });
    await projectors.get('user-hybrid')!.stop();
    expect(await dropping).toMatch(/"removed":true,"groupDeleted":true/);
    expect(await groups()).not.toContain(group);
    expect(await groups()).toContain(consumerGroup('user', 'asynchronous', 1));
    const [{ left }] = (await alter(
      { page: 'user', delivery: 'asynchronous' },
      `select count(*) as left from public.schema_migration where scope like 'top_clients_hybrid%'`,
    )) as [{ left: number }];
    expect(left).toBe(0);
    expect(await drop()).toMatch(/"removed":false,"groupDeleted":false.*was gone already/);
  }, 60_000);

  test('can be built anew, without Kafka being told', async () => {
    const users = namesOf('user');
    await migratePage('user', pipeline.postgres.url('user'), { delivery: 'hybrid', version: 1 }, silentLog, {
      users,
    });
    await startProjector(view);
    expect(await compare(view)).toMatchObject({ differing: 0, caughtUp: true });
    await projectors.get('user-hybrid')!.stop();
    const { TC_KAFKA_BROKERS: _, ...without } = settings(view);
    expect(await pipeline.runRole('drop-view', without)).toMatch(/"removed":true,"groupDeleted":false/);
    expect(await groups()).toContain(group);
  }, 60_000);
});
