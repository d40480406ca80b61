import { createRequire } from 'node:module';
import { expect, test } from '@jest/globals';
import { loadedKafkajs } from './kafkajs.ts';
import { restRequestQueues } from './request-queue.ts';

interface Queue {
  readonly pending: readonly unknown[];
  /** Null while nothing is scheduled. */
  readonly throttleCheckTimeoutId: unknown;
  maybeThrottle(forMs: number): void;
  checkPendingRequests(): void;
  push(request: object): void;
  destroy(): void;
}

const require = createRequire(import.meta.url);

test('a queue looks again while a request waits in it, sends it when it may, and then rests', async () => {
  restRequestQueues(loadedKafkajs());
  const RequestQueue = require('kafkajs/src/network/requestQueue/index.js') as new (options: object) => Queue;
  const queue = new RequestQueue({
    clientId: 'spec',
    broker: 'none:9092',
    requestTimeout: 1_000,
    enforceRequestTimeout: false,
    instrumentationEmitter: null,
    logger: { debug() {} },
  });
  queue.checkPendingRequests();
  expect(queue.throttleCheckTimeoutId).toBeNull();

  queue.maybeThrottle(20);
  const throttledUntil = Date.now() + 20;
  const sent = new Promise<number>((resolve) => {
    queue.push({
      entry: { correlationId: 1, apiName: 'Fetch', apiKey: 1, apiVersion: 11 },
      expectResponse: true,
      sendRequest: () => resolve(Date.now()),
    });
  });
  expect(queue.pending).toHaveLength(1);
  expect(await sent).toBeGreaterThanOrEqual(throttledUntil - 1);
  await Promise.resolve();
  expect([queue.pending.length, queue.throttleCheckTimeoutId]).toEqual([0, null]);
  queue.destroy();
});
