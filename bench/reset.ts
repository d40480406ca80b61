import { SELLER_EVENTS } from '#contracts/topics.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { ensureTopic } from '#platform/kafka/topics.ts';
import { silentLog } from '#platform/log.ts';
import type { Pipeline } from '../services/local-stack/pipeline.ts';
import { until } from '../services/local-stack/until.ts';
import { LOCK_CLASS } from '../services/outbox-relay/lease.ts';
import { emptySource } from '../services/top-clients/adapters/postgres/bulk-writes.ts';

/** Empties the source, the topic and the view. No role may run. */
export async function emptyEverything(pipeline: Pipeline): Promise<void> {
  const kafka = openKafka('bench', { brokers: [pipeline.kafka.bootstrap] }, silentLog);
  const admin = kafka.admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [SELLER_EVENTS.topic] });
  await until('the topic is gone', async () => !(await admin.listTopics()).includes(SELLER_EVENTS.topic));
  await admin.disconnect();
  // The broker's metadata may lag behind for a moment.
  await until('the topic is there', async () => {
    await ensureTopic(kafka, {
      topic: SELLER_EVENTS.topic,
      partitions: SELLER_EVENTS.defaultPartitions,
      replication: 1,
      settings: SELLER_EVENTS.settings,
    });
    return true;
  });
  await emptySource(pipeline.source);
  await emptyView(pipeline);
}

export async function emptyView(pipeline: Pipeline): Promise<void> {
  await pipeline.view.query('truncate top_clients, checkpoint, parked');
  // The next measurement must not pay for earlier writes.
  await pipeline.view.query('checkpoint');
}

/** Keeps every relay waiting until the returned function is called. */
export async function holdRelays(pipeline: Pipeline): Promise<() => Promise<void>> {
  const client = await pipeline.source.connect();
  await client.query('select pg_advisory_lock($1, 0)', [LOCK_CLASS]);
  return async () => {
    await client.query('select pg_advisory_unlock($1, 0)', [LOCK_CLASS]);
    client.release();
  };
}
