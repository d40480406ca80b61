/** One run: the system, its clients, fault after fault, and the promises judged after each round and at the end. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pause } from '#platform/lifecycle.ts';
import { randomFor } from '../../services/seed/random.ts';
import { changedByReplay, differences, disorder, notLinearizable, readSource, remembered } from './checks.ts';
import { type Clients, CONTENDED, startClients } from './clients.ts';
import { mountDisks } from './disks.ts';
import type { Fault } from './fault.ts';
import {
  badVisits,
  delayedByOthers,
  type Finding,
  lostWrites,
  stillAfterHealing,
  type ToBeTold,
  untold,
  wentBack,
} from './findings.ts';
import { acknowledged, type Operation, type Outcome, openHistory } from './history.ts';
import { type Round, rounds } from './schedule.ts';
import { isAlert, type SignalWatch, watchSignals } from './signals.ts';
import { stillness } from './silence.ts';
import { type ViewWatch, watchViews } from './view-watch.ts';
import { startVisitors, type Visit, type Visitors } from './visitors.ts';
import { type FaultWorld, PAGES_UNDER_FAULT, startWorld } from './world.ts';

export interface CampaignOptions {
  readonly seed: number;
  readonly faults: readonly Fault[];
  /** New rounds begin within this time; the last round and the judgement come on top. */
  readonly minutes: number;
  /** The folder of logs and the history; removed when nothing was found. */
  readonly folder: string;
  readonly main: string;
  /** Operations of all clients together. Default 60. */
  readonly perSecond?: number;
  /** Ends after the first round with a finding, for mutations. */
  readonly untilFirstFinding?: boolean;
  /** Each fault once, then the end, whatever the minutes. */
  readonly once?: boolean;
  /** I3 needs Go; false leaves it out. Default true. */
  readonly judgeLinearizability?: boolean;
  readonly log: (message: string) => void;
}

export interface Report {
  readonly seed: number;
  readonly findings: readonly Finding[];
  readonly rounds: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly operations: { readonly ok: number; readonly fail: number; readonly unknown: number };
  readonly visits: number;
  readonly erased: number;
  /** The longest time from healing until the views equalled the source, in ms. */
  readonly slowestCatchUpMs: number;
  readonly linearizability: string;
  readonly seconds: number;
}

/** How long roles and servers may take to be ready once their fault is healed. The 10 s of I4 begin after it. */
const READY_MS = 90_000;
/** A page's deadline is 1,000 ms by its own clock; this process shares two cores with everything that it disturbs. */
const LATEST_PAGE_MS = 2_500;
/** I9: how long a seller may wait while another seller's event cannot be applied. */
const LATEST_BESIDE_POISON_MS = 5_000;

/** @throws when the system itself cannot be started, or does not recover */
export async function runCampaign(options: CampaignOptions): Promise<Report> {
  const { seed, folder, log } = options;
  await mkdir(folder, { recursive: true });
  const disks = await mountDisks(folder, options.faults);
  let found = true;
  try {
    const world = await startWorld({ folder, main: options.main, log, dataDirs: disks.dataDirs });
    try {
      const report = await torment(world, options);
      found = report.findings.length > 0;
      await writeFile(join(folder, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
      return report;
    } finally {
      await world.stop();
    }
  } finally {
    disks.unmount();
    if (!found) await rm(folder, { recursive: true, force: true });
    else log(`logs and history of seed ${seed}: ${folder}`);
  }
}

async function torment(world: FaultWorld, options: CampaignOptions): Promise<Report> {
  const { seed, log } = options;
  const startedAt = performance.now();
  const history = openHistory(join(options.folder, 'history.jsonl'));
  const watch = watchViews(world);
  const signals = await watchSignals(world, options.faults);
  if (signals.withoutAlerts) log(`alerts are not judged: ${signals.withoutAlerts}`);
  const visitors = startVisitors(world, seed, 5);
  const clients = startClients(world, history, seed, options.perSecond ?? 60);
  const findings: Finding[] = [];
  const counts: Record<string, number> = {};
  let done = 0;
  let cameBack = true;
  let slowestCatchUpMs = 0;
  try {
    await pause(3_000);
    const endsAt = startedAt + options.minutes * 60_000;
    for (const round of rounds(seed, options.faults)) {
      if (options.once ? done >= options.faults.length : performance.now() > endsAt) break;
      done += 1;
      for (const { name } of round.faults) counts[name] = (counts[name] ?? 0) + 1;
      const names = round.faults.map(({ name }) => name).join(' + ');
      const begun = performance.now();
      const { toBeTold, unready } = await inflict(round, {
        world,
        clients,
        watch,
        visitors,
        signals,
        seed,
        number: done,
        log,
      });
      const healed = performance.now();
      if (unready !== null) {
        // All other checks need a working system.
        cameBack = false;
        findings.push({ promise: 'I10', what: `after healing ${names}: ${unready}` });
        log(`round ${done}: ${names}, never healed: ${unready}`);
        break;
      }
      const { findings: different, tookMs } = await differences(world);
      watch.mayGoBack = false;
      slowestCatchUpMs = Math.max(slowestCatchUpMs, tookMs);
      const silent = [...stillAfterHealing(await stillness(world)), ...untold(toBeTold())];
      findings.push(...different, ...silent);
      if (names === 'poison') findings.push(...besidePoison(history.operations, watch, begun, healed));
      log(
        `round ${done}: ${names}, ${seconds(healed - begun)} until healed, views equal after ${seconds(tookMs)}; ` +
          `meanwhile ${felt(history.operations, visitors.visits, watch, begun)}`,
      );
      for (const { what } of [...different, ...silent]) log(`round ${done}: ${what}`);
      if (options.untilFirstFinding && findings.length > 0) break;
    }
    await clients.rest();
    const last = cameBack ? await differences(world) : { findings: [] };
    findings.push(...last.findings);
    await visitors.rest();
    await watch.stop();
    await signals.stop();
    await history.close();
    const wasCompacted = options.faults.some(({ name, compacts }) => compacts && (counts[name] ?? 0) > 0);
    const judged = [
      badVisits(visitors.visits, LATEST_PAGE_MS),
      PAGES_UNDER_FAULT.flatMap((page) => wentBack(watch.sightings[page].stepsBack)),
    ].flat();
    findings.push(...judged);
    if (cameBack) {
      findings.push(
        ...lostWrites(history.operations, (await readSource(world)).log),
        ...(await disorder(world, wasCompacted)),
        ...(await remembered(world, clients.erased)),
        // Last of the checks on views: a failing replay would write into them.
        ...(findings.length > 0 ? [] : await changedByReplay(world)),
      );
    }
    let linearizability = 'not judged';
    if (options.judgeLinearizability ?? true) {
      const picture = join(options.folder, 'not-linearizable.html');
      const { findings: nonlinear, words } = await notLinearizable(history.file, picture, 120);
      findings.push(...nonlinear);
      linearizability = words;
    }
    const outcomes = (event: string) =>
      history.operations.filter(({ outcome }) => outcome?.event === event).length;
    return {
      seed,
      findings,
      rounds: done,
      faults: counts,
      operations: { ok: outcomes('ok'), fail: outcomes('fail'), unknown: outcomes('unknown') },
      visits: visitors.visits.length,
      erased: clients.erased.size,
      slowestCatchUpMs: Math.round(slowestCatchUpMs),
      linearizability,
      seconds: Math.round((performance.now() - startedAt) / 1_000),
    };
  } finally {
    await Promise.all([clients.rest(), visitors.rest(), watch.stop(), signals.stop()]);
  }
}

interface Scene {
  readonly world: FaultWorld;
  readonly clients: Clients;
  readonly watch: ViewWatch;
  readonly visitors: Visitors;
  readonly signals: SignalWatch;
  readonly seed: number;
  readonly number: number;
  readonly log: (message: string) => void;
}

/** A scrape, an evaluation and a look: a sign that was due at the healing may be seen this much later. */
const TOLD_LATE_MS = 3_000;

/**
 * Injects the faults of a round, one shortly after the other, holds them, and heals all.
 * @returns what had to be signalled, and which roles did not become ready again
 */
async function inflict(
  { faults, holdMs }: Round,
  scene: Scene,
): Promise<{ toBeTold: () => ToBeTold[]; unready: string | null }> {
  const { world, clients, watch, visitors, signals, seed, number, log } = scene;
  const random = randomFor('round', number, seed);
  const kinds = faults.map(({ pages }) => pages);
  visitors.meanwhile = kinds.includes('may be gone')
    ? 'may be gone'
    : kinds.includes('answer or refuse')
      ? 'answer or refuse'
      : 'answer';
  if (faults.some(({ viewMayGoBack }) => viewMayGoBack)) watch.mayGoBack = true;
  const heals: Array<() => Promise<unknown>> = [];
  const injected = new Map<Fault, number>();
  for (const fault of faults) {
    try {
      heals.push(await fault.inject({ world, clients, random, log }));
      injected.set(fault, performance.now());
    } catch (err) {
      // In a combination another fault may prevent it; the roles recover from what was done of it.
      if (faults.length === 1) throw err;
      log(`${fault.name} could not be injected: ${(err as Error).message}`);
    }
    await pause(random.integer(0, 700));
  }
  await pause(holdMs);
  // In the order of the faults: one healing may need an earlier one.
  const healing = performance.now();
  for (const heal of heals) await heal();
  const unready = await world.untilReady(READY_MS).then(
    () => null,
    (err: Error) => err.message,
  );
  visitors.meanwhile = 'answer';
  const toBeTold = () =>
    [...injected].flatMap(([{ name, signal }, since]): ToBeTold[] => {
      if (!signal || (signals.withoutAlerts !== null && signal.anyOf.some(isAlert))) return [];
      const seen = signals.seenBetween(since, healing + TOLD_LATE_MS);
      const told = signal.anyOf.filter((sign) => seen.has(sign));
      log(`round ${number}: ${name} was told by ${told.join(', ') || 'nothing'}`);
      return [{ fault: name, lastedMs: healing - since, ...signal, seen }];
    });
  return { toBeTold, unready };
}

function besidePoison(
  operations: readonly Operation[],
  watch: ViewWatch,
  from: number,
  to: number,
): Finding[] {
  const beside = acknowledged(operations).filter(
    ({ seller, until }) =>
      seller <= CONTENDED.last && until > from && until < to - LATEST_BESIDE_POISON_MS / 2,
  );
  return PAGES_UNDER_FAULT.flatMap((page) =>
    delayedByOthers(
      page,
      beside.map(({ seller, version, until }) => {
        const visibleAt = watch.sightings[page].visibleAt(seller, version);
        return { seller, version, ms: visibleAt === null ? null : visibleAt - until };
      }),
      LATEST_BESIDE_POISON_MS,
    ),
  );
}

/** What clients noticed of a round: a fault that nobody notices may not have happened. */
function felt(
  operations: readonly Operation[],
  visits: readonly Visit[],
  watch: ViewWatch,
  from: number,
): string {
  const recent = operations.filter((one) => one.from >= from);
  const undone = recent.filter(({ outcome }) => outcome?.event === 'unknown' || isRefusedByFault(outcome));
  const waits = acknowledged(recent).flatMap(({ seller, version, until }) =>
    PAGES_UNDER_FAULT.flatMap((page) => {
      const visibleAt = watch.sightings[page].visibleAt(seller, version);
      return visibleAt === null ? [] : [visibleAt - until];
    }),
  );
  const without = visits.filter(({ at, outcome }) => at >= from && outcome !== 'full');
  return (
    `${undone.length} of ${recent.length} operations not done, writes visible after ${seconds(Math.max(0, ...waits))} ` +
    `at most, ${without.length} pages without brands`
  );
}

const isRefusedByFault = (outcome: Outcome | null) =>
  outcome?.event === 'fail' && outcome.reason === 'connection refused';

const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
