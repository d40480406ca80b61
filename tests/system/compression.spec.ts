/** A projector reads what others compressed: batches of every codec on the topic, from before it was ours to decide. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { cloudEventId, cloudEventType } from '#contracts/events.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { patchTopicConfigs } from '#platform/kafka/alter-configs.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { silentLog } from '#platform/log.ts';
import { type Pipeline, startPipeline } from '../../services/local-stack/pipeline.ts';
import type { RunningRole } from '../../services/local-stack/run-role.ts';
import { until } from '../../services/local-stack/until.ts';
import { produceByHand } from '../support/topic.ts';

const CODECS = ['gzip', 'snappy', 'lz4', 'zstd', 'uncompressed'];
const SELLERS = 200;

let pipeline: Pipeline;
let projector: RunningRole;

beforeAll(async () => {
  pipeline = await startPipeline({ partitions: 2 });
  projector = await pipeline.projector();
}, 60_000);
afterAll(() => pipeline?.stop(), 60_000);

const eventOf = (sellerId: number, version: number) => ({
  key: String(sellerId),
  value: JSON.stringify({
    sellerId,
    version,
    committedAt: '2026-11-27T09:00:00.000Z',
    change: { type: 'seller-erased' },
    clients: [],
  }),
  headers: { ce_id: cloudEventId(sellerId, version), ce_type: cloudEventType('seller-erased') },
});

test.each(CODECS)('a topic of compression.type %s reaches the view', async (type) => {
  const version = CODECS.indexOf(type) + 1;
  const kafka = openKafka('spec', { brokers: [pipeline.kafka.bootstrap] }, silentLog);
  await patchTopicConfigs(kafka, SELLER_EVENTS.topic, { 'compression.type': type });
  await produceByHand(
    pipeline.kafka.bootstrap,
    Array.from({ length: SELLERS }, (_, i) => eventOf(i + 1, version)),
  );
  await until(`the view has version ${version} of all`, async () => {
    const { rows } = await pipeline.view.query('select from top_clients where version = $1', [version]);
    return rows.length === SELLERS;
  });
  expect(await projector.metric('topclients_kafka_undecodable_batches_total')).toBe(0);
  expect(await projector.metric('topclients_kafka_codec_installed')).toBe(7);
  expect(await projector.metric('topclients_projector_parked_sellers')).toBe(0);
});
