/** Who keeps which partition up while projectors come and go and the page's database does what it likes. */
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type Pipeline, startPipeline } from '../../services/local-stack/pipeline.ts';
import type { RunningRole } from '../../services/local-stack/run-role.ts';
import { until } from '../../services/local-stack/until.ts';
import { openWriter, type Writer } from '../support/writer.ts';

const PARTITIONS = 24;
let pipeline: Pipeline;
let writer: Writer;
let projectors: RunningRole[];

beforeAll(async () => {
  pipeline = await startPipeline({ partitions: PARTITIONS });
  writer = openWriter(pipeline.postgres.url('source'));
  projectors = [await pipeline.projector('projector-1')];
  await pipeline.relay();
}, 60_000);

afterAll(async () => {
  await writer?.close();
  await pipeline?.stop();
}, 60_000);

afterEach(() => writer.rest());

async function isCaughtUp(): Promise<boolean> {
  const source = await pipeline.source.query(
    'select seller_id, version, clients from seller where version > 0 order by seller_id',
  );
  const view = await pipeline.view.query(
    'select seller_id, version, clients from top_clients order by seller_id',
  );
  return source.rows.length > 0 && JSON.stringify(source.rows) === JSON.stringify(view.rows);
}

const sum = async (name: string, labels = '') => {
  let total = 0;
  for (const one of projectors) if (one.running) total += await one.metric(name, labels);
  return total;
};

test('a table that is locked while one projector becomes four: afterwards every partition moves, and the view is right', async () => {
  writer.keepWriting(1, 200, 150);
  await until('writes flow', () => writer.writes > 100);
  const locker = await pipeline.view.connect();
  try {
    await locker.query('begin');
    await locker.query('lock table top_clients in access exclusive mode');
    const before = writer.writes;
    const others = [2, 3, 4].map((i) => pipeline.projector(`projector-${i}`, { ready: false }));
    projectors.push(...(await Promise.all(others)));
    // The statement timeout strikes in the middle of it.
    const log = () => readFile(`${pipeline.folder}/projector-1.log`, 'utf8');
    await until('a statement has waited too long', async () =>
      (await log()).includes('canceling statement due to statement timeout'),
    );
    await until('there is a backlog', () => writer.writes > before + 500);
  } finally {
    await locker.query('rollback');
    locker.release();
  }
  await writer.rest();
  await until('the view is right', isCaughtUp);
  await until('nothing lags', async () => (await sum('topclients_projector_lag_records')) === 0);
  await until(
    'each has its share',
    async () =>
      (await Promise.all(projectors.map((one) => one.metric('topclients_projector_partitions')))).join() ===
      '6,6,6,6',
  );
  expect(await sum('topclients_projector_partitions', 'state="running"')).toBe(PARTITIONS);
  expect(await sum('topclients_projector_stalled_total')).toBe(0);
}, 60_000);

test('kill -9 of one of them: the others have its partitions within two seconds', async () => {
  writer.keepWriting(1, 200, 150);
  const [victim] = projectors.splice(0, 1);
  victim!.kill('SIGKILL');
  const killedAt = performance.now();
  await until(
    'all is owned again',
    async () => (await sum('topclients_projector_partitions', 'state="running"')) === PARTITIONS,
  );
  expect(performance.now() - killedAt).toBeLessThan(2_000);
  await writer.rest();
  await until('the view is right', isCaughtUp);
});
