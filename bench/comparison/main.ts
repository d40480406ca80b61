/**
 * `make bench`: compares the deliveries. See `--help` for the flags (options.ts) and README.md for the meaning of each
 * figure. Writes one JSON file per run, results.json with everything, tables and plots.
 */

import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PageName } from '#contracts/pages.ts';
import { Locked, takeLock } from '../../services/local-stack/folder-lock.ts';
import { environment, loadAverages, serverVersions } from '../machine.ts';
import { prepareVegeta } from '../vegeta.ts';
import { measureAtRate, measureSaturation, pathsFor } from './measure.ts';
import { type ComparisonOptions, OptionsRefused, readOptions, USAGE } from './options.ts';
import { estimateSeconds, plan } from './plan.ts';
import { writeReport } from './report-files.ts';
import type { Results, Run } from './results.ts';
import { type BenchWorld, startWorld } from './world.ts';
import { openWriter } from './writes.ts';

const DEFAULT_OUT = fileURLToPath(new URL('../results/comparison', import.meta.url));
const say = (text: string) => process.stderr.write(`${text}\n`);

class Refused extends Error {
  override readonly name = 'Refused';
}

/** @throws Refused, with a sentence for people, when a folder cannot be written to */
function writable(folder: string): string {
  try {
    // One folder at a time: below /proc, a recursive mkdir never returns (Node 24).
    const missing: string[] = [];
    for (let one = join(folder, 'runs'); !existsSync(one); one = dirname(one)) missing.unshift(one);
    for (const one of missing) mkdirSync(one);
    accessSync(folder, constants.W_OK);
    return folder;
  } catch (cause) {
    throw new Refused(
      `results cannot be written to ${folder} (${(cause as NodeJS.ErrnoException).code}): choose another folder with --out`,
      { cause },
    );
  }
}

function lookAtLoad(accept: boolean): void {
  const [load] = loadAverages();
  const cores = cpus().length;
  if (load! <= 0.5 * cores) return;
  say(
    `The machine is busy: load ${load} on ${cores} cores before anything was started. The results will say so.` +
      (accept
        ? ''
        : ' For figures to keep, stop what runs beside and start again; --accept-busy silences this.'),
  );
}

/** Half of what the slowest variant of each page can serve: a rate that all variants can sustain. */
async function ratesOf(
  world: BenchWorld,
  options: ComparisonOptions,
  paths: ReadonlyMap<PageName, readonly string[]>,
  folder: string,
): Promise<Map<PageName, number>> {
  const rates = new Map<PageName, number>();
  for (const page of options.pages) {
    let slowest = Number.POSITIVE_INFINITY;
    for (const variant of options.variants) {
      // The first pass warms up, the second counts.
      const seconds = Math.max(1, Math.round(options.saturationSeconds / 2));
      const asked = { page, variant };
      await measureSaturation(world, asked, paths.get(page)!, seconds, folder);
      if (options.rate !== null) continue;
      slowest = Math.min(slowest, await measureSaturation(world, asked, paths.get(page)!, 1, folder));
    }
    rates.set(page, options.rate ?? Math.max(1, Math.round(slowest / 2)));
  }
  return rates;
}

async function compare(options: ComparisonOptions): Promise<void> {
  const out = writable(resolve(options.out));
  lookAtLoad(options.acceptBusy);
  say(`about ${Math.ceil(estimateSeconds(options) / 60)} minutes; results in ${out}`);
  const vegeta = await prepareVegeta();
  const command = `node bench/comparison/main.ts ${process.argv.slice(2).join(' ')}`;
  const described = environment(command.trim(), { ...serverVersions(), vegeta });
  const runs: Run[] = [];
  const bytes: Results['bytes'][number][] = [];
  const raw = join(out, 'raw');

  for (const share of options.shares) {
    say(`${share} % of the visits meet clients: starting PostgreSQL, Kafka and the roles`);
    const world = await startWorld({ ...options, share: share / 100, log: say });
    const writer = openWriter(world.postgres.url('source'));
    try {
      bytes.push({ share, sellersWithClients: world.withClients.length, tables: await world.bytes() });
      const paths = new Map(
        options.pages.map((page) => [page, pathsFor(world, page, options.seed)] as const),
      );
      const rest = writer.keepWriting(world.withClients, options.writesPerSecond, options.seed);
      const rates = await ratesOf(world, options, paths, raw);
      say(`rates: ${[...rates].map(([page, rate]) => `${page} ${rate}/s`).join(', ')}`);
      for (const leg of plan(options, share)) {
        const heal = await world.bringAbout(leg.condition);
        for (const { page, variant } of leg.visits) {
          const what = { page, variant, condition: leg.condition, round: leg.round, share };
          const load = { paths: paths.get(page)!, rate: rates.get(page)!, seconds: options.seconds };
          const atRate = await measureAtRate(world, writer, what, load, raw);
          const saturationPerSecond =
            leg.condition === 'healthy'
              ? await measureSaturation(world, what, load.paths, options.saturationSeconds, raw)
              : null;
          const run: Run = { ...atRate, saturationPerSecond };
          runs.push(run);
          const name = `${String(runs.length).padStart(4, '0')}-${share}-${page}-${variant}-${leg.condition}-${leg.round}.json`;
          await writeFile(join(out, 'runs', name), `${JSON.stringify(run, null, 2)}\n`);
          say(
            `round ${leg.round} ${leg.condition} ${page} ${variant}: p50 ${run.latencyMs.p50.toFixed(1)} p99 ${run.latencyMs.p99.toFixed(1)} ms, ` +
              `full ${(run.outcomes.full * 100).toFixed(0)} %, ${run.callsPerRender.toFixed(2)} calls` +
              (saturationPerSecond === null ? '' : `, ${saturationPerSecond.toFixed(0)}/s`),
          );
        }
        await heal();
      }
      await rest();
    } finally {
      await writer.close();
      await world.stop();
    }
    // The results so far are kept even when a later part fails.
    const { out: _, ...shaping } = options;
    await writeReport(out, { environment: described, options: shaping, runs, bytes });
  }
  say(`results, tables and plots: ${out}`);
}

async function main(): Promise<number> {
  if (process.argv.includes('--help')) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  try {
    const options = readOptions(process.argv.slice(2), DEFAULT_OUT);
    const release = await takeLock(join(tmpdir(), 'top-clients-bench.lock'));
    try {
      await compare(options);
    } finally {
      await release();
    }
    return 0;
  } catch (err) {
    if (err instanceof OptionsRefused) say(`${err.message}\n\n${USAGE}`);
    else if (err instanceof Locked)
      say(`another bench runs, and two would measure each other: ${err.message}`);
    else if (err instanceof Refused) say(err.message);
    else throw err;
    return 2;
  }
}

process.exitCode = await main();
