/**
 * What roles cost while nothing happens, how soon the first event after a rest is visible, and the floor: what everything
 * costs at one event a minute; interleaved with another checkout:
 * `node bench/idle.ts [--against <checkout>] [--sources] [--only projector-gig,outbox-relay] [--runs 5] [--window 20]
 * [--rest 60] [--floor 60] [--canary 0] [--quick] [--keep]`.
 *
 * All roles run on one system, as in the image (`bench/start.ts`), and have had something to do when they come to rest. They
 * settle for `--settle` seconds; their CPU is that of `--window` seconds. The event comes `--rest` seconds after the last
 * one; the floor is that of `--floor` seconds from then on, 0 leaves it out.
 * `--keep` keeps the figures for docs/scale.md, into which `make bench-report` puts them.
 * `--canary` is how often the source changes its synthetic seller, in ms; a source that does so is never idle.
 */
import { writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type LocalSystem, startLocalSystem } from '../services/local-stack/local-system.ts';
import type { ManagedProcess } from '../services/local-stack/process.ts';
import { describeSystem, type RoleProcess } from '../services/local-stack/system.ts';
import { type Checkout, describeAll, openCheckouts, ROLE_NAMES, startRole, WHOLE } from './all-roles.ts';
import { inTurn } from './checkout.ts';
import { type Load, openLoad, seedSellers } from './load.ts';
import { environment, serverVersions } from './machine.ts';
import { observeView } from './observer.ts';
import { type Figure, table } from './report.ts';
import { FLOOR, FLOOR_FILE, type FloorResults } from './scale/floor.ts';
import { cpuOfThreads, cpuOfTree, memoryOf, wakeUpsOf } from './usage.ts';

const SELLERS = 1_000;
/** What roles have to do before they come to rest. */
const [PER_SECOND, BUSY_SECONDS] = [100, 5];
/** Of a core, in %. */
const MOST_CPU: Readonly<Record<string, number>> = {
  'outbox-relay': 0.5,
  'projector-gig': 0.5,
  operator: 0.5,
  gig: 0.2,
  user: 0.2,
  search: 0.2,
  'seller-portal': 0.2,
};
const VISIBLE_MS = 10;

const { values: flags } = parseArgs({
  options: {
    against: { type: 'string' },
    sources: { type: 'boolean', default: false },
    only: { type: 'string' },
    runs: { type: 'string', default: '5' },
    settle: { type: 'string', default: '15' },
    window: { type: 'string', default: '20' },
    rest: { type: 'string', default: '60' },
    floor: { type: 'string', default: '60' },
    canary: { type: 'string', default: '0' },
    quick: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
const described = environment(
  `node bench/idle.ts ${process.argv.slice(2).join(' ')}`.trim(),
  serverVersions(),
);
const settleSeconds = Number(flags.settle);
const windowSeconds = Number(flags.window);
const restSeconds = flags.quick ? 0 : Number(flags.rest);
const floorSeconds = flags.quick ? 0 : Number(flags.floor);
const names = flags.only ? ROLE_NAMES.filter((name) => flags.only!.split(',').includes(name)) : ROLE_NAMES;
const isEventSeen = ['outbox-relay', 'projector-gig'].every((name) => names.includes(name as never));

const figures = new Map<string, { readonly figure: Omit<Figure, 'values'>; readonly values: number[] }>();
function note(name: string, unit: string, value: number, most?: number): void {
  const key = `${name}|${unit}`;
  const target = most === undefined || !name.endsWith(', this') ? null : { most };
  if (!figures.has(key)) figures.set(key, { figure: { name, unit, target }, values: [] });
  figures.get(key)!.values.push(value);
}

/** @returns a function that gives the CPU since then, in % of a core */
function watchCpu(cpuMs: () => number): () => number {
  const [at, before] = [performance.now(), cpuMs()];
  return () => (100 * (cpuMs() - before)) / (performance.now() - at);
}

/** Writes an event. @returns after how many ms it was visible */
async function seeOne(local: LocalSystem, load: Load): Promise<number> {
  const observer = await observeView({ pagesPostgres: local.postgres.pages });
  await load.write(1, 1, observer.expect);
  const [seen] = await observer.finish();
  return seen!.visibleAt - seen!.at;
}

async function measure(
  local: LocalSystem,
  load: Load,
  checkout: Checkout,
  all: ReadonlyMap<string, RoleProcess>,
): Promise<void> {
  const running: ManagedProcess[] = [];
  try {
    for (const name of names)
      running.push(local.keep((await startRole(checkout, all.get(name)!, local.folder)).process));
    if (isEventSeen) {
      note(`commit → visible, ${checkout.name}`, FLOOR.afterStart, await seeOne(local, load));
      await load.write(PER_SECOND, BUSY_SECONDS);
    }
    const startedAt = performance.now();
    await delay(settleSeconds * 1_000);

    const idle = running.map(({ name, pid }) => ({
      ...{ name, pid, wakeUps: wakeUpsOf(pid) },
      cpu: watchCpu(() => cpuOfThreads(pid)),
    }));
    await delay(windowSeconds * 1_000);
    for (const { name, pid, cpu, wakeUps } of idle) {
      const of = `${name}, ${checkout.name}`;
      note(of, FLOOR.idleCpu, cpu(), MOST_CPU[name]);
      note(of, FLOOR.wakeUps, (wakeUpsOf(pid) - wakeUps) / windowSeconds);
      note(of, FLOOR.idleMemory, memoryOf(pid).rss, 90);
    }
    if (!isEventSeen) return;

    await delay(Math.max(0, startedAt + restSeconds * 1_000 - performance.now()));
    const floor = [
      ...running.map(({ name, pid }) => ({ name, pid, cpu: watchCpu(() => cpuOfThreads(pid)) })),
      ...[{ name: 'kafka', pid: local.kafka.pid, cpu: watchCpu(() => cpuOfThreads(local.kafka.pid)) }],
    ];
    const postgres = watchCpu(() => 1_000 * cpuOfTree(local.postgres.source.pid));
    const ms = await seeOne(local, load);
    note(`commit → visible, ${checkout.name}`, FLOOR.afterRest, ms, VISIBLE_MS);
    if (floorSeconds === 0) return;
    await delay(floorSeconds * 1_000);
    for (const { name, pid, cpu } of floor) {
      note(`${name}, ${checkout.name}`, FLOOR.floorCpu, cpu());
      note(`${name}, ${checkout.name}`, FLOOR.floorMemory, memoryOf(pid).rss);
    }
    note(`postgres, ${checkout.name}`, FLOOR.floorCpu, postgres());
  } finally {
    await Promise.all(running.map((one) => one.stop()));
  }
}

await startLocalSystem({}, async (local) => {
  await local.prepare(describeSystem(WHOLE, local.addresses));
  const source = local.pool('source', { maximum: 4 });
  await seedSellers(source, SELLERS);
  const load = await openLoad(local.postgres.source.url('source'), SELLERS);
  local.keep({ stop: () => load.close() });
  // A view that lacks some has a watch that repairs, and is never at rest.
  await load.writeEach();
  const all = await describeAll(local, { 'top-clients': { TC_CANARY_INTERVAL_MS: flags.canary } });
  const checkouts = await openCheckouts(flags, local.folder);
  // The first start of each compiles its code and keeps it.
  for (const checkout of checkouts) {
    for (const name of names) await (await startRole(checkout, all.get(name)!, local.folder)).process.stop();
  }
  for (let run = 0; run < Number(flags.runs); run++)
    for (const checkout of inTurn(checkouts, run)) await measure(local, load, checkout, all);
  await local.stop();
});
const rows = [...figures.values()].map(({ figure, values }): Figure => ({ ...figure, values }));
process.stdout.write(`${table(rows.sort((a, b) => a.unit.localeCompare(b.unit)))}\n`);
if (flags.keep) {
  const figures = rows.filter(({ name }) => name.endsWith(', this'));
  const kept: FloorResults = { environment: described, figures };
  await writeFile(FLOOR_FILE, `${JSON.stringify(kept, null, 1)}\n`);
}
