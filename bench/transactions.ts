/**
 * `node bench/transactions.ts`: what one Kafka transaction a batch costs a producer, compared with an idempotent batch.
 * Milliseconds until a batch is acknowledged (committed), median and p99, over interleaved runs on a broker of this
 * machine, with unmodified kafkajs. The figures of `docs/adr/no-kafka-transactions.md`.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import kafkajs from 'kafkajs';
import { startKafka } from '../services/local-stack/kafka.ts';
import { quantile } from './comparison/results.ts';

const RUNS = 15;
const BATCHES_A_RUN = 30;
const VALUE = 'x'.repeat(600);
const TOPIC = 'transactions';

if (process.argv[2] === undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'transactions-'));
  const kafka = await startKafka({ dataDir: folder });
  try {
    // A separate process: this one has our own codecs, which do not support transactions.
    execFileSync(process.execPath, [import.meta.filename, kafka.bootstrap], { stdio: 'inherit' });
  } finally {
    await kafka.stop();
    rmSync(folder, { recursive: true });
  }
  process.exit();
}

const kafka = new kafkajs.Kafka({ brokers: [process.argv[2]], logLevel: kafkajs.logLevel.NOTHING });
const admin = kafka.admin();
await admin.connect();
await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 12, replicationFactor: 1 }] });
await admin.disconnect();
const settings = { idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false } as const;
const plain = kafka.producer(settings);
const transactional = kafka.producer({ ...settings, transactionalId: 'relay' });
await Promise.all([plain.connect(), transactional.connect()]);

const batch = (size: number) => ({
  topic: TOPIC,
  acks: -1,
  messages: Array.from({ length: size }, (_, at) => ({ partition: at % 12, key: String(at), value: VALUE })),
});
const WAYS = {
  idempotent: (size: number) => plain.send(batch(size)),
  'one transaction a batch': async (size: number) => {
    const transaction = await transactional.transaction();
    await transaction.send(batch(size));
    await transaction.commit();
  },
} as const;

process.stdout.write('| messages a batch | way | p50, ms | p99, ms |\n| --- | --- | --- | --- |\n');
for (const size of [3, 1_000]) {
  const seen = new Map(Object.keys(WAYS).map((way) => [way, [] as number[]]));
  for (let run = -2; run < RUNS; run++) {
    for (const [way, send] of Object.entries(WAYS)) {
      for (let at = 0; at < BATCHES_A_RUN; at++) {
        const startedAt = performance.now();
        await send(size);
        if (run >= 0) seen.get(way)!.push(performance.now() - startedAt);
      }
    }
  }
  for (const [way, values] of seen) {
    const [p50, p99] = [quantile(values, 0.5)!, quantile(values, 0.99)!];
    process.stdout.write(
      `| ${size.toLocaleString('en-US')} | ${way} | ${p50.toFixed(1)} | ${p99.toFixed(1)} |\n`,
    );
  }
}
await Promise.all([plain.disconnect(), transactional.disconnect()]);
