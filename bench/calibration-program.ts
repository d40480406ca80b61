/**
 * Started by `calibration.ts`: `calibration-program.ts <postgres> <broker> <port>`. Only pg, kafkajs and node:http.
 * Measures both stores, then answers "hello" on the port, and at `/stores` what it measured.
 */
import { createServer } from 'node:http';
import kafkajs from 'kafkajs';
import pg from 'pg';
import { median } from './report.ts';

const [postgres, broker, port] = [process.argv[2]!, process.argv[3]!, Number(process.argv[4])];
const COMMITS_MS = 2_000;
/** The broker's JIT compilers get through most of what one message takes. */
const WARM_MS = 4_000;
const PRODUCE_MS = 2_000;
const VALUE = 'x'.repeat(100);

async function times(ms: number, one: () => Promise<unknown>): Promise<number[]> {
  const took: number[] = [];
  const startedAt = performance.now();
  for (let before = startedAt; before - startedAt < ms; ) {
    await one();
    const after = performance.now();
    took.push(after - before);
    before = after;
  }
  return took;
}

async function commitsPerSecond(): Promise<number> {
  const client = new pg.Client({ connectionString: postgres });
  await client.connect();
  await client.query(
    'create table calibration (id bigint generated always as identity primary key, value text)',
  );
  const insert = () =>
    client.query({ name: 'insert', text: 'insert into calibration (value) values ($1)', values: [VALUE] });
  await times(COMMITS_MS / 4, insert);
  const startedAt = performance.now();
  const { length } = await times(COMMITS_MS, insert);
  const perSecond = length / ((performance.now() - startedAt) / 1_000);
  await client.query('drop table calibration');
  await client.end();
  return perSecond;
}

async function produceMs(): Promise<number> {
  const kafka = new kafkajs.Kafka({ brokers: [broker], logLevel: kafkajs.logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  const topic = 'calibration';
  await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1 }] });
  const producer = kafka.producer({
    allowAutoTopicCreation: false,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  const send = () => producer.send({ topic, acks: -1, messages: [{ value: VALUE }] });
  await times(WARM_MS, send);
  const took = await times(PRODUCE_MS, send);
  await producer.disconnect();
  await admin.deleteTopics({ topics: [topic] });
  await admin.disconnect();
  return median(took);
}

const stores = { commitsPerSecond: await commitsPerSecond(), produceMs: await produceMs() };
const server = createServer((request, response) => {
  response.end(request.url === '/stores' ? JSON.stringify(stores) : 'hello');
}).listen(port, '127.0.0.1');
process.once('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
});
