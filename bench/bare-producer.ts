/** Only kafkajs, with the relay's batches: `bare-producer.ts <broker> <messages>` prints messages per second. */
import kafkajs from 'kafkajs';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { openSocket } from '#platform/kafka/client.ts';
import { type RelayMessage, toMessage } from '../services/outbox-relay/message.ts';
import { LIMITS } from '../services/outbox-relay/shard.ts';
import { outboxRow } from './load.ts';

const [broker, count] = [process.argv[2]!, Number(process.argv[3])];
const batches: RelayMessage[][] = [];
for (let first = 0; first < count; first += LIMITS.rowsPerBatch) {
  batches.push(
    Array.from({ length: Math.min(LIMITS.rowsPerBatch, count - first) }, (_, i) =>
      toMessage({ id: first + i, partition: null, ...outboxRow(first + i + 1, 1) }, Date.now()),
    ),
  );
}
const producer = new kafkajs.Kafka({
  clientId: 'bare-producer',
  brokers: [broker],
  socketFactory: openSocket,
  logLevel: kafkajs.logLevel.NOTHING,
}).producer({
  idempotent: true,
  maxInFlightRequests: 1,
  allowAutoTopicCreation: false,
  createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  retry: { retries: 5 },
});
await producer.connect();
const startedAt = performance.now();
for (const messages of batches) {
  await producer.send({ topic: SELLER_EVENTS.topic, messages: messages as never, acks: -1 });
}
console.log(count / ((performance.now() - startedAt) / 1_000));
await producer.disconnect();
