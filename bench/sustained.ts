/**
 * A rate held for minutes by one relay: whether anything waits longer at its end than at its beginning, and what it costs:
 * `node bench/sustained.ts [--rate 20000] [--minutes 5] [--projectors 1]`.
 *
 * The writer commits a hundred events at a time, which its server puts together: the source's own transactions for such a rate
 * need a machine of their own. A look at waiting events and at the wait of some is taken all the time.
 */
import { parseArgs } from 'node:util';
import { bucketOf } from '../services/contracts/bucket.ts';
import { startPipeline } from '../services/local-stack/pipeline.ts';
import type { RunningRole } from '../services/local-stack/run-role.ts';
import { addEventsOfKept, keepLists } from '../services/top-clients/adapters/postgres/bulk-writes.ts';
import { countWaiting } from '../services/top-clients/adapters/postgres/outbox.ts';
import { listOf, seedSellers, TRACEPARENT, type Written, writeWhenDue } from './load.ts';
import { watchWaits } from './observer.ts';
import { type Figure, table } from './report.ts';
import { cpuOfTree, usageOf } from './usage.ts';

const SELLERS = 5_000;
const AT_ONCE = 100;
const WARM_UP_SECONDS = 30;
const SLICES = 10;

const { values: flags } = parseArgs({
  options: {
    rate: { type: 'string', default: '20000' },
    minutes: { type: 'string', default: '5' },
    projectors: { type: 'string', default: '1' },
  },
});
const perSecond = Number(flags.rate);
const sliceSeconds = (60 * Number(flags.minutes)) / SLICES;

const pipeline = await startPipeline();
try {
  await seedSellers(pipeline.source, SELLERS);
  const relay = await pipeline.relay();
  const projectors: RunningRole[] = [];
  for (let i = 0; i < Number(flags.projectors); i++)
    projectors.push(await pipeline.projector(`projector-${i}`));
  const writer = await pipeline.source.connect();
  await keepLists(
    writer,
    Array.from({ length: SELLERS }, (_, i) => {
      const clients = listOf(i + 1);
      const change = { type: 'client-updated', client: clients[0]! };
      return {
        bucket: bucketOf(i + 1),
        sellerId: i + 1,
        members: `"change":${JSON.stringify(change)},"clients":${JSON.stringify(clients)}`,
      };
    }),
  );

  let written = 0;
  const writeNext = async (): Promise<Written> => {
    const sellerId = (written % SELLERS) + 1;
    const version = 2 + Math.floor(written / SELLERS);
    await addEventsOfKept(writer, sellerId, sellerId + AT_ONCE - 1, version, new Date(), TRACEPARENT);
    written += AT_ONCE;
    return { sellerId, version, at: performance.now() };
  };
  /** By one writer. @returns how many ms it was late, at most */
  const write = async (rate: number, seconds: number, watch: (one: Written) => void): Promise<number> => {
    const startedAt = performance.now();
    let asked = 0;
    const nextDue = () => startedAt + (1_000 * AT_ONCE * asked++) / rate;
    const { longestWaitMs } = await writeWhenDue(
      Math.ceil((rate * seconds) / AT_ONCE),
      nextDue,
      writeNext,
      watch,
      1,
    );
    return longestWaitMs;
  };
  const waiting = async () =>
    (await countWaiting(pipeline.source, { index: 0, of: 1 }, { floor: 0, held: [] })).rows;
  const cpu = () => ({
    relay: usageOf(relay.pid).cpuSeconds,
    projectors: projectors.reduce((sum, { pid }) => sum + usageOf(pid).cpuSeconds, 0),
    kafka: usageOf(pipeline.kafka.pid).cpuSeconds,
    postgres: cpuOfTree(pipeline.postgres.pid),
  });

  await write(perSecond / 4, WARM_UP_SECONDS, () => {});
  const before = cpu();
  const startedAt = performance.now();
  const slices: Array<{ waiting: number; p50: number; p99: number; late: number }> = [];
  for (let slice = 0; slice < SLICES; slice++) {
    const watched = await watchWaits(pipeline, perSecond / AT_ONCE);
    const late = await write(perSecond, sliceSeconds, watched.written);
    const left = await waiting();
    const { p50, p99 } = await watched.finish();
    slices.push({ waiting: left, p50, p99, late });
    process.stderr.write(`${JSON.stringify(slices.at(-1))}\n`);
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  const after = cpu();
  const figure = (name: string, unit: string, of: 'waiting' | 'p50' | 'p99' | 'late'): Figure[] =>
    [slices.slice(0, SLICES / 2), slices.slice(SLICES / 2)].map((half, i) => ({
      name: `${name}, ${i === 0 ? 'first' : 'second'} half`,
      unit,
      target: null,
      values: half.map((one) => one[of]),
    }));
  const figures: Figure[] = [
    ...figure('events waiting in the outbox', '', 'waiting'),
    ...figure('commit → visible, p50', 'ms', 'p50'),
    ...figure('commit → visible, p99', 'ms', 'p99'),
    ...figure('the writer was late', 'ms', 'late'),
    ...Object.keys(before).map((name) => {
      const of = name as keyof typeof before;
      return {
        name: `CPU, ${of}`,
        unit: 'cores',
        target: null,
        values: [(after[of] - before[of]) / seconds],
      };
    }),
  ];
  process.stdout.write(
    `${((SLICES * sliceSeconds * perSecond) / seconds).toFixed(0)} events/s for ${seconds.toFixed(0)} s\n\n${table(figures)}\n`,
  );
  writer.release();
  for (const one of projectors) await one.stop();
  await relay.stop();
} finally {
  await pipeline.stop();
}
