import { createServer } from 'node:http';
import { expect, test } from '@jest/globals';
import { listen } from '#platform/listen.ts';
import { openMetrics } from '#role/metrics.ts';
import { lagByPartition, type ReadMetrics, readLag, readOverHttp, whyNotReady } from './lag.ts';

const exported = async (records: Readonly<Record<number, number>>) => {
  const metrics = openMetrics({ processMetrics: false });
  const gauge = metrics.gauge('topclients_projector_lag_records');
  for (const [partition, lag] of Object.entries(records)) gauge.set({ page: 'gig', partition }, lag);
  return metrics.registry.metrics();
};
const pods = (...names: string[]) => names.map((name) => ({ name, ip: name }));
const answering =
  (answers: Readonly<Record<string, Readonly<Record<number, number>>>>): ReadMetrics =>
  async ({ name }) => {
    const records = answers[name];
    if (!records) throw new Error('connection refused');
    return exported(records);
  };

test('reads what our own metrics export', async () => {
  expect(lagByPartition(await exported({ 0: 3, 11: 40 }))).toEqual(
    new Map([
      [0, 3],
      [11, 40],
    ]),
  );
});

test('sums partitions over all pods', async () => {
  const read = answering({ a: { 0: 1, 1: 2 }, b: { 2: 4 } });
  expect(await readLag(pods('a', 'b'), 3, read)).toBe(7);
});

test('counts a partition that two pods report once, by the one further behind', async () => {
  expect(await readLag(pods('a', 'b'), 1, answering({ a: { 0: 10 }, b: { 0: 4 } }))).toBe(10);
});

test('a projector without an assignment is not caught up', async () => {
  expect(await readLag(pods('a'), 2, answering({ a: {} }))).toEqual({
    unknown: expect.stringContaining('0 of 2 partitions'),
  });
});

test('no pod, no lag', async () => {
  expect(await readLag([], 2, answering({}))).toEqual({ unknown: 'no projector runs yet' });
});

test('a pod that cannot be asked makes it unknown, for its partitions may be the ones behind', async () => {
  expect(await readLag(pods('a', 'b'), 1, answering({ a: { 0: 0 } }))).toEqual({
    unknown: 'b cannot be asked: connection refused',
  });
});

test.each(['127.0.0.1', '::1'])('a pod with the address %s is asked', async (ip) => {
  const server = createServer((_, response) =>
    response.end('topclients_projector_lag_records{page="gig",partition="0"} 7\n'),
  );
  const port = await listen(server, 0, ip);
  try {
    expect(await readLag([{ name: 'a', ip }], 1, readOverHttp(port))).toBe(7);
    expect(await whyNotReady([{ name: 'a', ip }], port)).toBeNull();
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test('does not wait for a pod that does not answer', async () => {
  const server = createServer(() => {});
  const port = await listen(server, 0, '127.0.0.1');
  try {
    const startedAt = performance.now();
    expect(await readLag([{ name: 'a', ip: '127.0.0.1' }], 1, readOverHttp(port), 100)).toEqual({
      unknown: 'a cannot be asked: no answer within 100 ms',
    });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
