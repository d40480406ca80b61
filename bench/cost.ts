/**
 * What an event costs and how long it takes at a steady rate, interleaved with another checkout of this project and with bare
 * loops, or with other lengths of a relay's round: `node bench/cost.ts [--against <checkout>] [--rates 100,1000,5000]
 * [--seconds 15] [--runs 5] [--rounds 3,8] [--least]`. `--least` measures bare loops that never rest, too.
 *
 * All variants use the same servers one after the other, so the ratios of a run hold for any machine.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Pipeline, startPipeline } from '../services/local-stack/pipeline.ts';
import { commandOf, surroundings } from '../services/local-stack/run-role.ts';
import { inTurn, mainOf } from './checkout.ts';
import { measureRate, WARM_UP_SECONDS } from './latency.ts';
import { type Load, openLoad, seedSellers } from './load.ts';
import { type Figure, show, table } from './report.ts';

const SELLERS = 5_000;
/** A role's own code is compiled by then. */
const ROLE_WARM_UP_SECONDS = 20;

const OF_A_SAMPLE = ['p50', 'p99', 'relay', 'projector', 'roles', 'kafka', 'postgres'] as const;
type Sample = Record<(typeof OF_A_SAMPLE)[number], number>;

/** The two processes of a variant. */
interface Running {
  readonly relay: number;
  readonly projector: number;
  stop(): Promise<void>;
}
interface Variant {
  readonly name: string;
  start(): Promise<Running>;
}

interface RolesOptions {
  /** The `main.ts` of another checkout. */
  readonly main?: string;
  readonly nodeFlags?: readonly string[];
  readonly roundMs?: string;
}

const roles = (pipeline: Pipeline, name: string, { roundMs, ...options }: RolesOptions = {}): Variant => ({
  name,
  async start() {
    const env = roundMs === undefined ? {} : { TC_ROUND_MS: roundMs };
    const relay = await pipeline.relay(`relay-${name}`, { ...options, env });
    const projector = await pipeline.projector(`projector-${name}`, options);
    return {
      relay: relay.pid,
      projector: projector.pid,
      stop: async () => {
        await projector.stop();
        await relay.stop();
      },
    };
  },
});

const scriptIn = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** The bare loops, as two processes. @param pace `never-rests`: what a change waits at least, at whatever cost */
const bare = (pipeline: Pipeline, ...pace: ['never-rests'] | []): Variant => ({
  name: ['bare', ...pace].join('-'),
  async start() {
    const start = async (script: string, ...its: string[]) => {
      const { command, args } = commandOf('', { main: scriptIn(script) });
      const child = spawn(command, [...args.slice(0, -1), pipeline.kafka.bootstrap, ...its], {
        env: { ...process.env, ...surroundings() } as NodeJS.ProcessEnv,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(child.stdout, 'data');
      return child;
    };
    const relay = await start('bare-relay.ts', pipeline.postgres.url('source'), ...pace);
    const projector = await start('bare-projector.ts', pipeline.postgres.url('gig'));
    return {
      relay: relay.pid!,
      projector: projector.pid!,
      stop: async () => {
        for (const child of [projector, relay]) {
          child.kill();
          await once(child, 'exit');
        }
      },
    };
  },
});

async function measure(
  pipeline: Pipeline,
  load: Load,
  variant: Variant,
  perSecond: number,
  seconds: number,
): Promise<Sample> {
  const running = await variant.start();
  try {
    await load.write(perSecond, ROLE_WARM_UP_SECONDS);
    const { cpu, p50, p99 } = await measureRate(pipeline, load, running, perSecond, seconds);
    const { relay, projector, kafka, postgres } = cpu;
    return { p50, p99, relay, projector, roles: relay + projector, kafka, postgres };
  } finally {
    await running.stop();
  }
}

const { values: flags } = parseArgs({
  options: {
    against: { type: 'string' },
    rates: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '15' },
    runs: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '' },
    least: { type: 'boolean', default: false },
    profile: { type: 'string' },
  },
});
/** What is divided by that of another variant in the same run, and what must not be more. */
const RATIOS = [
  { of: 'roles', to: 'against', most: 0.5 },
  { of: 'roles', to: 'bare', most: 1.5 },
  { of: 'kafka', to: 'against' },
  { of: 'postgres', to: 'against' },
  { of: 'p50', to: 'against' },
  { of: 'p99', to: 'against' },
] as const;
const UNITS: Readonly<Partial<Record<keyof Sample, string>>> = { p50: 'ms', p99: 'ms' };

const pipeline = await startPipeline();
try {
  await seedSellers(pipeline.source, SELLERS);
  const load = await openLoad(pipeline.postgres.url('source'), SELLERS);
  const profiled = flags.profile
    ? { nodeFlags: ['--cpu-prof', `--cpu-prof-dir=${flags.profile}`] }
    : undefined;
  const variants = [
    ...(flags.against ? [roles(pipeline, 'against', { main: mainOf(flags.against) })] : []),
    roles(pipeline, 'this', profiled),
    ...flags.rounds
      .split(',')
      .filter(Boolean)
      .map((roundMs) => roles(pipeline, `round-${roundMs}`, { roundMs })),
    bare(pipeline),
    ...(flags.least ? [bare(pipeline, 'never-rests')] : []),
  ];
  await measure(pipeline, load, variants[0]!, 1_000, WARM_UP_SECONDS);
  const rates = flags.rates.split(',').map(Number);
  const samples = new Map<string, Sample[]>();
  for (let run = 0; run < Number(flags.runs); run++) {
    for (const rate of rates) {
      for (const variant of inTurn(variants, run)) {
        const key = `${rate}/${variant.name}`;
        const sample = await measure(pipeline, load, variant, rate, Number(flags.seconds));
        process.stderr.write(`${key} ${OF_A_SAMPLE.map((of) => `${of} ${show(sample[of])}`).join(', ')}\n`);
        samples.set(key, [...(samples.get(key) ?? []), sample]);
      }
    }
  }
  const of = (rate: number, variant: string) => samples.get(`${rate}/${variant}`) ?? [];
  for (const rate of rates) {
    const figures: Figure[] = [];
    for (const { name } of variants) {
      for (const figure of OF_A_SAMPLE) {
        const values = of(rate, name).map((one) => one[figure]);
        figures.push({
          name: `${figure}, ${name}`,
          unit: UNITS[figure] ?? 's per 100,000',
          target: null,
          values,
        });
      }
    }
    for (const { of: figure, to, ...target } of RATIOS) {
      const others = of(rate, to);
      if (others.length === 0) continue;
      const values = of(rate, 'this').map((one, run) => one[figure] / others[run]![figure]);
      figures.push({
        name: `${figure}, this ÷ ${to}`,
        unit: '',
        target: 'most' in target && rate === 1_000 ? target : null,
        values,
      });
    }
    process.stdout.write(`\n${rate} events/s\n\n${table(figures)}\n`);
  }
  await load.close();
} finally {
  await pipeline.stop();
}
