import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { attack, latestStart, prepareVegeta, readReport } from './vegeta.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vegeta-spec-'));
  // Building it takes a minute where it was never used.
  await prepareVegeta();
}, 600_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Answers at once, but for one second in which it does not look at the network at all. */
async function serveWithStall(stallAfterMs: number, stallMs: number) {
  let stalled = false;
  let firstAt = 0;
  const server = createServer((_, res) => {
    firstAt ||= performance.now();
    if (!stalled && performance.now() - firstAt > stallAfterMs) {
      stalled = true;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stallMs);
    }
    res.end('ok');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  };
}

test('a server that stalls for one second of four shows it in the percentiles at a fixed rate, and would hide it from one that waits', async () => {
  const paths = ['/a', '/b'];
  const open = await serveWithStall(1_500, 1_000);
  const fixed = await attack(open.url, paths, { rate: 200 }, 4, join(folder, 'open'));
  await open.close();
  // A quarter of the requests fell into the stall and waited half of it in the mean.
  expect(fixed.requests).toBe(800);
  expect(fixed.statuses).toEqual({ 200: 800 });
  expect(fixed.latencyMs.p99).toBeGreaterThan(800);
  expect(fixed.latencyMs.p999).toBeGreaterThanOrEqual(fixed.latencyMs.p99);
  expect(fixed.latencyMs.p50).toBeLessThan(500);

  const closed = await serveWithStall(1_500, 1_000);
  const waiting = await attack(closed.url, paths, { workers: 1 }, 4, join(folder, 'closed'));
  await closed.close();
  expect(waiting.latencyMs.max).toBeGreaterThan(900);
  expect(waiting.latencyMs.p99).toBeLessThan(100);
}, 60_000);

test('p99.9 comes from the second report, the rest from the first, in milliseconds', () => {
  const json = JSON.stringify({
    requests: 10,
    throughput: 5.5,
    latencies: { '50th': 1e6, '95th': 2e6, '99th': 3e6, max: 9e6 },
    status_codes: { 200: 9, 503: 1 },
  });
  const hdrplot =
    'Value(ms)  Percentile  TotalCount  1/(1-Percentile)\n1.0 0.5 5 2.0\n4.0 0.9989 9 900\n7.5 0.999 10 1000\n9.0 1.0 10 Inf\n';
  expect(readReport(json, hdrplot, 20)).toEqual({
    rate: 20,
    requests: 10,
    okPerSecond: 5.5,
    statuses: { 200: 9, 503: 1 },
    latencyMs: { p50: 1, p95: 2, p99: 3, p999: 7.5, max: 9 },
  });
  expect(() => readReport(json, '', 20)).toThrow('no line for the quantile');
});

test('a generator that falls behind its own schedule is found out', () => {
  const row = (ms: number, sequence: number) => `${ms * 1e6},200,1000,0,0,,,,${sequence},GET,http://x/,`;
  expect(latestStart([row(1_000, 0), row(1_010, 1), row(1_020, 2)].join('\n'), 100)).toBe(0);
  expect(latestStart([row(1_055, 2), row(1_000, 0), row(1_010, 1)].join('\n'), 100)).toBe(35);
});
