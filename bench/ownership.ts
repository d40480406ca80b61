/**
 * Who owns a partition, and how fast that changes: `node bench/ownership.ts [--against <checkout>] [--runs 5]
 * [--only alone,two,four] [--per-second 500]`. With the default session timeout, interleaved with another checkout of this
 * project on the same servers; least, median and most in seconds, for `docs/adr/partition-ownership.md`:
 *
 * - `alone`: from kill -9 of the only projector, which a supervisor restarts, until the last write that waited for it
 *   is visible.
 * - `two`: the same for one of two, which is not restarted.
 * - `four`: the longest wait of any write while one projector becomes four, which is the longest pause of any partition.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Pipeline, type RoleOptions, startPipeline } from '../services/local-stack/pipeline.ts';
import type { RunningRole } from '../services/local-stack/run-role.ts';
import { until } from '../services/local-stack/until.ts';
import { inTurn, mainOf } from './checkout.ts';
import { type Load, openLoad, seedSellers } from './load.ts';
import { observeView, type Seen } from './observer.ts';
import { caughtUpAfter } from './recovery.ts';
import { median, show } from './report.ts';

const { values: flags } = parseArgs({
  options: {
    against: { type: 'string' },
    runs: { type: 'string', default: '5' },
    only: { type: 'string', default: 'alone,two,four' },
    'per-second': { type: 'string', default: '500' },
  },
});
const perSecond = Number(flags['per-second']);
const SELLERS = 2_000;
const SUPERVISOR = { max: 100, firstDelayMs: 50, maxDelayMs: 50 };
/** The role's own default, in place of the short one of tests. */
const DEFAULTS = { env: { TC_SESSION_TIMEOUT_MS: undefined } };
/** Kafka's JIT compilers use a core for half a minute. */
const WARM_UP_SECONDS = 15;
/** A projector's own code is compiled by then. */
const ROLE_WARM_UP_SECONDS = 4;

/** Who asks for a thousand delayed writes each millisecond slows down what is measured. */
const RECOVERY_EVERY_NTH = 10;

interface Watched {
  readonly seen: readonly Seen[];
  readonly since: number;
}

async function watched(
  pipeline: Pipeline,
  load: Load,
  everyNth: number,
  work: () => unknown,
): Promise<Watched> {
  const observer = await observeView(pipeline);
  let count = 0;
  const writing = load.write(perSecond, 7, (one) => {
    if (count++ % everyNth === 0) observer.expect(one);
  });
  await delay(1_500);
  const since = performance.now();
  await Promise.all([work(), writing]);
  return { seen: await observer.finish(), since };
}

async function recovery(pipeline: Pipeline, load: Load, victim: RunningRole): Promise<number> {
  const { seen, since } = await watched(pipeline, load, RECOVERY_EVERY_NTH, () => victim.kill('SIGKILL'));
  return caughtUpAfter(seen, since) / 1_000;
}

const settled = async (all: readonly RunningRole[]) => {
  const owned = () => Promise.all(all.map((one) => one.metric('topclients_projector_partitions')));
  const least = Math.floor((await owned()).reduce((sum, one) => sum + one, 0) / all.length);
  await until('each has its share', async () => (await owned()).every((one) => one >= least));
};

type Measurement = (pipeline: Pipeline, load: Load, options: RoleOptions) => Promise<number>;
const MEASUREMENTS: Readonly<Record<string, Measurement>> = {
  async alone(pipeline, load, options) {
    const projector = await pipeline.projector('alone', { ...options, restart: SUPERVISOR });
    await load.write(perSecond, ROLE_WARM_UP_SECONDS);
    const seconds = await recovery(pipeline, load, projector);
    await projector.stop();
    return seconds;
  },
  async two(pipeline, load, options) {
    const stays = await pipeline.projector('stays', options);
    const victim = await pipeline.projector('victim', options);
    await load.write(perSecond, ROLE_WARM_UP_SECONDS);
    await settled([stays, victim]);
    const seconds = await recovery(pipeline, load, victim);
    await stays.stop();
    return seconds;
  },
  async four(pipeline, load, options) {
    const first = await pipeline.projector('first', options);
    await load.write(perSecond, ROLE_WARM_UP_SECONDS);
    const others: RunningRole[] = [];
    const { seen, since } = await watched(pipeline, load, 2, async () => {
      const names = ['second', 'third', 'fourth'];
      others.push(...(await Promise.all(names.map((name) => pipeline.projector(name, options)))));
      await settled([first, ...others]);
    });
    for (const one of [first, ...others]) await one.stop();
    const waits = seen.filter(({ visibleAt }) => visibleAt > since).map((one) => one.visibleAt - one.at);
    return Math.max(...waits) / 1_000;
  },
};

const only = flags.only.split(',');
const variants: Array<{ name: string; options: RoleOptions }> = [{ name: 'this', options: DEFAULTS }];
if (flags.against !== undefined) {
  variants.unshift({ name: 'against', options: { ...DEFAULTS, main: mainOf(flags.against) } });
}
const pipeline = await startPipeline();
try {
  await seedSellers(pipeline.source, SELLERS);
  await pipeline.relay();
  const load = await openLoad(pipeline.postgres.url('source'), SELLERS);
  await load.write(perSecond, WARM_UP_SECONDS);
  const samples = new Map<string, number[]>();
  for (let run = 0; run < Number(flags.runs); run++) {
    for (const { name, options } of inTurn(variants, run)) {
      for (const what of only) {
        const seconds = await MEASUREMENTS[what]!(pipeline, load, options);
        process.stderr.write(`${what} ${name}: ${show(seconds)}\n`);
        const key = `${what} ${name}`;
        samples.set(key, [...(samples.get(key) ?? []), seconds]);
      }
    }
  }
  await load.close();
  for (const [key, all] of samples) {
    console.log(`${key}: ${[Math.min(...all), median(all), Math.max(...all)].map(show).join(', ')} s`);
  }
} finally {
  await pipeline.stop();
}
