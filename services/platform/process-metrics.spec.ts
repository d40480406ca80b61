import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { ASK_EVERY_MS, collectProcessMetrics } from './process-metrics.ts';

const namesAndHelp = async (register: (registry: Registry) => void) => {
  const registry = new Registry();
  register(registry);
  return (await registry.getMetricsAsJSON()).map(({ name, help, type }) => `${name} ${type}: ${help}`).sort();
};

test('the measurements of Node are those of prom-client, by the same names', async () => {
  const theirs = await namesAndHelp((register) => collectDefaultMetrics({ register }));
  expect(await namesAndHelp(collectProcessMetrics)).toEqual(theirs);
});

const value = async (registry: Registry, name: string): Promise<number> =>
  (await registry.getSingleMetric(name)!.get()).values[0]!.value;
const busyFor = (ms: number) => {
  for (const until = performance.now() + ms; performance.now() < until; );
};

test('the lag of the event loop is how late it is, however seldom it is asked', async () => {
  const registry = new Registry();
  collectProcessMetrics(registry);
  await delay(3 * ASK_EVERY_MS);
  await registry.metrics();
  expect(await value(registry, 'nodejs_eventloop_lag_p50_seconds')).toBeLessThan(0.05);
  await delay(1.5 * ASK_EVERY_MS);
  // It is due to be asked at some moment of the first part.
  busyFor(ASK_EVERY_MS + 300);
  await delay(1.5 * ASK_EVERY_MS);
  await registry.metrics();
  expect(await value(registry, 'nodejs_eventloop_lag_max_seconds')).toBeGreaterThan(0.25);
});

test('CPU time grows by what the process has used', async () => {
  const registry = new Registry();
  collectProcessMetrics(registry);
  await registry.metrics();
  busyFor(100);
  await registry.metrics();
  expect(await value(registry, 'process_cpu_seconds_total')).toBeGreaterThan(0.05);
});
