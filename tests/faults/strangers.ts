/** What strangers do to our topic: codecs, transactions, more partitions. */
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { silentLog } from '#platform/log.ts';
import { runToEnd } from '../../services/local-stack/process.ts';
import { until } from '../../services/local-stack/until.ts';
import { CONTENDED } from './clients.ts';
import type { Fault } from './fault.ts';
import { otherClientMissing, startOtherClient } from './other-client.ts';
import type { FaultWorld } from './world.ts';

/** Kafka cannot remove partitions: a long run must not end with thousands. */
const MOST_PARTITIONS = 16;
const MORE_AT_A_TIME = 3;

export const strangers: readonly Fault[] = [
  {
    name: 'codecs',
    about:
      "batches by gzip, Snappy, LZ4 and Zstandard: copies that Kafka's own producer compresses, and a topic that compresses what the relay sends",
    touches: 'topic',
    pages: 'answer',
    seconds: [1, 2],
    missing: otherClientMissing,
    async inject({ world, log }) {
      const other = await startOtherClient(world, 'codecs', log, String(CONTENDED.last));
      await other.says('done');
      return () => other.finish();
    },
  },
  {
    name: 'foreign-transaction',
    about:
      'somebody else leaves a transaction open on every partition, with a record of no seller in it, and aborts it after some seconds',
    touches: 'topic',
    pages: 'answer',
    seconds: [12, 15],
    signal: { anyOf: ['TopClientsPartitionDoesNotMove'], afterSeconds: 11 },
    missing: otherClientMissing,
    async inject({ world, log }) {
      const other = await startOtherClient(world, 'transaction', log);
      await other.says('open');
      return () => other.finish();
    },
  },
  {
    name: 'grow-partitions',
    about: 'the topic gets more partitions as the operator does it, while everything runs; they stay',
    touches: 'topic',
    pages: 'answer',
    seconds: [0, 1],
    async inject({ world, log }) {
      const partitions = (await countPartitions(world)) + MORE_AT_A_TIME;
      if (partitions > MOST_PARTITIONS) {
        log(`the topic has ${partitions - MORE_AT_A_TIME} partitions already`);
        return async () => {};
      }
      // Each may be repeated at any point; in a combination another fault may kill its server.
      const run = (role: string, env: Readonly<Record<string, string>>) =>
        until(
          `${role} has done its work`,
          async () => {
            await runToEnd(process.execPath, [world.main, role], {
              env: {
                NODE_OPTIONS: undefined,
                TC_HEALTH_PORT: '0',
                TC_KAFKA_BROKERS: world.kafka.bootstrap,
                TC_PARTITIONS: String(partitions),
                ...env,
              },
            });
            return true;
          },
          60_000,
          500,
        );
      await run('migrate', { TC_TARGET: 'topics' });
      const done = run('republish', {
        TC_REASON: 'growth',
        TC_DATABASE_URL: world.postgres.source.url('source'),
        TC_SETTLE_MS: '2000',
      });
      done.catch(() => {});
      return async () => {
        await done;
        const { rows } = await world.source.query<{ partitions: number; moved_from: number | null }>(
          'select partitions, moved_from from partition_layout',
        );
        log(
          `${partitions} partitions on the topic, ${rows[0]?.partitions} in use, moved from ${rows[0]?.moved_from}`,
        );
      };
    },
  },
];

async function countPartitions(world: FaultWorld): Promise<number> {
  const admin = openKafka('faults', { brokers: [world.kafka.bootstrap] }, silentLog).admin();
  await admin.connect();
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [SELLER_EVENTS.topic] });
    return topics[0]!.partitions.length;
  } finally {
    await admin.disconnect();
  }
}
