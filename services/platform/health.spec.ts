import { afterEach, expect, test } from '@jest/globals';
import { openMetrics } from '#role/metrics.ts';
import { serveHealth } from './health.ts';
import { silentLog } from './log.ts';

const SOMEWHERE = { healthPort: 0, healthHost: '127.0.0.1' };

const closers: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function serve(state: { notReady: string | null; dead: string | null }) {
  const metrics = openMetrics({ processMetrics: false });
  metrics.counter('topclients_relay_sent_total').inc({ shard: '0' }, 3);
  const { port, close } = await serveHealth(SOMEWHERE, {
    notReadyBecause: () => state.notReady,
    notLiveBecause: () => state.dead,
    metrics,
    log: silentLog,
  });
  closers.push(close);
  return (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
}

test('readiness follows the role and says what is in the way', async () => {
  const state = { notReady: null as string | null, dead: null };
  const get = await serve(state);
  expect((await get('/readyz')).status).toBe(200);
  state.notReady = 'the database does not answer';
  const refused = await get('/readyz');
  expect(refused.status).toBe(503);
  expect(await refused.text()).toBe('the database does not answer\n');
  expect((await get('/livez')).status).toBe(200);
});

test('metrics carry the names, help and labels of the catalogue', async () => {
  const get = await serve({ notReady: null, dead: null });
  const text = await (await get('/metrics')).text();
  expect(text).toContain('# HELP topclients_relay_sent_total Messages Kafka acknowledged');
  expect(text).toContain('topclients_relay_sent_total{shard="0"} 3');
});

test('any other address is not found', async () => {
  const get = await serve({ notReady: null, dead: null });
  expect((await get('/')).status).toBe(404);
});

test('a port that is taken is named', async () => {
  const metrics = openMetrics({ processMetrics: false });
  const health = { notReadyBecause: () => null, metrics, log: silentLog };
  const first = await serveHealth(SOMEWHERE, health);
  closers.push(first.close);
  await expect(serveHealth({ ...SOMEWHERE, healthPort: first.port }, health)).rejects.toThrow(
    `cannot listen on 127.0.0.1:${first.port}`,
  );
});
