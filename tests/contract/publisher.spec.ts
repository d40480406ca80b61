/** What sends the outbox to Kafka, on a real broker whose connections fall silent. */
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { openPartitionReader } from '#platform/kafka/partition-reader.ts';
import { ensureTopic } from '#platform/kafka/topics.ts';
import { silentLog } from '#platform/log.ts';
import { type LocalKafka, startKafka } from '../../services/local-stack/kafka.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import { until } from '../../services/local-stack/until.ts';
import type { RelayMessage } from '../../services/outbox-relay/message.ts';
import { openPublisher } from '../../services/outbox-relay/publisher.ts';

const REQUEST_TIMEOUT_MS = 500;

let folder: string;
let broker: LocalKafka;
let front: Server;
/** Both ends of what is open. */
const open = new Set<readonly [Socket, Socket]>();
let settings: { readonly brokers: string[]; readonly port: number };
/** Gives a broker up soon, which a busy one would be as well: only for those who know what to do then. */
const hasty = () => ({ ...settings, requestTimeoutMs: REQUEST_TIMEOUT_MS });

beforeAll(async () => {
  installKafkaCodecs(silentLog);
  folder = await mkdtemp(join(tmpdir(), 'publisher-contract-'));
  const [port, behind] = [await freePort(), await freePort()];
  front = createServer((near) => {
    const far = connect(behind, '127.0.0.1');
    const pair = [near, far] as const;
    open.add(pair);
    near.pipe(far).pipe(near);
    near.on('error', () => far.destroy()).on('close', () => open.delete(pair));
    far.on('error', () => near.destroy());
  });
  await new Promise<void>((resolve) => front.listen(port, '127.0.0.1', resolve));
  broker = await startKafka({
    dataDir: join(folder, 'kafka'),
    port: behind,
    // Clients are led to the front, wherever they begin.
    properties: { 'advertised.listeners': `CLIENT://127.0.0.1:${port}` },
  });
  settings = { brokers: [`127.0.0.1:${port}`], port };
  const { topic, settings: topicSettings } = SELLER_EVENTS;
  await ensureTopic(openKafka('contract', settings, silentLog), {
    ...{ topic, partitions: 2, replication: 1, settings: topicSettings },
  });
}, 60_000);
afterAll(async () => {
  for (const pair of open) for (const socket of pair) socket.destroy();
  front?.close();
  await broker?.stop();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

/** Neither end of a connection hears of the other from now on, and nobody closes it. */
function silenceWhatIsOpen(): void {
  for (const [near, far] of open) {
    near.unpipe(far);
    far.unpipe(near);
    far.pause();
  }
}

/** What the broker says does not arrive any more; what it is told does. */
function loseAnswers(): void {
  for (const [near, far] of open) far.unpipe(near).resume();
}

/** How many messages the topic holds. */
async function stored(): Promise<number> {
  const reader = openPartitionReader(
    openKafka('contract', settings, silentLog),
    SELLER_EVENTS.topic,
    silentLog,
  );
  const offsets = await reader.offsets();
  await reader.close();
  return [...offsets.values()].reduce((sum, one) => sum + one!.highWatermark, 0);
}

const message = (version: number): RelayMessage => ({
  key: '1',
  value: JSON.stringify({ sellerId: 1, version }),
  timestamp: String(Date.now()),
  headers: { ce_id: `1/${version}` },
  partition: null,
});

test('it connects before there is a batch; where nobody answers then, the first batch tries anew', async () => {
  await until('nobody is connected', () => open.size === 0);
  const early = openPublisher('contract', settings, silentLog, { isHeld: () => true });
  await until('it is connected', () => open.size > 0);
  await early.send([message(1)]);
  early.end();

  const port = await freePort();
  const away = openPublisher('contract', { ...settings, brokers: [`127.0.0.1:${port}`] }, silentLog, {
    isHeld: () => true,
  });
  const door = createServer((near) => {
    const far = connect(settings.port, '127.0.0.1');
    near
      .on('error', () => far.destroy())
      .pipe(far)
      .on('error', () => near.destroy())
      .pipe(near);
  });
  try {
    await expect(away.send([message(1)])).rejects.toThrow(/connect/i);
    await new Promise<void>((resolve) => door.listen(port, '127.0.0.1', resolve));
    await away.send([message(1)]);
  } finally {
    away.end();
    door.close();
  }
}, 60_000);

test('a broker that gives no answer is connected to anew, and gets the same batch', async () => {
  const publisher = openPublisher('contract', hasty(), silentLog, { isHeld: () => true });
  try {
    await publisher.send([message(1)]);
    silenceWhatIsOpen();
    const batch = [message(2)];
    // As the relay does: the same batch until it is there.
    let isSent = false;
    for (let attempt = 0; !isSent && attempt < 3; attempt++)
      isSent = await publisher.send(batch).then(
        () => true,
        () => false,
      );
    expect(isSent).toBe(true);
    await publisher.send([message(3)]);
  } finally {
    publisher.end();
  }
}, 60_000);

test('a batch whose acknowledgement is lost is there once, and so are those after it', async () => {
  const before = await stored();
  const publisher = openPublisher('contract', hasty(), silentLog, { isHeld: () => true });
  try {
    await publisher.send([message(1)]);
    loseAnswers();
    const batch = [message(2), { ...message(2), key: '2', partition: 1 }, { ...message(2), partition: 0 }];
    await until('it is acknowledged', () =>
      publisher.send(batch).then(
        () => true,
        () => false,
      ),
    );
    await publisher.send([message(3), message(4)]);
    expect((await stored()) - before).toBe(1 + 3 + 2);
  } finally {
    publisher.end();
  }
}, 60_000);

test('a message for a partition that is not there fails the send, and nothing of it is left out', async () => {
  const before = await stored();
  const publisher = openPublisher('contract', settings, silentLog, { isHeld: () => true });
  try {
    const batch = [message(1), { ...message(1), partition: 9 }];
    await expect(publisher.send(batch)).rejects.toMatchObject({ type: 'UNKNOWN_TOPIC_OR_PARTITION' });
    expect(await stored()).toBe(before);
  } finally {
    publisher.end();
  }
}, 60_000);

test('what the broker refuses is told by name, and a new batch may follow', async () => {
  const publisher = openPublisher('contract', settings, silentLog, { isHeld: () => true });
  try {
    const large = { ...message(1), value: 'x'.repeat(8 * 1024 * 1024) };
    await expect(publisher.send([message(1), large])).rejects.toMatchObject({ type: 'MESSAGE_TOO_LARGE' });
    await publisher.send([message(1)]);
  } finally {
    publisher.end();
  }
}, 60_000);
