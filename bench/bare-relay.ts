/**
 * The relay without its promises: `bare-relay.ts <broker> <database> [never-rests]` deletes rows, sends them, and rests as the
 * relay does, or not at all.
 */
import { setTimeout as delay } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import { RANGES } from '#contracts/ranges.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { openSocket } from '#platform/kafka/client.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { silentLog } from '#platform/log.ts';
import { connect } from '#platform/postgres.ts';
import { LIMITS, restAfter } from '../services/outbox-relay/shard.ts';
import { takeBareRows } from '../services/top-clients/adapters/postgres/bulk-writes.ts';

const [broker, url, pace] = process.argv.slice(2) as [string, string, string | undefined];
const neverRests = pace === 'never-rests';
installKafkaCodecs(silentLog);
const db = await connect(
  { url, applicationName: 'bare-relay', statementTimeoutMs: 60_000, connectTimeoutMs: 5_000 },
  (err) => {
    throw err;
  },
);
await db.query(
  'set synchronous_commit = off; set enable_seqscan = off; set enable_sort = off; set enable_bitmapscan = off',
);
const producer = new kafkajs.Kafka({
  clientId: 'bare-relay',
  brokers: [broker],
  socketFactory: openSocket,
  logLevel: kafkajs.logLevel.NOTHING,
}).producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false });
await producer.connect();
process.once('SIGTERM', () => process.exit(0));
console.log('ready');
for (;;) {
  const startedAt = performance.now();
  const rows = await takeBareRows(db, LIMITS.rowsPerBatch);
  if (rows.length === 0) {
    await delay(neverRests ? 0 : 2);
    continue;
  }
  const messages = rows.map(([sellerId, value, traceparent]) => ({
    key: String(sellerId),
    value,
    timestamp: String(Date.now()),
    headers: { ce_type: 'client-updated', traceparent: traceparent ?? '' },
  }));
  await producer.send({ topic: SELLER_EVENTS.topic, messages, acks: -1 });
  if (neverRests) continue;
  await delay(restAfter(performance.now() - startedAt, rows.length, RANGES.relay.roundMs.default));
}
