/**
 * How soon each role is ready after its process was spawned, with its code compiled before, and what it holds in memory once
 * idle, interleaved with another checkout, or with the same roles from their sources:
 * `node bench/start.ts [--against <checkout>] [--sources] [--only relay,operator] [--runs 5] [--idle 15]`.
 *
 * The roles run as in the image: from what `generate/bundle.ts` lays out. Those of a checkout without it run from their sources.
 * One role starts at a time, once those before it are at rest: what they do after they are ready is no part of it. The
 * memory is that of all roles at once, `--idle` seconds after the last was ready; 0 leaves it out. Pages of a file that
 * several of them map are counted in each role's RSS, and divided among them in the PSS.
 */
import { parseArgs } from 'node:util';
import { startLocalSystem } from '../services/local-stack/local-system.ts';
import type { ManagedProcess } from '../services/local-stack/process.ts';
import { describeSystem } from '../services/local-stack/system.ts';
import { until } from '../services/local-stack/until.ts';
import { type Checkout, describeAll, openCheckouts, ROLE_NAMES, startRole, WHOLE } from './all-roles.ts';
import { inTurn } from './checkout.ts';
import { type Figure, table } from './report.ts';
import { cpuOfThreads, memoryOf } from './usage.ts';

const ROLE_READY_MS = 350;
const OPERATOR_READY_MS = 700;
const MEMORY_MB = 90;
/** At rest: all roles together take a tenth of a core at most, over this long. */
const AT_REST = { share: 0.1, overMs: 150, withinMs: 10_000 };

const { values: flags } = parseArgs({
  options: {
    against: { type: 'string' },
    sources: { type: 'boolean', default: false },
    only: { type: 'string' },
    runs: { type: 'string', default: '5' },
    idle: { type: 'string', default: '15' },
  },
});
const names = flags.only ? ROLE_NAMES.filter((name) => flags.only!.split(',').includes(name)) : ROLE_NAMES;

async function untilAtRest(running: readonly ManagedProcess[]): Promise<void> {
  const used = () => running.reduce((sum, { pid }) => sum + cpuOfThreads(pid), 0);
  let before = Number.NEGATIVE_INFINITY;
  const isAtRest = () => {
    const now = used();
    const since = now - before;
    before = now;
    return since <= AT_REST.share * AT_REST.overMs;
  };
  await until('the roles are at rest', isAtRest, AT_REST.withinMs, AT_REST.overMs);
}

const seen = new Map<string, number[]>();
const note = (name: string, unit: string, value: number) => {
  const key = `${name}|${unit}`;
  seen.set(key, [...(seen.get(key) ?? []), value]);
};

await startLocalSystem({}, async (local) => {
  await local.prepare(describeSystem(WHOLE, local.addresses));
  const all = await describeAll(local);
  const checkouts = await openCheckouts(flags, local.folder);
  const startAll = async (checkout: Checkout, measured: boolean): Promise<void> => {
    const running: ManagedProcess[] = [];
    for (const name of names) {
      await untilAtRest(running);
      const { process, readyMs } = await startRole(checkout, all.get(name)!, local.folder);
      running.push(local.keep(process));
      if (measured) note(`${name}, ${checkout.name}`, 'ready, ms', readyMs);
    }
    if (measured && Number(flags.idle) > 0) {
      await new Promise((resolve) => setTimeout(resolve, Number(flags.idle) * 1_000));
      for (const { name, pid } of running) {
        const { rss, pss } = memoryOf(pid);
        note(`${name}, ${checkout.name}`, 'RSS, MB', rss);
        note(`${name}, ${checkout.name}`, 'PSS, MB', pss);
      }
    }
    await Promise.all(running.map((one) => one.stop()));
  };
  // The first start of each compiles its code and keeps it.
  for (const checkout of checkouts) await startAll(checkout, false);
  for (let run = 0; run < Number(flags.runs); run++)
    for (const checkout of inTurn(checkouts, run)) await startAll(checkout, true);
  await local.stop();
});

const targetOf = (name: string, unit: string): Figure['target'] => {
  if (!name.endsWith(', this') || unit.startsWith('PSS')) return null;
  if (unit.startsWith('RSS')) return { most: MEMORY_MB };
  return { most: name.startsWith('operator') ? OPERATOR_READY_MS : ROLE_READY_MS };
};
const figures = [...seen]
  .map(([key, values]): Figure => {
    const [name, unit] = key.split('|') as [string, string];
    return { name, unit, target: targetOf(name, unit), values };
  })
  .sort((a, b) => a.unit.localeCompare(b.unit));
process.stdout.write(`${table(figures)}\n`);
