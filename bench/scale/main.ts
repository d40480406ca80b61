/**
 * `make bench-scale`: what grows with the number of sellers. For each size, a topic with one event a seller is built
 * into a view, by one projector and by two, and the gig page is served from that view. `--quick` leaves the million
 * out, `--sizes 10000,100000,1000000` sets the sizes. The last size is not fitted; the model is checked against it.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { insertGigs } from '#pages/gig/own-data.ts';
import { takeLock } from '../../services/local-stack/folder-lock.ts';
import { type Pipeline, startPipeline } from '../../services/local-stack/pipeline.ts';
import { until } from '../../services/local-stack/until.ts';
import { randomFor } from '../../services/seed/random.ts';
import { seller } from '../../services/seed/sellers.ts';
import { fillOutbox } from '../load.ts';
import { environment, watchOthers } from '../machine.ts';
import { emptyView, holdRelays } from '../reset.ts';
import { cpuOfTree, usageOf } from '../usage.ts';
import { attack, prepareVegeta } from '../vegeta.ts';
import type { Build, PagePoint, ScaleResults, SizeResult } from './results.ts';

/** Sellers whose gigs the page shows: with own data for a million, gigs would be measured. */
const VISITED = 2_000;
/** The first two are fitted; the model is checked against the last. */
const RATES = [50, 100, 200] as const;
const RELAYED = 20_000;
const LONGEST_MS = 900_000;

async function build(pipeline: Pipeline, sellers: number, projectors: number): Promise<Build> {
  await emptyView(pipeline);
  const othersTook = watchOthers();
  const postgresBefore = cpuOfTree(pipeline.postgres.pid);
  const startedAt = performance.now();
  const running = await Promise.all(
    Array.from({ length: projectors }, (_, i) =>
      pipeline.projector(`projector-${projectors}-${i}`, { ready: false }),
    ),
  );
  const applied = async () => {
    const counts = await Promise.all(
      running.map((one) => one.metric('topclients_projector_events_total', 'result="applied"')),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  };
  try {
    await until('the view is built', async () => (await applied()) >= sellers, LONGEST_MS, 100);
    const seconds = (performance.now() - startedAt) / 1_000;
    const { rows } = await pipeline.view.query('select count(*)::int as count from top_clients');
    if (rows[0].count !== sellers) throw new Error(`the view has ${rows[0].count} of ${sellers} sellers`);
    const used = running.map(({ pid }) => usageOf(pid));
    return {
      projectors,
      seconds,
      projectorCpuSeconds: used.reduce((sum, one) => sum + one.cpuSeconds, 0),
      postgresCpuSeconds: cpuOfTree(pipeline.postgres.pid) - postgresBefore,
      projectorPeakMb: Math.max(...used.map((one) => one.peakMb)),
      othersCores: othersTook(),
    };
  } finally {
    for (const one of running) await one.stop();
  }
}

async function page(pipeline: Pipeline, sellers: number, seconds: number): Promise<PagePoint[]> {
  const random = randomFor('scale', sellers);
  const visited = [...new Set(Array.from({ length: VISITED }, () => random.integer(1, sellers)))];
  const firstGig = (id: number) => seller(id, sellers).gigs[0]!;
  // A seller's first gig has the seller's id, and related gigs are first gigs.
  const shown = [...new Set([...visited, ...visited.flatMap((id) => firstGig(id).related_gig_ids)])];
  for (let at = 0; at < shown.length; at += 500) {
    await insertGigs(pipeline.view, shown.slice(at, at + 500).map(firstGig));
  }
  await pipeline.view.query('vacuum analyze');
  const server = await pipeline.start({ role: 'page-server', name: 'page', page: 'gig' });
  const paths = visited.map((id) => `/gigs/${id}`);
  const { url } = server;
  const folder = join(pipeline.folder, 'vegeta');
  try {
    await attack(url, paths, { workers: 16 }, 5, folder);
    const points: PagePoint[] = [];
    for (const rate of RATES) {
      const [othersTook, before] = [watchOthers(), usageOf(server.pid).cpuSeconds];
      const result = await attack(url, paths, { rate }, seconds, folder);
      points.push({
        rate,
        latencyMs: result.latencyMs,
        cores: (usageOf(server.pid).cpuSeconds - before) / seconds,
        okShare: (result.statuses['200'] ?? 0) / result.requests,
        residentMb: usageOf(server.pid).residentMb,
        othersCores: othersTook(),
      });
    }
    return points;
  } finally {
    await server.stop();
  }
}

/** CPU seconds of the relay per event, over a backlog. */
async function relayCost(pipeline: Pipeline): Promise<number> {
  await fillOutbox(pipeline.source, RELAYED, 1_000, 2);
  const letGo = await holdRelays(pipeline);
  const relay = await pipeline.relay();
  const before = usageOf(relay.pid).cpuSeconds;
  await letGo();
  const sent = () => relay.metric('topclients_relay_sent_total');
  await until('the outbox is relayed', async () => (await sent()) >= RELAYED, LONGEST_MS, 100);
  const used = usageOf(relay.pid).cpuSeconds - before;
  await relay.stop();
  return used / RELAYED;
}

async function measure(sellers: number, seconds: number, say: (text: string) => void): Promise<SizeResult> {
  const pipeline = await startPipeline();
  try {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        '--max-old-space-size=6000',
        fileURLToPath(new URL('../bare-producer.ts', import.meta.url)),
        pipeline.kafka.bootstrap,
        String(sellers),
      ],
      { env: { ...process.env, NODE_OPTIONS: undefined } },
    );
    const producedPerSecond = Number(stdout.trim().split('\n').at(-1));
    say(`${sellers} sellers: ${producedPerSecond.toFixed(0)} messages/s into Kafka`);
    const builds = [];
    for (const projectors of [2, 1]) {
      const one = await build(pipeline, sellers, projectors);
      builds.push(one);
      say(`  built by ${projectors} in ${one.seconds.toFixed(1)} s`);
    }
    const { rows } = await pipeline.view.query(
      `select pg_total_relation_size('top_clients')::bigint as bytes`,
    );
    const pages = await page(pipeline, sellers, seconds);
    say(`  gig page at ${RATES.at(-1)}/s: p99 ${pages.at(-1)!.latencyMs.p99.toFixed(1)} ms`);
    const { residentMb: kafkaMb } = usageOf(pipeline.kafka.pid);
    return {
      sellers,
      producedPerSecond,
      builds,
      viewBytes: Number(rows[0].bytes),
      pages,
      kafkaMb,
      relayCpuPerEvent: await relayCost(pipeline),
    };
  } finally {
    await pipeline.stop();
  }
}

const { values: flags } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, sizes: { type: 'string' }, out: { type: 'string' } },
});
const sizes = (flags.sizes ?? (flags.quick ? '10000,30000,100000' : '10000,100000,1000000'))
  .split(',')
  .map(Number);
if (
  sizes.length < 3 ||
  sizes.some((size, i) => !Number.isInteger(size) || size < 1_000 || size <= (sizes[i - 1] ?? 0))
) {
  process.stderr.write(
    '--sizes takes three whole numbers or more, growing, from 1000: two to fit and one to check\n',
  );
  process.exit(2);
}
const say = (text: string) => process.stderr.write(`${text}\n`);
const release = await takeLock(join(tmpdir(), 'top-clients-bench.lock'));
const described = environment(`node bench/scale/main.ts ${process.argv.slice(2).join(' ')}`, {
  vegeta: await prepareVegeta(),
});
const out = flags.out ?? fileURLToPath(new URL('../results/scale', import.meta.url));
mkdirSync(out, { recursive: true });
const measured: SizeResult[] = [];
for (const size of sizes) {
  measured.push(await measure(size, flags.quick ? 4 : 15, say));
  const results: ScaleResults = { environment: described, quick: flags.quick, sizes: measured };
  writeFileSync(join(out, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
}
await release();
