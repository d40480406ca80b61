/** The source restored to an earlier point in time, by a base backup and archived WAL, while everything else runs on. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CANARY_SELLER } from '#contracts/canary.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { insertGigs } from '#pages/gig/own-data.ts';
import { projectionsOf } from '#pages/projections.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { silentLog } from '#platform/log.ts';
import { connect } from '#platform/postgres.ts';
import { ARCHIVING, backUp, makeArchive, restoreTo } from '../../services/local-stack/backup.ts';
import { type Pipeline, startPipeline, VIEW } from '../../services/local-stack/pipeline.ts';
import type { RunningRole } from '../../services/local-stack/run-role.ts';
import { until } from '../../services/local-stack/until.ts';
import { seller as madeUp } from '../../services/seed/sellers.ts';
import { postgresSource } from '../../services/top-clients/adapters/postgres/audit-source.ts';
import { compareView } from '../../services/view-audit/compare-view.ts';
import { openKafkaTopic } from '../../services/view-audit/kafka-topic.ts';
import { postgresView } from '../../services/view-audit/postgres-view.ts';
import { readTopic } from '../support/topic.ts';
import { openWriter, type Writer } from '../support/writer.ts';

/** What became of each seller after the point in time that the source is restored to. */
const UNCHANGED = 1;
const CHANGED = 2;
const NEW = 3;
const ERASED = 4;
const NEW_AND_ERASED = 5;
const BACK_AFTER_ERASURE = 6;
const ERASED_BEFORE = 7;
/** Changes again once the source is restored, so that a version is used twice. */
const CHANGES_AGAIN = 8;
const FIRST_WRITER = 101;
const LAST_WRITER = 140;

let pipeline: Pipeline;
let writer: Writer;
let page: RunningRole;

beforeAll(async () => {
  pipeline = await startPipeline({ partitions: 4, postgres: { settings: ARCHIVING }, pagesPostgres: {} });
  await makeArchive(dataDir());
  await insertGigs(
    pipeline.view,
    [UNCHANGED, CHANGED, NEW, ERASED].map((id) => ({ ...madeUp(id, 4).gigs[0]!, gig_id: id, seller_id: id })),
  );
  writer = openWriter(pipeline.postgres.url('source'));
  const roles = await Promise.all([
    pipeline.start({ role: 'top-clients' }),
    pipeline.relay(),
    pipeline.projector(),
  ]);
  expect(roles).toHaveLength(3);
  page = await pipeline.start({ role: 'page-server', page: 'gig' });
}, 180_000);

afterAll(async () => {
  await writer?.close();
  await pipeline?.stop();
}, 60_000);

const dataDir = () => join(pipeline.folder, 'postgres-source');

async function compare() {
  const session = (url: string, searchPath: string[] = []) =>
    connect(
      {
        url,
        applicationName: 'restore.spec',
        statementTimeoutMs: 20_000,
        connectTimeoutMs: 5_000,
        pipeline: true,
        ...(searchPath.length > 0 ? { searchPath } : {}),
      },
      () => {},
    );
  const [source, view] = await Promise.all([
    session(pipeline.postgres.url('source')),
    session(pipeline.pagesPostgres.url('gig'), [VIEW, 'public']),
  ]);
  const kafka = openKafka('restore.spec', { brokers: [pipeline.kafka.bootstrap] }, silentLog);
  const topic = openKafkaTopic(kafka, SELLER_EVENTS.topic, silentLog);
  try {
    return await compareView(
      postgresSource(source, silentLog),
      await postgresView(view, projectionsOf('gig').asynchronous, VIEW),
      topic,
      { catchUpMs: 10_000, sellersAtATime: 200 },
    );
  } finally {
    await Promise.all([topic.close(), source.end(), view.end()]);
  }
}

const untilEqual = () =>
  until('the view equals the source', async () => {
    const { differing, caughtUp } = await compare();
    return caughtUp && differing === 0;
  });

const shown = async (sellerId: number): Promise<{ version: number; clients: { name: string }[] }> => {
  const answer = await fetch(`${page.url}/gigs/${sellerId}`, { headers: { accept: 'application/json' } });
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { topClients: { version: number; clients: { name: string }[] } })
    .topClients;
};
const namesOf = async (sellerId: number) => (await shown(sellerId)).clients.map(({ name }) => name);

interface State {
  readonly version: number;
  readonly names: string[];
  readonly erased: boolean;
}
async function stateOf(sellerId: number): Promise<State | undefined> {
  const { rows } = await pipeline.source.query<State>(
    `select version, erased, array(select json_array_elements(clients) ->> 'name') as names from seller
    where seller_id = $1`,
    [sellerId],
  );
  return rows[0];
}

const afterRestore = (env: Record<string, string> = {}) =>
  pipeline.runRole('after-restore', {
    TC_DATABASE_URL: pipeline.postgres.url('source'),
    TC_KAFKA_BROKERS: pipeline.kafka.bootstrap,
    ...env,
  });

test('a source restored to an earlier point is followed by every reader, and what was erased stays erased', async () => {
  for (const id of [UNCHANGED, CHANGED, ERASED, BACK_AFTER_ERASURE, CHANGES_AGAIN])
    await writer.add(id, 'Early');
  await writer.add(ERASED_BEFORE, 'A secret');
  await writer.erase(ERASED_BEFORE);
  await backUp(pipeline.postgres, dataDir());
  // In the WAL alone.
  await writer.add(UNCHANGED, 'In the log');
  writer.keepWriting(FIRST_WRITER, LAST_WRITER, 100);
  await until('writers wrote', () => writer.writes > 100);
  await writer.rest();
  const { rows: clocks } = await pipeline.source.query<{ now: Date }>('select clock_timestamp() as now');
  const restoredTo = new Date(clocks[0]!.now.getTime() + 1);

  writer.keepWriting(FIRST_WRITER, LAST_WRITER, 100);
  for (const name of ['Late', 'Later']) await writer.add(CHANGED, name);
  await writer.add(CHANGES_AGAIN, 'Lost');
  await writer.add(NEW, 'Lost');
  for (const id of [ERASED, BACK_AFTER_ERASURE]) await writer.erase(id);
  await writer.add(BACK_AFTER_ERASURE, 'Back');
  await writer.add(NEW_AND_ERASED, 'A secret');
  await writer.erase(NEW_AND_ERASED);
  await until('more was written', () => writer.writes > 250);
  await writer.rest();
  await untilEqual();
  expect(await namesOf(CHANGED)).toEqual(['Early', 'Late', 'Later']);
  const { rows: segments } = await pipeline.source.query<{ name: string }>(
    'select pg_walfile_name(pg_switch_wal()) as name',
  );
  await until('the WAL is archived', async () => {
    const { rows } = await pipeline.source.query<{ archived: boolean }>(
      'select last_archived_wal >= $1 as archived from pg_stat_archiver',
      [segments[0]!.name],
    );
    return rows[0]!.archived;
  });

  await restoreTo(pipeline.postgres, dataDir(), restoredTo);
  expect(await stateOf(UNCHANGED)).toMatchObject({ version: 2, names: ['Early', 'In the log'] });
  expect(await stateOf(CHANGED)).toMatchObject({ version: 1, names: ['Early'] });
  expect(await stateOf(NEW)).toBeUndefined();
  // What somebody would not expect: the erased list is there again.
  expect(await stateOf(ERASED)).toMatchObject({ version: 1, names: ['Early'], erased: false });
  // Readers are ahead, and a number that is used again means nothing to them.
  await until('the source is written again', async () => (await writer.add(CHANGES_AGAIN, 'Twice')) === 2);
  expect(await namesOf(CHANGED)).toEqual(['Early', 'Late', 'Later']);
  const behind = await compare();
  expect(behind.caughtUp).toBe(true);
  expect(behind.differing).toBeGreaterThanOrEqual(6);

  expect(await afterRestore({ TC_DRY_RUN: 'true' })).toContain('nothing was changed');
  expect(await stateOf(ERASED)).toMatchObject({ version: 1, names: ['Early'] });
  writer.keepWriting(FIRST_WRITER, LAST_WRITER, 50);
  await afterRestore();
  await writer.rest();
  await untilEqual();

  expect(await stateOf(CHANGED)).toMatchObject({ version: 4, names: ['Early'] });
  expect(await stateOf(NEW)).toMatchObject({ version: 2, names: [] });
  for (const id of [ERASED, NEW_AND_ERASED, BACK_AFTER_ERASURE, ERASED_BEFORE]) {
    expect(await stateOf(id)).toMatchObject({ names: [], erased: true });
  }
  expect(await stateOf(CHANGES_AGAIN)).toMatchObject({ version: 3, names: ['Early', 'Twice'] });
  expect(await namesOf(CHANGED)).toEqual(['Early']);
  expect(await namesOf(ERASED)).toEqual([]);
  await until('the logs of erased sellers are empty', async () => {
    const { rows } = await pipeline.source.query(
      `select from seller_event where seller_id = any ($1) and type <> 'seller-erased' and change is not null`,
      [[ERASED, NEW_AND_ERASED, BACK_AFTER_ERASURE, ERASED_BEFORE]],
    );
    return rows.length === 0;
  });
  const { rows: receipts } = await pipeline.source.query<{ seller_id: number }>(
    'select distinct seller_id from erasure order by seller_id',
  );
  expect(receipts.map(({ seller_id }) => seller_id)).toEqual([
    ERASED,
    NEW_AND_ERASED,
    BACK_AFTER_ERASURE,
    ERASED_BEFORE,
  ]);

  // Sellers go on, and their changes are seen at once: numbers are new ones.
  for (const id of [CHANGED, NEW, ERASED]) {
    const version = await writer.add(id, 'After');
    await until('the change is shown', async () => (await shown(id)).version === version);
  }
  expect(await namesOf(ERASED)).toEqual(['After']);
  await untilEqual();
  // The synthetic seller, whose versions were used as well.
  const canary = await stateOf(CANARY_SELLER);
  await until('the canary arrives', async () => {
    const { rows } = await pipeline.view.query<{ version: number }>(
      'select version from top_clients where seller_id = $1',
      [CANARY_SELLER],
    );
    return rows[0]!.version > (canary?.version ?? 0);
  });

  // Again: there is nothing left to do, and what was written since stays.
  expect(await afterRestore()).toContain('"erased":0,"raised":0');
  expect(await namesOf(ERASED)).toEqual(['After']);
  await agreesByKey();
}, 180_000);

/** Compaction keeps the last message of a key: a view that is built from these alone equals the source. */
async function agreesByKey(): Promise<void> {
  const last = new Map<number, string | null>();
  await until('the outbox is empty', async () => {
    const { rows } = await pipeline.source.query('select from outbox limit 1');
    return rows.length === 0;
  });
  const messages = await readTopic(pipeline.kafka.bootstrap);
  for (const { sellerId, value } of messages) if (sellerId !== 0) last.set(sellerId, value);
  const { rows } = await pipeline.source.query<{ seller_id: number; clients: unknown; erased: boolean }>(
    'select seller_id, clients, erased from seller where version > 0 and seller_id <> $1',
    [CANARY_SELLER],
  );
  for (const { seller_id, clients, erased } of rows) {
    const value = last.get(seller_id) ?? null;
    if (erased) expect(value).toBeNull();
    else expect({ seller_id, clients: JSON.parse(value!).clients }).toEqual({ seller_id, clients });
  }
}
