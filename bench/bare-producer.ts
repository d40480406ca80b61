/**
 * Only kafkajs, with the relay's batches: `bare-producer.ts <broker> <messages>` prints messages per second, by the time
 * that sending took.
 */
import kafkajs from 'kafkajs';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { openSocket } from '#platform/kafka/client.ts';
import { relayBatches } from './load.ts';

const [broker, count] = [process.argv[2]!, Number(process.argv[3])];
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
let sendingMs = 0;
for (const messages of relayBatches(count)) {
  const startedAt = performance.now();
  await producer.send({ topic: SELLER_EVENTS.topic, messages: messages as never, acks: -1 });
  sendingMs += performance.now() - startedAt;
}
console.log(count / (sendingMs / 1_000));
await producer.disconnect();
