import { createRequire } from 'node:module';
import { expect, test } from '@jest/globals';
import { pause } from '../lifecycle.ts';
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

test('a request without an answer is given up at its deadline, also a later one, and nothing looks while none is there', async () => {
  restRequestQueues(loadedKafkajs());
  const RequestQueue = require('kafkajs/src/network/requestQueue/index.js') as new (
    options: object,
  ) => Queue & {
    requestTimeoutIntervalId?: { hasRef(): boolean };
    scheduleRequestTimeoutCheck(): void;
    fulfillRequest(answer: object): void;
  };
  const queue = new RequestQueue({
    clientId: 'spec',
    broker: 'none:9092',
    requestTimeout: 40,
    enforceRequestTimeout: true,
    instrumentationEmitter: null,
    logger: { debug() {} },
  });
  queue.scheduleRequestTimeoutCheck();
  expect(queue.requestTimeoutIntervalId).toBeUndefined();
  const ask = (correlationId: number, requestTimeout: number) => {
    const startedAt = Date.now();
    return new Promise<number>((resolve, reject) => {
      queue.push({
        entry: {
          ...{ correlationId, apiName: 'Fetch', apiKey: 1, apiVersion: 11 },
          resolve,
          reject: (err: Error) =>
            err.name === 'KafkaJSRequestTimeoutError' ? resolve(Date.now() - startedAt) : reject(err),
        },
        expectResponse: true,
        requestTimeout,
        sendRequest() {},
      });
    });
  };
  const long = ask(1, 150);
  const short = ask(2, 40);
  const answered = ask(3, 60);
  queue.fulfillRequest({ correlationId: 3, payload: 'answer', size: 6 });
  expect(await answered).toMatchObject({ payload: 'answer' });
  expect(await short).toBeGreaterThan(39);
  expect(await long).toBeGreaterThan(149);
  await pause(0);
  // A connection that is made anew has the same queue.
  queue.scheduleRequestTimeoutCheck();
  expect(await ask(4, 40)).toBeGreaterThan(39);
  queue.destroy();
});
