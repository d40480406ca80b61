/** From a commit to a page's database, on real PostgreSQL and Kafka, every role a process of its own. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { silentLog } from '#platform/log.ts';
import { type Pipeline, startPipeline } from '../../services/local-stack/pipeline.ts';
import type { RunningRole } from '../../services/local-stack/run-role.ts';
import { until } from '../../services/local-stack/until.ts';
import { FOREIGN_DEFAULTS } from '../support/foreign-postgres.ts';
import { disorderIn, produceByHand, readTopic } from '../support/topic.ts';
import { openWriter, type Writer } from '../support/writer.ts';

let pipeline: Pipeline;
let writer: Writer;
let relay: RunningRole;
let projector: RunningRole;

const SUPERVISED = { max: 100, firstDelayMs: 50, maxDelayMs: 500 };

beforeAll(async () => {
  pipeline = await startPipeline({
    partitions: 4,
    kafka: { restart: SUPERVISED },
    // On a server of somebody else's, so that every program of the pipeline is tried there.
    postgres: { restart: SUPERVISED, settings: FOREIGN_DEFAULTS },
  });
  writer = openWriter(pipeline.postgres.url('source'));
  [relay, projector] = await Promise.all([
    pipeline.relay('relay', { restart: SUPERVISED }),
    pipeline.projector('projector', { restart: SUPERVISED }),
  ]);
}, 60_000);

afterAll(async () => {
  await writer?.close();
  await pipeline?.stop();
}, 60_000);

afterEach(() => writer.rest());

/** The view's version of each seller. */
const versions = async () => {
  const { rows } = await pipeline.view.query<{ seller_id: number; version: number }>(
    'select seller_id, version from top_clients',
  );
  return new Map(rows.map((row) => [row.seller_id, row.version]));
};

/** Every acknowledged write is visible, and the view says what the source says. */
async function caughtUp(): Promise<boolean> {
  const seen = await versions();
  for (const [sellerId, version] of writer.acknowledged)
    if ((seen.get(sellerId) ?? 0) < version) return false;
  const { rows: source } = await pipeline.source.query<{
    seller_id: number;
    version: number;
    clients: unknown;
  }>('select seller_id, version, clients from seller where version > 0 order by seller_id');
  const { rows: view } = await pipeline.view.query<{ seller_id: number; version: number; clients: unknown }>(
    'select seller_id, version, clients from top_clients order by seller_id',
  );
  // Writes whose commit was not acknowledged may have happened: they have to arrive as well.
  return JSON.stringify(source) === JSON.stringify(view);
}

const produce = (key: string, value: string, headers: Record<string, string> = {}) =>
  produceByHand(pipeline.kafka.bootstrap, [{ key, value, headers }]);

test('a write becomes visible, and its message carries CloudEvents headers and the trace of the write', async () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const version = await writer.add(1, 'Spotify', traceparent);
  await until('the write is visible', caughtUp);
  const [message] = (await readTopic(pipeline.kafka.bootstrap)).filter(({ sellerId }) => sellerId === 1);
  expect(message!.headers).toEqual({
    ce_specversion: '1.0',
    ce_id: `1/${version}`,
    ce_source: '/top-clients',
    ce_type: 'dev.topclients.seller.client-added.v1',
    ce_time: JSON.parse(message!.value!).committedAt,
    'content-type': 'application/json',
    traceparent,
  });
});

test('an erasure leaves a row without a person, and a tombstone on the topic', async () => {
  await writer.add(2, 'A secret of seller two');
  const version = await writer.erase(2);
  await until('the erasure is visible', async () => (await versions()).get(2) === version);
  const { rows } = await pipeline.view.query('select * from top_clients where seller_id = 2');
  expect(rows).toMatchObject([{ version, clients: [] }]);
  const messages = (await readTopic(pipeline.kafka.bootstrap)).filter(({ sellerId }) => sellerId === 2);
  expect(messages.at(-1)).toMatchObject({ value: null });
});

test('metrics say what happened, and readiness holds', async () => {
  await until(
    'the lag is zero',
    async () => (await projector.metric('topclients_projector_lag_records')) === 0,
  );
  expect(await projector.metric('topclients_projector_events_total', 'result="applied"')).toBeGreaterThan(1);
  expect(await projector.metric('topclients_projector_events_total', 'result="tombstone"')).toBe(1);
  expect(await projector.metric('topclients_projector_lag_seconds')).toBe(0);
  expect(
    await projector.metric('topclients_projector_last_applied_commit_timestamp_seconds'),
  ).toBeGreaterThan(Date.now() / 1_000 - 60);
  expect(await projector.metric('topclients_projector_delay_seconds_count')).toBeGreaterThan(1);
  expect(await relay.metric('topclients_relay_leader')).toBe(1);
  expect(await relay.metric('topclients_relay_sent_total')).toBeGreaterThan(3);
  // All but the tombstone.
  expect(await relay.metric('topclients_relay_delay_seconds_count')).toBe(
    (await relay.metric('topclients_relay_sent_total')) - 1,
  );
  await until('the outbox was counted', async () => (await relay.metric('topclients_outbox_pending')) === 0);
});

test.each([
  ['the relay', () => relay.kill('SIGKILL')],
  ['the projector', () => projector.kill('SIGKILL')],
  ['Kafka', () => pipeline.kafka.kill('SIGKILL')],
  ['PostgreSQL', () => pipeline.postgres.kill('SIGKILL')],
])(
  'killing %s with -9 under load loses nothing that was acknowledged, and heals without hands',
  async (_, kill) => {
    writer.keepWriting(100, 139, 200);
    const before = writer.writes;
    await until('writes flow', () => writer.writes > before + 40);
    kill();
    const killed = writer.writes;
    await until('writes flow again', () => writer.writes > killed + 100);
    await writer.rest();
    await until('everything acknowledged is visible', caughtUp);
    expect(disorderIn(await readTopic(pipeline.kafka.bootstrap))).toEqual([]);
  },
);

test('the tombstone that compaction left alone empties the row that a projector which was away still has', async () => {
  await writer.add(3, 'A secret of seller three');
  await until('the write is visible', caughtUp);
  await Promise.all([projector.stop(), relay.stop()]);
  const version = await writer.erase(3);
  await pipeline.source.query('delete from outbox where seller_id = 3 and value is not null');
  await Promise.all([projector.restart(), relay.restart()]);
  await until('the row is empty', async () => (await versions()).get(3) === version);
  const messages = (await readTopic(pipeline.kafka.bootstrap)).filter(({ sellerId }) => sellerId === 3);
  expect(messages.map((one) => [one.version, one.value === null])).toEqual([
    ...Array.from({ length: version - 1 }, (_, i) => [i + 1, false]),
    [version, true],
  ]);
  // As the erasure itself would have left it, to the time.
  const { rows: seller } = await pipeline.source.query('select updated_at from seller where seller_id = 3');
  const { rows: held } = await pipeline.view.query('select * from top_clients where seller_id = 3');
  expect(held).toEqual([{ seller_id: 3, version, committed_at: seller[0]!.updated_at, clients: [] }]);
});

test('of two relays one leads; the other takes over when it is killed, and the order holds', async () => {
  const other = await pipeline.relay('relay-2');
  const leaders = async () =>
    (await Promise.all([relay, other].map((one) => one.metric('topclients_relay_leader')))).join();
  expect(await leaders()).toBe('1,0');
  writer.keepWriting(100, 139, 200);
  const before = writer.writes;
  await until('writes flow', () => writer.writes > before + 40);
  relay.kill('SIGKILL');
  await until('the other leads', async () => (await other.metric('topclients_relay_leader')) === 1);
  const taken = writer.writes;
  await until('writes flow', () => writer.writes > taken + 40);
  await writer.rest();
  await until('everything acknowledged is visible', caughtUp);
  expect(disorderIn(await readTopic(pipeline.kafka.bootstrap))).toEqual([]);
  await other.stop();
  await until('the first leads again', async () => (await relay.metric('topclients_relay_leader')) === 1);
});

test('a leader that hangs is deposed, and sends nothing more when it wakes up', async () => {
  writer.keepWriting(100, 139, 100);
  const other = await pipeline.relay('relay-3');
  relay.kill('SIGSTOP');
  await until('the other leads', async () => (await other.metric('topclients_relay_leader')) === 1);
  const taken = writer.writes;
  await until('writes flow', () => writer.writes > taken + 40);
  relay.kill('SIGCONT');
  await until('the first knows', async () => (await relay.metric('topclients_relay_leader')) === 0);
  const woken = writer.writes;
  await until('writes flow', () => writer.writes > woken + 40);
  await writer.rest();
  await until('everything acknowledged is visible', caughtUp);
  expect(disorderIn(await readTopic(pipeline.kafka.bootstrap))).toEqual([]);
  await other.stop();
});

test('a second projector shares the partitions in the middle of a backlog; when it dies the first has them all again', async () => {
  writer.keepWriting(100, 139, 300);
  const other = await pipeline.projector('projector-2');
  const share = async (one: RunningRole) =>
    (await one.metric('topclients_projector_rebalances_total')) > 0 && (await fetchPartitions(one)) === 2;
  const fetchPartitions = async (one: RunningRole) =>
    (
      await Promise.all(
        [0, 1, 2, 3].map((partition) =>
          one.has('topclients_projector_lag_records', `partition="${partition}"`),
        ),
      )
    ).filter(Boolean).length;
  await until('both have half', async () => (await share(projector)) && (await share(other)));
  const shared = writer.writes;
  await until('writes flow', () => writer.writes > shared + 100);
  other.kill('SIGKILL');
  await writer.rest();
  await until('everything acknowledged is visible', caughtUp);
  await until('the first has all', async () => (await fetchPartitions(projector)) === 4);
});

test('an unreadable message parks its seller alone, until a good event of the seller comes', async () => {
  await writer.add(50, 'Before');
  await until('the write is visible', caughtUp);
  await produce('50', '{"sellerId":50,"version":', { ce_type: 'dev.topclients.seller.client-added.v1' });
  await writer.add(51, 'Another seller goes on');
  await until('the other seller goes on', caughtUp);
  await until('it is parked', async () => (await pipeline.view.query('select from parked')).rowCount === 1);
  const { rows } = await pipeline.view.query('select seller_id, key, reason from parked');
  expect(rows).toMatchObject([{ seller_id: 50, key: '50', reason: expect.stringContaining('not JSON') }]);
  await until(
    'the metric tells',
    async () => (await projector.metric('topclients_projector_parked_sellers')) === 1,
  );
  await writer.add(50, 'After');
  await until('the next good event is visible', caughtUp);
  await until(
    'nothing is parked',
    async () => (await pipeline.view.query('select from parked')).rowCount === 0,
  );
  await until(
    'the metric tells',
    async () => (await projector.metric('topclients_projector_parked_sellers')) === 0,
  );
});

test('a row that the database refuses is parked; redrive applies it once the cause is gone', async () => {
  await pipeline.view.query('alter table top_clients add constraint unlucky check (seller_id <> 63)');
  const sellers = Array.from({ length: 10 }, (_, i) => 60 + i);
  await Promise.all(sellers.map((sellerId) => writer.add(sellerId, 'Any')));
  await until('the others are visible', async () => {
    const seen = await versions();
    return sellers.every((sellerId) => seen.has(sellerId) === (sellerId !== 63));
  });
  const redrive = async () => {
    const done = await pipeline.runRole('redrive', {
      TC_PAGE: 'gig',
      TC_DATABASE_URL: pipeline.postgres.url('gig'),
    });
    return JSON.parse(done.split('\n').find((line) => line.includes('"redriven"'))!);
  };
  expect(await redrive()).toMatchObject({ applied: 0, superseded: 0, remaining: 1 });
  await pipeline.view.query('alter table top_clients drop constraint unlucky');
  expect(await redrive()).toMatchObject({ applied: 1, superseded: 0, remaining: 0 });
  expect(await caughtUp()).toBe(true);
  expect((await pipeline.view.query('select from parked')).rowCount).toBe(0);
});

test('offsets set back to the beginning change no row', async () => {
  await until('everything is visible', caughtUp);
  const rows = async () =>
    (await pipeline.view.query('select xmin, * from top_clients order by seller_id')).rows;
  const checkpoints = async () =>
    Number((await pipeline.view.query('select sum(next_offset) as sum from checkpoint')).rows[0].sum);
  await until('the checkpoints are at the end', async () => {
    const total = (await readTopic(pipeline.kafka.bootstrap)).length;
    return (await checkpoints()) === total;
  });
  const [before, end] = [await rows(), await checkpoints()];
  const read = await projector.metric('topclients_projector_events_total');
  await pipeline.view.query('update checkpoint set next_offset = 0');
  await until('all is read again', async () => (await checkpoints()) === end);
  expect(await projector.metric('topclients_projector_events_total')).toBe(read + end);
  expect(await rows()).toEqual(before);
});

test('a view that was emptied is built anew by the running projector', async () => {
  await until('everything is visible', caughtUp);
  await pipeline.view.query('truncate top_clients, checkpoint, parked');
  await until('it is built anew', caughtUp);
});

test('a projector that is stopped leaves at once, with its offsets committed for others to see', async () => {
  writer.keepWriting(100, 139, 200);
  const before = writer.writes;
  await until('writes flow', () => writer.writes > before + 40);
  const startedAt = performance.now();
  expect(await projector.stop()).toMatchObject({ code: 0 });
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  await writer.rest();
  const admin = openKafka('admin', { brokers: [pipeline.kafka.bootstrap] }, silentLog).admin();
  await admin.connect();
  const groupId = 'top-clients.projector.gig.asynchronous.v1';
  const { groups } = await admin.describeGroups([groupId]);
  expect(groups[0]!.members).toEqual([]);
  const [committed] = await admin.fetchOffsets({ groupId, topics: [SELLER_EVENTS.topic] });
  const { rows } = await pipeline.view.query(
    'select partition, next_offset from checkpoint order by partition',
  );
  expect(
    committed!.partitions
      .map(({ partition, offset }) => ({ partition, next_offset: Number(offset) }))
      .toSorted((a, b) => a.partition - b.partition),
  ).toEqual(rows);
  await admin.disconnect();
});

test('without a topic both wait; a topic made anew is read from its beginning, whatever the checkpoints say', async () => {
  const admin = openKafka('admin', { brokers: [pipeline.kafka.bootstrap] }, silentLog).admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [SELLER_EVENTS.topic] });
  projector = await pipeline.projector('projector-3', { ready: false });
  const writing = writer.add(70, 'Into the void');
  await until(
    'the relay cannot send',
    async () => (await relay.metric('topclients_relay_errors_total', 'step="send"')) > 0,
  );
  expect(await relay.running).toBe(true);
  await admin.createTopics({
    topics: [{ topic: SELLER_EVENTS.topic, numPartitions: 4, replicationFactor: 1 }],
    waitForLeaders: true,
  });
  await admin.disconnect();
  const version = await writing;
  await until('the write is visible', async () => (await versions()).get(70) === version);
});
