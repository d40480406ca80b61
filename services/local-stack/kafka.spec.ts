import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openKafka } from '#platform/kafka/client.ts';
import { silentLog } from '#platform/log.ts';
import { Locked } from './folder-lock.ts';
import { findJava, type LocalKafka, startKafka } from './kafka.ts';
import { isAlive } from './process.ts';

let folder: string;
let running: LocalKafka | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kafka-spec-'));
});
afterEach(async () => {
  await running?.stop();
  running = undefined;
  rmSync(folder, { recursive: true, force: true });
});

async function start(): Promise<LocalKafka> {
  running = await startKafka({ dataDir: join(folder, 'kafka') });
  return running;
}

const client = (broker: LocalKafka) => openKafka('spec', { brokers: [broker.bootstrap] }, silentLog);

async function createTopic(broker: LocalKafka): Promise<void> {
  const admin = client(broker).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 'words', numPartitions: 2, replicationFactor: 1 }] });
  await admin.disconnect();
}

async function send(broker: LocalKafka, ...words: string[]): Promise<void> {
  const producer = client(broker).producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  await producer.send({ topic: 'words', acks: -1, messages: words.map((value) => ({ value })) });
  await producer.disconnect();
}

async function receive(broker: LocalKafka, groupId: string, count: number): Promise<string[]> {
  const consumer = client(broker).consumer({ groupId, sessionTimeout: 6_000, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic: 'words', fromBeginning: true });
  const words: string[] = [];
  await new Promise<void>((resolve) => {
    void consumer.run({
      eachMessage: async ({ message }) => {
        words.push(String(message.value));
        if (words.length === count) resolve();
      },
    });
  });
  await consumer.disconnect();
  return words.sort();
}

test('acknowledged messages survive kill -9, a restart, and a stop with another start', async () => {
  const broker = await start();
  await createTopic(broker);
  await send(broker, 'one', 'two');
  expect(await receive(broker, 'before', 2)).toEqual(['one', 'two']);
  const { pid, exited } = broker;
  broker.kill('SIGKILL');
  expect(await exited).toEqual({ code: null, signal: 'SIGKILL' });

  await broker.restart();
  expect(broker.pid).not.toBe(pid);
  await send(broker, 'three');
  expect(await receive(broker, 'after', 3)).toEqual(['one', 'three', 'two']);

  await expect(startKafka({ dataDir: join(folder, 'kafka') })).rejects.toThrow(Locked);
  const last = broker.pid;
  await broker.stop();
  expect(isAlive(last)).toBe(false);

  const second = await start();
  expect(await receive(second, 'again', 3)).toEqual(['one', 'three', 'two']);
}, 240_000);

test('a property the broker refuses fails the start with its words', async () => {
  const options = { dataDir: join(folder, 'kafka'), properties: { 'num.io.threads': 0 } };
  await expect(startKafka(options)).rejects.toThrow(/num\.io\.threads/);
}, 60_000);

/** A folder with a `java` that says it has this version. */
function fakeJava(version: string): string {
  const bin = join(folder, 'home', 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'java'), `#!/bin/sh\necho 'openjdk version "${version}"' >&2\n`);
  chmodSync(join(bin, 'java'), 0o755);
  return bin;
}

test('a machine without Java, or with one too old, is told which Java to install', () => {
  expect(() => findJava({ PATH: folder })).toThrow(/needs Java 17 or newer and there is none: install it/);
  expect(() => findJava({ PATH: fakeJava('1.8.0_392') })).toThrow(/is Java 8: install it/);
  expect(() => findJava({ PATH: fakeJava('11.0.2') })).toThrow(/is Java 11: install it/);
});

test('JAVA_HOME comes before the PATH', () => {
  fakeJava('21.0.1');
  expect(findJava({ PATH: '/usr/bin', JAVA_HOME: join(folder, 'home') })).toBe(join(folder, 'home/bin/java'));
});
