/** The projector without its promises: `bare-projector.ts <broker> <database>` fetches, and upserts what came. */
import kafkajs from 'kafkajs';
import type { SellerEvent } from '#contracts/events.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { projectionsOf } from '#pages/projections.ts';
import { openSocket } from '#platform/kafka/client.ts';
import { clusterOf } from '#platform/kafka/cluster.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { silentLog } from '#platform/log.ts';
import { connectToView } from './view-session.ts';

/** What is used of kafkajs' inside. */
interface Cluster {
  connect(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  refreshMetadata(): Promise<void>;
  findTopicPartitionMetadata(topic: string): ReadonlyArray<{ partitionId: number; leader: number }>;
  findBroker(wanted: { nodeId: string }): Promise<Broker>;
}
interface Broker {
  fetch(request: object): Promise<{
    responses: ReadonlyArray<{
      partitions: ReadonlyArray<{
        partition: number;
        messages: ReadonlyArray<{ offset: string; key: Buffer; value: Buffer }>;
      }>;
    }>;
  }>;
  listOffsets(request: object): Promise<{
    responses: ReadonlyArray<{ partitions: ReadonlyArray<{ partition: number; offset: string }> }>;
  }>;
}

const [address, url] = process.argv.slice(2) as [string, string];
installKafkaCodecs(silentLog);
const projection = projectionsOf('gig').asynchronous;
const db = await connectToView(url, 'bare-projector');
await db.query('set synchronous_commit = off');
const { topic } = SELLER_EVENTS;
const cluster = clusterOf<Cluster>(
  new kafkajs.Kafka({
    clientId: 'bare-projector',
    brokers: [address],
    socketFactory: openSocket,
    logLevel: kafkajs.logLevel.NOTHING,
  }),
);
await cluster.connect();
await cluster.addTargetTopic(topic);
await cluster.refreshMetadata();
const led = cluster.findTopicPartitionMetadata(topic);
const broker = await cluster.findBroker({ nodeId: String(led[0]!.leader) });
const ends = await broker.listOffsets({
  topics: [{ topic, partitions: led.map(({ partitionId }) => ({ partition: partitionId, timestamp: -1 })) }],
});
const offsets = new Map(
  ends.responses[0]!.partitions.map(({ partition, offset }) => [partition, Number(offset)]),
);
process.once('SIGTERM', () => process.exit(0));
console.log('ready');
for (;;) {
  const { responses } = await broker.fetch({
    isolationLevel: 1,
    maxWaitTime: 100,
    minBytes: 1,
    maxBytes: 4 * 1024 * 1024,
    topics: [
      {
        topic,
        partitions: [...offsets].map(([partition, fetchOffset]) => ({
          partition,
          fetchOffset: String(fetchOffset),
          maxBytes: 1024 * 1024,
        })),
      },
    ],
  });
  const newest = new Map<string, unknown>();
  for (const { partition, messages } of responses[0]!.partitions) {
    for (const { offset, key, value } of messages) {
      offsets.set(partition, Number(offset) + 1);
      newest.set(key.toString(), projection.toRow(JSON.parse(value.toString()) as SellerEvent));
    }
  }
  if (newest.size > 0) await projection.upsert(db, [...newest.values()]);
}
