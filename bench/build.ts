/**
 * How long a view takes to build, and how late the shown view of the page is meanwhile, interleaved with another checkout of
 * this project: `node bench/build.ts [--against <checkout>] [--sizes 200000] [--runs 5] [--beside 200]`. The topic is filled
 * once a size, with one event of a list of 600 bytes a seller; each run begins with an empty view. `--beside` builds version
 * 2 while version 1 is shown and follows so many changes a second; before that a process that only counts stands in for the
 * build, which tells what the machine makes of any work beside.
 */
import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { viewSchema } from '#pages/projection.ts';
import { type Pipeline, startPipeline } from '../services/local-stack/pipeline.ts';
import { until } from '../services/local-stack/until.ts';
import { inTurn, mainOf } from './checkout.ts';
import { fillTopic, type Load, openLoad, seedSellers } from './load.ts';
import { observeView } from './observer.ts';
import { median, show } from './report.ts';
import { emptyEverything, emptyView } from './reset.ts';
import { cpuOfTree, usageOf } from './usage.ts';

const OF_A_BUILD = ['seconds', 'projector', 'postgres', 'kafka', 'walMb', 'peakMb'] as const;
/** CPU seconds of the processes, from the start of the projector to the last row. */
type Build = Record<(typeof OF_A_BUILD)[number], number>;

interface Variant {
  readonly name: string;
  readonly main?: string;
  readonly nodeFlags?: readonly string[];
}

async function build(pipeline: Pipeline, sellers: number, variant: Variant): Promise<Build> {
  await emptyView(pipeline);
  const walAt = async () =>
    Number((await pipeline.view.query(`select pg_current_wal_insert_lsn() - '0/0' as at`)).rows[0].at);
  const used = () => ({
    postgres: cpuOfTree(pipeline.postgres.pid),
    kafka: usageOf(pipeline.kafka.pid).cpuSeconds,
  });
  const [walBefore, before, startedAt] = [await walAt(), used(), performance.now()];
  const projector = await pipeline.projector(`projector-${variant.name}`, { ...variant, ready: false });
  try {
    const applied = () => projector.metric('topclients_projector_events_total', 'result="applied"');
    await until('the view is built', async () => (await applied()) >= sellers, 120_000, 100);
    const seconds = (performance.now() - startedAt) / 1_000;
    const after = used();
    const { rows } = await pipeline.view.query('select count(*)::int as count from top_clients');
    if (rows[0].count !== sellers) throw new Error(`the view has ${rows[0].count} of ${sellers} sellers`);
    const { cpuSeconds, peakMb } = usageOf(projector.pid);
    return {
      seconds,
      projector: cpuSeconds,
      postgres: after.postgres - before.postgres,
      kafka: after.kafka - before.kafka,
      walMb: ((await walAt()) - walBefore) / 1024 / 1024,
      peakMb,
    };
  } finally {
    await projector.stop();
  }
}

const CHANGING = 5_000;
const OF_THE_SHOWN = [
  ...(['p50', 'p99', 'p50Counting', 'p99Counting', 'p50Beside', 'p99Beside'] as const),
  ...(['ratioCounting', 'ratio', 'seconds'] as const),
] as const;
/** Commit → visible in ms in the shown view: alone, beside a process that counts, beside the build; and how long that took. */
type ShownWhileBuilding = Record<(typeof OF_THE_SHOWN)[number], number>;

/** Changes a second, some of which are watched, from now until the work is done. */
async function watch(
  pipeline: Pipeline,
  load: Load,
  perSecond: number,
  during: () => Promise<unknown>,
): Promise<number[]> {
  const observer = await observeView(pipeline);
  let isDone = false;
  const work = during().finally(() => {
    isDone = true;
  });
  while (!isDone) await load.write(perSecond, 1, (one) => isDone || observer.expect(one));
  await work;
  const seen = await observer.finish();
  return seen.map(({ at, visibleAt }) => visibleAt - at).sort((a, b) => a - b);
}

async function countFor5s(): Promise<void> {
  const counting = spawn(process.execPath, ['--eval', 'for (;;);'], { stdio: 'ignore' });
  await delay(5_000);
  counting.kill('SIGKILL');
}

async function beside(
  pipeline: Pipeline,
  load: Load,
  sellers: number,
  perSecond: number,
  { name, ...variant }: Variant,
): Promise<ShownWhileBuilding> {
  const schema = viewSchema('asynchronous', 2);
  await pipeline.view.query(
    `truncate ${schema}.top_clients, ${schema}.checkpoint, ${schema}.parked; checkpoint`,
  );
  const relay = await pipeline.relay(`relay-${name}`, variant);
  const shown = await pipeline.projector(`shown-${name}`, variant);
  const env = { TC_SESSION_TIMEOUT_MS: 1_500 };
  try {
    await load.write(perSecond, 5);
    const alone = await watch(pipeline, load, perSecond, () => delay(5_000));
    const withCounting = await watch(pipeline, load, perSecond, countFor5s);
    let seconds = 0;
    const withBuild = await watch(pipeline, load, perSecond, async () => {
      const startedAt = performance.now();
      const one = { role: 'projector', name: `built-${name}`, page: 'gig', version: 2, env } as const;
      const built = await pipeline.start(one, { ...variant, ready: false });
      const applied = () => built.metric('topclients_projector_events_total', 'result="applied"');
      await until('the view is built', async () => (await applied()) >= sellers, 120_000, 100);
      seconds = (performance.now() - startedAt) / 1_000;
      void built.stop();
    });
    const at = (all: number[], share: number) =>
      all[Math.min(all.length - 1, Math.floor(all.length * share))]!;
    const [p50, p50Counting, p50Beside] = [at(alone, 0.5), at(withCounting, 0.5), at(withBuild, 0.5)];
    const [p99, p99Counting, p99Beside] = [at(alone, 0.99), at(withCounting, 0.99), at(withBuild, 0.99)];
    return {
      ...{ p50, p99, p50Counting, p99Counting, p50Beside, p99Beside },
      ...{ ratioCounting: p99Counting / p99, ratio: p99Beside / p99, seconds },
    };
  } finally {
    await shown.stop();
    await relay.stop();
  }
}

/** Measures every variant in turn, and prints each figure's minimum, median and maximum. */
async function byTurns<F extends string>(
  what: string,
  figures: readonly F[],
  measure: (variant: Variant) => Promise<Record<F, number>>,
): Promise<void> {
  const results = new Map<string, Array<Record<F, number>>>(variants.map(({ name }) => [name, []]));
  for (let run = 0; run < Number(flags.runs); run++) {
    for (const variant of inTurn(variants, run)) {
      const one = await measure(variant);
      results.get(variant.name)!.push(one);
      process.stderr.write(
        `${what} ${variant.name} ${figures.map((of) => `${of} ${show(one[of])}`).join(', ')}\n`,
      );
    }
  }
  const spread = (values: readonly number[]) =>
    [Math.min(...values), median(values), Math.max(...values)].map(show).join('/');
  for (const [name, all] of results) {
    const shown = figures.map((of) => `${of} ${spread(all.map((one) => one[of]))}`);
    console.log(`${what} ${name} (min/median/max of ${all.length}) ${shown.join(', ')}`);
  }
  const [before, after] = variants.map(({ name }) => results.get(name)!);
  for (const of of after ? figures : [])
    console.log(
      `${what} this ÷ against, ${of}: ${spread(after!.map((one, run) => one[of] / before![run]![of]))}`,
    );
}

const { values: flags } = parseArgs({
  options: {
    against: { type: 'string' },
    sizes: { type: 'string', default: '200000' },
    runs: { type: 'string', default: '5' },
    beside: { type: 'string' },
    profile: { type: 'string' },
  },
});
const main = flags.against && mainOf(flags.against);
const variants: Variant[] = [
  ...(main ? [{ name: 'against', main }] : []),
  {
    name: 'this',
    ...(flags.profile ? { nodeFlags: ['--cpu-prof', `--cpu-prof-dir=${flags.profile}`] } : {}),
  },
];
const pipeline = await startPipeline({
  pages: { gig: [{ delivery: 'asynchronous' }, { delivery: 'asynchronous', version: 2 }] },
});
try {
  for (const size of flags.sizes.split(',').map(Number)) {
    await emptyEverything(pipeline);
    await fillTopic(pipeline.kafka.bootstrap, size);
    // Kafka's JIT compilers, and its page cache.
    await build(pipeline, size, variants[0]!);
    if (flags.beside === undefined) {
      await byTurns(`${size}`, OF_A_BUILD, (variant) => build(pipeline, size, variant));
      continue;
    }
    await seedSellers(pipeline.source, CHANGING);
    const load = await openLoad(pipeline.postgres.url('source'), CHANGING);
    await byTurns(`${size} beside`, OF_THE_SHOWN, (variant) =>
      beside(pipeline, load, size, Number(flags.beside), variant),
    );
    await load.close();
  }
} finally {
  await pipeline.stop();
}
