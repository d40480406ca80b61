/** A topic that gets more partitions, and one that is lost, while sellers write: on real PostgreSQL and Kafka. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { MOVED_TYPE } from '#contracts/events.ts';
import { partitionOf } from '#contracts/partition.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { countPartitions, ensureTopic } from '#platform/kafka/topics.ts';
import { silentLog } from '#platform/log.ts';
import { namesOf as usersNamed } from '../../services/local-stack/database-users.ts';
import { type Pipeline, startPipeline } from '../../services/local-stack/pipeline.ts';
import type { RunningRole } from '../../services/local-stack/run-role.ts';
import { until } from '../../services/local-stack/until.ts';
import { migratePage } from '../../services/migrate/databases.ts';
import { compacted, viewOf } from '../support/compaction.ts';
import { readTopic, type TopicMessage } from '../support/topic.ts';
import { openWriter, type Writer } from '../support/writer.ts';

const MAIN = fileURLToPath(new URL('../../services/main.ts', import.meta.url));
const SELLERS = 600;
/** Sellers of four kinds beside those who write all the time: they have one secret name and are erased at some time. */
const ERASED = { before: 1_000, during: 2_000, after: 3_000, hidden: 4_000 };
const SOME = 60;
const secretOf = (sellerId: number) => `Secret of ${sellerId}`;
const idsFrom = (first: number) => Array.from({ length: SOME }, (_, i) => first + i);
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
let state = seed;
/** Between 0 and 1. */
const chance = () => {
  state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
  return state / 0x7fff_ffff;
};

let pipeline: Pipeline;
let writer: Writer;
let relay: RunningRole;
const children = new Set<ChildProcess>();

beforeAll(async () => {
  process.stdout.write(`SEED=${seed}\n`);
  pipeline = await startPipeline({ partitions: 4 });
  writer = openWriter(pipeline.postgres.url('source'));
  for (let id = 1; id <= SELLERS; id++) await writer.add(id, `Brand of ${id}`);
  for (const first of Object.values(ERASED)) {
    for (const id of idsFrom(first)) await writer.add(id, secretOf(id));
  }
  for (const id of idsFrom(ERASED.before)) await writer.erase(id);
  relay = await pipeline.relay('relay', { restart: { firstDelayMs: 50 } });
  await untilSent();
}, 120_000);

afterEach(async () => {
  await writer.rest();
});

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await writer?.close();
  await pipeline?.stop();
}, 60_000);

const untilSent = () =>
  until(
    'the outbox is empty',
    async () => (await pipeline.source.query('select from outbox limit 1')).rowCount === 0,
    60_000,
  );
const layout = async () =>
  (
    await pipeline.source.query<{ partitions: number; moved_from: number | null }>(
      'select * from partition_layout',
    )
  ).rows[0];
const done = async (request: string) =>
  (
    await pipeline.source.query<{ sellers_done: number; finished: boolean }>(
      'select sellers_done, finished_at is not null as finished from republish where request = $1',
      [request],
    )
  ).rows[0];

const settings = (more: Readonly<Record<string, string>>) => ({
  TC_DATABASE_URL: pipeline.postgres.url('source'),
  TC_KAFKA_BROKERS: pipeline.kafka.bootstrap,
  TC_SETTLE_MS: '200',
  ...more,
});
const growth = (partitions: number, more: Readonly<Record<string, string>> = {}) =>
  settings({ TC_REASON: 'growth', TC_PARTITIONS: String(partitions), ...more });

/** Starts the role and kills it with -9 once it has gone on by `sellers` at least. */
async function killAfter(env: Readonly<Record<string, string>>, request: string, sellers: number) {
  const from = (await done(request))?.sellers_done ?? 0;
  const child = spawn(process.execPath, [MAIN, 'republish'], {
    env: { ...process.env, NODE_OPTIONS: undefined, TC_HEALTH_PORT: '0', ...env },
    stdio: 'ignore',
  });
  children.add(child);
  const gone = new Promise((resolve) => child.once('exit', resolve));
  await until(
    'it has gone on',
    async () => ((await done(request))?.sellers_done ?? 0) >= from + sellers,
    30_000,
    5,
  );
  child.kill('SIGKILL');
  await gone;
  children.delete(child);
}

/** Everything the source has, as a view must show it. */
async function truth() {
  const { rows } = await pipeline.source.query<{
    seller_id: number;
    version: number;
    clients: { name: string }[];
  }>('select seller_id, version, clients from seller where json_array_length(clients) > 0');
  return new Map(
    rows.map(({ seller_id, version, clients }) => [
      seller_id,
      { version, names: clients.map(({ name }) => name) },
    ]),
  );
}
const inOrder = <V>(map: ReadonlyMap<number, V>) => [...map].sort(([a], [b]) => a - b);
const namesOf = (messages: readonly TopicMessage[]) =>
  messages.flatMap(({ value }) => value?.match(/Secret of \d+/g) ?? []);

async function judge() {
  const messages = await readTopic(pipeline.kafka.bootstrap);
  const wanted = inOrder(await truth());
  const erasedNow = new Set(
    (
      await pipeline.source.query<{ seller_id: number }>('select seller_id from seller where erased')
    ).rows.map(({ seller_id }) => secretOf(seller_id)),
  );
  // As it is, as compaction leaves it at first, and as it leaves it in the end.
  expect(inOrder(viewOf(messages))).toEqual(wanted);
  for (const expired of [false, true]) {
    const kept = compacted(messages, expired);
    expect(inOrder(viewOf(kept))).toEqual(wanted);
    expect(namesOf(kept).filter((name) => erasedNow.has(name))).toEqual([]);
  }
  return messages;
}

/** A new version of the gig page's view from the topic as it is, compared with the source row by row. */
async function buildAnew(version: number) {
  const view = { TC_PAGE: 'gig', TC_DELIVERY: 'asynchronous', TC_VIEW_VERSION: String(version) };
  const database = pipeline.postgres.url('gig');
  await migratePage('gig', database, { delivery: 'asynchronous', version }, silentLog, {
    users: usersNamed('gig'),
  });
  const projector = await pipeline.projector(`projector-${version}`, { env: view });
  const said = await pipeline.runRole('compare-views', {
    ...view,
    TC_DATABASE_URL: database,
    TC_SOURCE_DATABASE_URL: pipeline.postgres.url('source'),
    TC_KAFKA_BROKERS: pipeline.kafka.bootstrap,
    TC_TIMEOUT_MS: '90000',
  });
  await projector.stop();
  expect(said).toContain('"differing":0');
  expect(said).toContain('"caughtUp":true');
}

test('the first relay that leads stores by how many partitions messages are divided', async () => {
  expect(await layout()).toMatchObject({ partitions: 4, moved_from: null });
  await until(
    'the relay tells',
    async () => (await relay.metric('topclients_partition_layout_partitions')) === 4,
  );
});

test('a topic grows under writes and kills, and a view that is built anew equals the source, erased sellers too', async () => {
  writer.keepWriting(1, SELLERS, 200);
  const slow = growth(12, { TC_SELLERS_PER_SECOND: '600' });
  const erasing = (async () => {
    for (const id of idsFrom(ERASED.during)) await writer.erase(id);
  })();
  for (let kill = 0; kill < 4; kill++) {
    await killAfter(slow, 'growth-4-12', 1 + Math.floor(chance() * 150));
    if (kill === 1) relay.kill('SIGKILL');
    expect(await layout()).toMatchObject({ partitions: 12, moved_from: 4 });
  }
  await pipeline.runRole('republish', growth(12));
  await erasing;
  for (const id of idsFrom(ERASED.after)) await writer.erase(id);
  await writer.rest();
  await untilSent();
  expect(await layout()).toMatchObject({ partitions: 12, moved_from: null });

  const messages = await judge();
  // The judgement has teeth: without the markers the old partitions give names back.
  const unmarked = messages.filter(({ headers }) => headers['ce_type'] !== MOVED_TYPE);
  expect(namesOf(compacted(unmarked, true)).length).toBeGreaterThan(SOME / 3);
  // A seller who moved is in its new partition with all that came later, behind a marker in the old one.
  for (const id of [...idsFrom(1), ...idsFrom(ERASED.after)]) {
    const [before, now] = [4, 12].map((count) => partitionOf(String(id), count));
    const last = messages
      .filter(({ sellerId, partition }) => sellerId === id && partition === before)
      .at(-1)!;
    if (before !== now) expect(last).toMatchObject({ value: null, headers: { ce_type: MOVED_TYPE } });
  }
  await buildAnew(2);
}, 180_000);

test('the same growth again does nothing, and fewer partitions are refused in words', async () => {
  const before = (await readTopic(pipeline.kafka.bootstrap)).length;
  await pipeline.runRole('republish', growth(12));
  await untilSent();
  expect((await readTopic(pipeline.kafka.bootstrap)).length).toBe(before);
  await expect(pipeline.runRole('republish', growth(6))).rejects.toThrow(
    'messages are divided among 12 partitions, and Kafka takes none away',
  );
}, 60_000);

test('a further growth first ends the one that was killed', async () => {
  await killAfter(growth(20, { TC_SELLERS_PER_SECOND: '300' }), 'growth-12-20', 100);
  await pipeline.runRole('republish', growth(30));
  await untilSent();
  expect(await layout()).toMatchObject({ partitions: 30, moved_from: null });
  expect(await done('growth-12-20')).toMatchObject({ finished: true });
  expect(await done('growth-20-30')).toMatchObject({ finished: true });
  await judge();
}, 120_000);

test('a topic that was grown by other means is put right', async () => {
  const admin = openKafka('grows', { brokers: [pipeline.kafka.bootstrap] }, silentLog).admin();
  await admin.connect();
  await admin.createPartitions({ topicPartitions: [{ topic: SELLER_EVENTS.topic, count: 40 }] });
  await admin.disconnect();
  // As relays did that divided by whatever the topic has.
  await pipeline.source.query('update partition_layout set partitions = 40');
  const ids = idsFrom(ERASED.hidden);
  for (const id of ids) await writer.erase(id);
  await untilSent();
  // The tombstones stand elsewhere than the names.
  const kept = compacted(await readTopic(pipeline.kafka.bootstrap), true);
  expect(namesOf(kept).length).toBeGreaterThan(SOME / 10);
  await pipeline.runRole('republish', growth(40, { TC_MOVED_FROM: '30' }));
  await untilSent();
  await judge();
}, 60_000);

test('a topic that was lost is filled again under writes and kills, and only once', async () => {
  writer.keepWriting(1, SELLERS, 100);
  const kafka = openKafka('loses', { brokers: [pipeline.kafka.bootstrap] }, silentLog);
  const admin = kafka.admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [SELLER_EVENTS.topic] });
  await until('the topic is gone', async () => (await countPartitions(kafka, SELLER_EVENTS.topic)) === null);
  await admin.disconnect();
  // The broker's metadata may lag behind for a moment.
  await until('the topic is there', async () => {
    await ensureTopic(kafka, {
      topic: SELLER_EVENTS.topic,
      partitions: 40,
      replication: 1,
      settings: SELLER_EVENTS.settings,
    });
    return true;
  });
  const again = settings({ TC_REQUEST: 'lost', TC_SELLERS_PER_SECOND: '600' });
  await killAfter(again, 'lost', 1 + Math.floor(chance() * 200));
  await killAfter(again, 'lost', 1 + Math.floor(chance() * 200));
  await pipeline.runRole('republish', again);
  await writer.rest();
  await untilSent();
  const messages = await judge();
  await pipeline.runRole('republish', again);
  await untilSent();
  expect((await readTopic(pipeline.kafka.bootstrap)).length).toBe(messages.length);
  await buildAnew(3);
}, 180_000);
