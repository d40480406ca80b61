/**
 * `make bench-scale`: what grows with sellers, pages, shards, clients and rate, how long a view takes to be built, and
 * what a page server costs. `--only pages,build` measures some parts, `--points 1000000` some points of them; their
 * runs are added to the results that are there. `--fresh` forgets earlier runs of those points. `--quick` is a glance
 * into a file of its own, and leaves out the largest points.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { takeLock } from '../../services/local-stack/folder-lock.ts';
import { calibrateMachine, calibrationLine } from '../calibration.ts';
import { environment, serverVersions } from '../machine.ts';
import { prepareVegeta } from '../vegeta.ts';
import { AXES, measureAxes } from './axes.ts';
import { BUILD_SIZES, measureBuilds } from './build.ts';
import { measurePages, PAGE_RATES } from './page.ts';
import { AXIS_NAMES, type Axis, PROCESSES, type ScaleResults, valueAt, withRun } from './results.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
    only: { type: 'string' },
    points: { type: 'string' },
    seconds: { type: 'string' },
    out: { type: 'string' },
  },
});
/** A quick look takes the points up to this one. */
const QUICK: Readonly<Record<string, number>> = {
  rate: 500,
  sellers: 100_000,
  pages: 5,
  shards: 4,
  build: 30_000,
  page: 200,
};
const PARTS = ['machine', ...AXIS_NAMES, 'build', 'page'] as const;
type Part = (typeof PARTS)[number];

const refuse = (why: string): never => {
  process.stderr.write(`${why}\n`);
  process.exit(2);
};
const isPart = (name: string): name is Part => PARTS.some((one) => one === name);
const parts = (flags.only?.split(',') ?? [...PARTS]).map((name) =>
  isPart(name) ? name : refuse(`--only takes ${PARTS.join(', ')}, separated by commas`),
);
const wanted = flags.points?.split(',').map(Number);
const seconds = Number(flags.seconds ?? (flags.quick ? 3 : 8));
if (!(seconds >= 1) || wanted?.some((point) => !(point >= 1)))
  refuse('--points takes numbers, and --seconds one, from 1');
const pointsOf = (part: Part, all: readonly number[]) =>
  wanted ?? all.filter((point) => !flags.quick || point <= (QUICK[part] ?? Infinity));

const release = await takeLock(join(tmpdir(), 'top-clients-bench.lock'));
const file =
  flags.out ??
  fileURLToPath(new URL(`../results/scale/${flags.quick ? 'quick' : 'results'}.json`, import.meta.url));
mkdirSync(dirname(file), { recursive: true });
const described = environment(`node bench/scale/main.ts ${process.argv.slice(2).join(' ')}`.trim(), {
  ...serverVersions(),
  vegeta: await prepareVegeta(),
});
const whole = flags.only === undefined && wanted === undefined;
let results: ScaleResults =
  existsSync(file) && !whole
    ? (JSON.parse(readFileSync(file, 'utf8')) as ScaleResults)
    : { environment: described, calibrations: [], took: {}, axes: {}, builds: [], pages: [] };
const keep = (changes: Partial<ScaleResults>) => {
  results = { ...results, ...changes, environment: described };
  writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
};
const say = (text: string) => process.stderr.write(`${text}\n`);

async function measureSteady(axes: readonly Axis[]): Promise<void> {
  const wantedOf = axes.map((axis) => ({ axis, points: pointsOf(axis, AXES[axis].points) }));
  if (flags.fresh) {
    for (const { axis, points } of wantedOf) {
      const kept = (results.axes[axis] ?? []).filter(({ place }) => !points.includes(valueAt(axis, place)));
      keep({ axes: { ...results.axes, [axis]: kept } });
    }
  }
  await measureAxes(wantedOf, { seconds, quick: flags.quick }, (axis, place, run) => {
    keep({ axes: { ...results.axes, [axis]: withRun(results.axes[axis] ?? [], place, run) } });
    const micros = PROCESSES.map((process) => ((run.cpuSeconds[process] / run.events) * 1e6).toFixed(0));
    const { p50, p99 } = run.latencyMs;
    say(
      `  ${axis} ${valueAt(axis, place)}: µs an event of relay, projectors, Kafka, PostgreSQL of source and of pages ` +
        `${micros.join(', ')}; commit → visible p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms` +
        (run.writersLateMs > 100 ? `; writers up to ${run.writersLateMs.toFixed(0)} ms late` : ''),
    );
  });
}

async function measure(part: Exclude<Part, Axis>): Promise<void> {
  switch (part) {
    case 'machine': {
      const calibration = await calibrateMachine();
      say(`  ${calibrationLine(calibration)}`);
      return keep({ calibrations: [...(flags.fresh ? [] : results.calibrations), calibration] });
    }
    case 'build': {
      const sizes = pointsOf(part, BUILD_SIZES);
      if (flags.fresh) keep({ builds: results.builds.filter(({ place }) => !sizes.includes(place.sellers)) });
      return measureBuilds(sizes, (place, run) => {
        keep({ builds: withRun(results.builds, place, run) });
        say(`  ${place.sellers} sellers by ${place.projectors}: ${run.seconds.toFixed(2)} s`);
      });
    }
    case 'page': {
      const rates = pointsOf(part, PAGE_RATES);
      if (flags.fresh) keep({ pages: results.pages.filter(({ place }) => !rates.includes(place.perSecond)) });
      return measurePages(rates, { seconds, quick: flags.quick }, (place, run) => {
        keep({ pages: withRun(results.pages, place, run) });
        say(`  ${place.perSecond} renders/s: ${run.cores.toFixed(3)} cores, p99 ${run.latencyMs.p99} ms`);
      });
    }
  }
}

/** Twenty projectors would stand beside the other axes, so pages are measured by themselves. */
const isPages = (part: Part) => part === 'pages';
const isAxis = (part: Part): part is Axis => AXIS_NAMES.some((one) => one === part);
const shared = parts.filter(isAxis).filter((part) => !isPages(part));
const steps: readonly (readonly [name: string, work: () => Promise<void>])[] = [
  ...parts.flatMap((part): [string, () => Promise<void>][] =>
    isAxis(part) ? [] : [[part, () => measure(part)]],
  ),
  ...(shared.length > 0 ? [[shared.join(', '), () => measureSteady(shared)] as const] : []),
  ...(parts.some(isPages) ? [['pages', () => measureSteady(['pages'])] as const] : []),
];
for (const [name, work] of steps) {
  const startedAt = performance.now();
  say(`${name} …`);
  await work();
  const took = (performance.now() - startedAt) / 1_000;
  keep({ took: { ...results.took, [name]: took } });
  say(`  took ${took.toFixed(0)} s`);
}
await release();
