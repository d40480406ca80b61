/**
 * A consumer that follows docs/consume.md, in a store of its own (SQLite): what the kit is tried with. Settings:
 * KAFKA_BROKERS, KAFKA_TOPIC, STORE (a file), PORT (where it answers its rows).
 */
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import { openKafka } from '#platform/kafka/client.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { silentLog } from '#platform/log.ts';

const { KAFKA_BROKERS = '', KAFKA_TOPIC = '', STORE = '', PORT = '' } = process.env;

const store = new DatabaseSync(STORE);
store.exec(
  'create table if not exists list (seller_id integer primary key, version integer, clients text) strict',
);
const write = store.prepare(
  `insert into list as held (seller_id, version, clients) values (?, ?, ?)
  on conflict (seller_id) do update set version = excluded.version, clients = excluded.clients
    where held.version < excluded.version`,
);
const rows = store.prepare('select seller_id, version, clients from list');

/** @returns why a message is put aside; null where it was written or says nothing */
function take(key: string, value: string | null, type: string, id: string): string | null {
  if (value === null && type !== 'dev.topclients.seller.seller-erased.v1') return null;
  if (!/^dev\.topclients\.seller\.[a-z-]+\.v1$/.test(type)) return `the type ${type} is not known`;
  const [seller, version] = id.split('/').map(Number);
  if (String(seller) !== key) return `the key ${key} is not that of ${id}`;
  try {
    const event = value === null ? { sellerId: seller, clients: [] } : JSON.parse(value);
    if (event.sellerId !== seller || !Array.isArray(event.clients))
      return 'the value is no event of the seller';
    write.run(seller!, version!, JSON.stringify(event.clients));
    return null;
  } catch (err) {
    return (err as Error).message;
  }
}

installKafkaCodecs(silentLog);
const consumer = openKafka('example', { brokers: KAFKA_BROKERS.split(',') }, silentLog).consumer({
  groupId: 'example',
  // The broker waits this long for a consumer that was killed.
  sessionTimeout: 6_000,
});
await consumer.connect();
await consumer.subscribe({ topic: KAFKA_TOPIC, fromBeginning: true });
await consumer.run({
  async eachMessage({ message: { key, value, headers = {}, offset }, partition }) {
    const header = (name: string) => String(headers[name] ?? '');
    const why = take(String(key), value && String(value), header('ce_type'), header('ce_id'));
    if (why !== null) process.stdout.write(`parked ${partition}/${offset}: ${why}\n`);
  },
});

createServer((_, res) => {
  const shown = rows.all().map(({ seller_id: sellerId, version, clients }) => ({
    ...{ sellerId, version },
    clients: JSON.parse(String(clients)),
  }));
  res.setHeader('content-type', 'application/json').end(JSON.stringify(shown));
}).listen(Number(PORT), '127.0.0.1');
