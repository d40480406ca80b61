/**
 * What a projector costs while nothing happens, by turns with another checkout of this project on the same servers:
 * `node bench/idle.ts [--against <checkout>] [--runs 5] [--seconds 20]`. In percent of a core, over that many seconds
 * after a warm-up; beside it how long the first write after it takes to become visible, in ms.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Pipeline, type RoleOptions, startPipeline } from '../services/local-stack/pipeline.ts';
import { type Load, openLoad, seedSellers } from './load.ts';
import { observeView } from './observer.ts';
import { median, show } from './report.ts';

const { values: flags } = parseArgs({
  options: {
    against: { type: 'string' },
    runs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '20' },
    profile: { type: 'string' },
  },
});
const idleMs = Number(flags.seconds) * 1_000;
const SELLERS = 2_000;
const WARM_UP_SECONDS = 4;
/** What the warm-up leaves behind: compilers, a first checkpoint, a garbage collection. */
const SETTLE_MS = 3_000;
/** The role's own default, in place of the short one of tests. */
const DEFAULTS = { env: { TC_SESSION_TIMEOUT_MS: undefined } };

/** Nanoseconds on a core of all threads of a process. Linux counts ticks of 10 ms elsewhere. */
const cpuNs = (pid: number): number =>
  readdirSync(`/proc/${pid}/task`).reduce((sum, task) => {
    const [onCore] = readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ');
    return sum + Number(onCore);
  }, 0);

async function measure(pipeline: Pipeline, load: Load, options: RoleOptions) {
  const projector = await pipeline.projector('projector', options);
  await load.write(200, WARM_UP_SECONDS);
  await delay(SETTLE_MS);
  const [before, since] = [cpuNs(projector.pid), performance.now()];
  await delay(idleMs);
  const percent = (cpuNs(projector.pid) - before) / (performance.now() - since) / 10_000;
  const observer = await observeView(pipeline);
  await load.write(1, 1, (one) => observer.expect(one));
  const [first] = await observer.finish();
  await projector.stop();
  return { percent, firstMs: first!.visibleAt - first!.at };
}

const nodeFlags = flags.profile ? ['--cpu-prof', `--cpu-prof-dir=${resolve(flags.profile)}`] : undefined;
const variants: Array<{ name: string; options: RoleOptions }> = [
  { name: 'this', options: { ...DEFAULTS, ...(nodeFlags ? { nodeFlags } : {}) } },
];
if (flags.against !== undefined) {
  const main = join(resolve(flags.against), 'services/main.ts');
  variants.unshift({ name: 'against', options: { ...DEFAULTS, main } });
}
const pipeline = await startPipeline();
try {
  await seedSellers(pipeline.source, SELLERS);
  await pipeline.relay();
  const load = await openLoad(pipeline.postgres.url('source'), SELLERS);
  await load.write(500, WARM_UP_SECONDS);
  const samples = new Map<string, number[]>();
  const note = (key: string, value: number) => samples.set(key, [...(samples.get(key) ?? []), value]);
  for (let run = 0; run < Number(flags.runs); run++) {
    for (const { name, options } of run % 2 === 0 ? variants : variants.toReversed()) {
      const { percent, firstMs } = await measure(pipeline, load, options);
      process.stderr.write(`${name}: ${show(percent)} % of a core, first write ${show(firstMs)} ms\n`);
      note(`${name}, % of a core`, percent);
      note(`${name}, first write, ms`, firstMs);
    }
  }
  await load.close();
  for (const [key, all] of samples) {
    console.log(`${key}: ${[Math.min(...all), median(all), Math.max(...all)].map(show).join(', ')}`);
  }
} finally {
  await pipeline.stop();
}
