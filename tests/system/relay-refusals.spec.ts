/** What a real Kafka refuses: of one row, and of all. The relay is a process of its own. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { ensureTopic } from '#platform/kafka/topics.ts';
import { silentLog } from '#platform/log.ts';
import { type Pipeline, startPipeline } from '../../services/local-stack/pipeline.ts';
import type { RunningRole } from '../../services/local-stack/run-role.ts';
import { until } from '../../services/local-stack/until.ts';
import { readTopic } from '../support/topic.ts';

let pipeline: Pipeline;
let relay: RunningRole;

beforeAll(async () => {
  pipeline = await startPipeline({ partitions: 2 });
  relay = await pipeline.relay();
}, 60_000);
afterAll(() => pipeline?.stop(), 60_000);
beforeEach(() => topicTakes({}));

/** Kafka's number for settings of a topic. */
const TOPIC = 2;

/** Sets the topic to ours and what is given. */
async function topicTakes(settings: Readonly<Record<string, string>>): Promise<void> {
  const admin = openKafka('admin', { brokers: [pipeline.kafka.bootstrap] }, silentLog).admin();
  await admin.connect();
  try {
    await admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: TOPIC,
          name: SELLER_EVENTS.topic,
          configEntries: Object.entries({ ...SELLER_EVENTS.settings, ...settings }).map(([name, value]) => ({
            name,
            value,
          })),
        },
      ],
    });
  } finally {
    await admin.disconnect();
  }
}

interface Change {
  readonly seller: number;
  readonly version?: number;
  readonly value?: string;
  /** As PostgreSQL adds it to the present. */
  readonly after?: string;
}
/** All in one transaction, so that the relay finds them in one look. */
const write = (changes: readonly Change[]) =>
  pipeline.source.query(
    `insert into outbox (bucket, seller_id, version, type, value, committed_at)
    select seller % 1024, seller, version, 'client-updated', value, now() + after::interval
    from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) as one (seller, version, value, after)`,
    [
      changes.map(({ seller }) => seller),
      changes.map(({ version = 1 }) => version),
      changes.map(({ value = '{}' }) => value),
      changes.map(({ after = '0 s' }) => after),
    ],
  );
const others = (from: number) => Array.from({ length: 100 }, (_, i): Change => ({ seller: from + i }));
const waiting = async () => {
  const { rows } = await pipeline.source.query<{ id: string }>(
    "select seller_id || '/' || version as id from outbox order by outbox.id",
  );
  return rows.map(({ id }) => id);
};
const log = () => readFile(join(pipeline.folder, 'relay.log'), 'utf8');

test('a row whose time is hours ahead goes out with the present time, and so does everyone else', async () => {
  const ahead = { seller: 1, after: '3 h' };
  await write([...others(100), ahead, ...others(200), { seller: 1, version: 2 }]);
  await until('all was sent', async () => (await waiting()).length === 0);
  const messages = (await readTopic(pipeline.kafka.bootstrap)).filter(({ sellerId }) => sellerId === 1);
  expect(messages.map(({ version }) => version)).toEqual([1, 2]);
  expect(Date.parse(messages[0]!.headers['ce_time']!)).toBeGreaterThan(Date.now() + 2 * 3_600_000);
  expect(await relay.readiness()).toBe('ok');
});

test('a topic that takes no old times gets the present one, and nobody is held', async () => {
  await topicTakes({ 'message.timestamp.before.max.ms': '3600000' });
  await write([...others(300), { seller: 2, after: '-2 d' }, { seller: 2, version: 2 }]);
  await until('all was sent', async () => (await waiting()).length === 0);
  expect(
    await relay.metric('topclients_relay_send_errors_total', 'reason="INVALID_TIMESTAMP"'),
  ).toBeGreaterThanOrEqual(1);
  expect(await relay.metric('topclients_relay_held_sellers')).toBe(0);
  const messages = await readTopic(pipeline.kafka.bootstrap);
  expect(messages.filter(({ sellerId }) => sellerId === 2).map(({ version }) => version)).toEqual([1, 2]);
});

test('rows that are refused, or cannot be messages, hold their sellers by name; all others pass, and a cure heals', async () => {
  await topicTakes({ 'max.message.bytes': '65536' });
  await write([
    ...others(400),
    { seller: 3, value: `"${'x'.repeat(100_000)}"` },
    { seller: 3, version: 2 },
    ...others(500),
  ]);
  await pipeline.source.query(
    `insert into outbox (bucket, seller_id, version, type, value, committed_at)
    values (4, 4, 1, 'client-updated', '{}', 'infinity')`,
  );
  await write(others(600));
  await until('only what is held waits', async () => String(await waiting()) === '3/1,3/2,4/1');
  await until('both are counted', async () => (await relay.metric('topclients_relay_held_sellers')) === 2);
  expect(await relay.readiness()).toBe('ok');
  const told = (await log()).split('\n').filter((line) => line.includes('its seller is held'));
  const lines = told.map((line) => JSON.parse(line)).sort((a, b) => a.sellerId - b.sellerId);
  expect(lines).toEqual([
    expect.objectContaining({ sellerId: 3, version: 1, reason: 'MESSAGE_TOO_LARGE' }),
    expect.objectContaining({ sellerId: 4, version: 1, reason: 'NOT_ENCODABLE' }),
  ]);
  await topicTakes({});
  await pipeline.source.query('update outbox set committed_at = now() where seller_id = 4');
  await until('both went out', async () => (await waiting()).length === 0, 45_000);
  await until('nobody is held', async () => (await relay.metric('topclients_relay_held_sellers')) === 0);
}, 90_000);

test('while Kafka takes nothing, readiness, metrics and the log say why, and after that that it does', async () => {
  const kafka = openKafka('admin', { brokers: [pipeline.kafka.bootstrap] }, silentLog);
  const admin = kafka.admin();
  await admin.connect();
  try {
    await admin.deleteTopics({ topics: [SELLER_EVENTS.topic] });
    await until('the topic is gone', async () => !(await admin.listTopics()).includes(SELLER_EVENTS.topic));
  } finally {
    await admin.disconnect();
  }
  await write(others(700));
  await until('it is said', async () =>
    (await relay.readiness()).startsWith('shard 0: Kafka takes no messages: UNKNOWN_TOPIC_OR_PARTITION'),
  );
  expect(await relay.metric('topclients_relay_blocked', 'shard="0"')).toBe(1);
  expect(await log()).toContain('what helps: make the topic');
  await ensureTopic(kafka, {
    topic: SELLER_EVENTS.topic,
    partitions: 2,
    replication: 1,
    settings: SELLER_EVENTS.settings,
  });
  await until('all was sent', async () => (await waiting()).length === 0);
  await until('it is ready again', async () => (await relay.readiness()) === 'ok');
  expect(await relay.metric('topclients_relay_blocked', 'shard="0"')).toBe(0);
}, 60_000);
