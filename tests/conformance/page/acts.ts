/** The acts of a trial: each does something to the page and brings home what was seen. `rules.ts` judges. */
import { HEADERS } from '#contracts/delivery.ts';
import { pause } from '#platform/lifecycle.ts';
import { HOSTILE_TEXTS } from '../../support/hostile-texts.ts';
import { lookInBrowser } from './browser.ts';
import { MarketUnusable } from './market.ts';
import {
  type BrowserSaw,
  claimsMinVersion,
  type DatabaseFault,
  type DatabaseSeen,
  type ErasureSeen,
  type ForwardSeen,
  type HeadersSeen,
  type MetricsSeen,
  type MinVersionSeen,
  markerOf,
  newestIn,
  type SourceFault,
  type SourceSeen,
  saysItIsBehind,
  type Visit,
  type VisitUnderFault,
  type WriteSeen,
} from './rules.ts';
import type { Shelf, Stage } from './stage.ts';

const SETTLE_MS = 300;

// ------------------------------------------------------------------------------------------ while all is well

const WRITES = 5;

/** Writes and looks; the page was asked before each write, so that a cache has the list of before. */
export async function writeAndLook(stage: Stage, shelf: Shelf): Promise<WriteSeen[]> {
  const seen: WriteSeen[] = [];
  for (let i = 0; i < WRITES; i++) {
    await stage.visit(shelf.sellerId);
    await stage.rename(shelf);
    seen.push(await stage.awaited(shelf));
    if (seen.at(-1)!.afterMs === null) break;
  }
  return seen;
}

/** What the answers say beside the page, once it shows what the source has. */
export async function readHeaders(stage: Stage, shelf: Shelf): Promise<HeadersSeen[]> {
  const { last, afterMs } = await stage.awaited(shelf);
  if (afterMs === null) return [];
  const list = (await stage.market.lists([shelf.sellerId])).get(shelf.sellerId);
  const visits = [last, await stage.visit(shelf.sellerId)];
  return visits.map((visit) => ({
    visit,
    version: shelf.version,
    // Its own clock may be another; the rule allows for that.
    ageMs: Date.now() - (performance.now() - visit.at) - (list?.committedAt ?? 0),
  }));
}

const COUNTED_VISITS = 10;
const SIDE_CALL_MS = 5_000;

/** @returns a sentence where the metrics cannot be read */
export async function countVisits(stage: Stage, shelf: Shelf, url: string): Promise<MetricsSeen | string> {
  const read = async () => {
    const answer = await fetch(url, { signal: AbortSignal.timeout(SIDE_CALL_MS) });
    if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
    return answer.text();
  };
  try {
    const before = await read();
    let visits = 0;
    for (let i = 0; i < COUNTED_VISITS; i++) {
      const { status, headers } = await stage.visit(shelf.sellerId);
      const outcome = headers[HEADERS.outcome.toLowerCase()] ?? 'full';
      if (status === 200 && outcome === 'full') visits += 1;
    }
    // An answer is counted a moment after it was sent.
    await pause(SETTLE_MS);
    return { before, after: await read(), visits };
  } catch (err) {
    const { message, cause } = err as Error;
    return `${url} cannot be read: ${cause instanceof Error ? cause.message : message}`;
  }
}

const NOBODY_HAS = 1_000_000;
const TRIES = 5;

/** @returns null where the page does not claim it */
export async function askForVersions(stage: Stage, shelf: Shelf): Promise<MinVersionSeen | null> {
  const byHeader = claimsMinVersion(await stage.visit(shelf.sellerId));
  if (!byHeader && !stage.claimsMinVersion) return null;
  const own: MinVersionSeen['own'][number][] = [];
  for (let i = 0; i < WRITES; i++) {
    await stage.rename(shelf);
    const { sellerId, n, version } = shelf;
    // At once: mostly the page cannot have it yet.
    own.push({ n, version, visit: await askForVersion(stage, sellerId, version, byHeader && i % 2 === 1) });
  }
  const version = shelf.version + NOBODY_HAS;
  const beyond: MinVersionSeen['beyond'][number][] = [];
  for (const isInHeader of byHeader ? [false, true] : [false]) {
    let visit = await askForVersion(stage, shelf.sellerId, version, isInHeader);
    // The source may be too slow once; while it cannot be asked, stale is all that can be said.
    for (let i = 0; i < TRIES && saysItIsBehind(visit); i++) {
      await pause(SETTLE_MS);
      visit = await askForVersion(stage, shelf.sellerId, version, isInHeader);
    }
    beyond.push({ version, visit });
  }
  return { own, beyond };
}

const askForVersion = (stage: Stage, sellerId: number, version: number, byHeader: boolean) =>
  stage.visit(
    sellerId,
    byHeader
      ? { headers: { [HEADERS.minVersion.toLowerCase()]: String(version) } }
      : { query: `minVersion=${version}` },
  );

const VERSIONS = 16;
const WRITE_EVERY_MS = 200;
const READERS = 2;

/** Readers ask all the time while versions are written one after the other. */
export async function readWhileWriting(stage: Stage, sellerId: number): Promise<ForwardSeen> {
  const shelf = await stage.shelve(sellerId);
  await stage.awaited(shelf);
  const visits: Visit[] = [];
  let isOver = false;
  const readers = Array.from({ length: READERS }, async () => {
    while (!isOver) {
      visits.push(await stage.visit(sellerId));
      await pause(LOOK_EVERY_MS);
    }
  });
  try {
    for (let i = 0; i < VERSIONS; i++) {
      await stage.rename(shelf);
      await pause(WRITE_EVERY_MS);
    }
  } finally {
    isOver = true;
    await Promise.all(readers);
  }
  return { visits, written: VERSIONS + 1 };
}

const LOOK_EVERY_MS = 20;

/**
 * Gives a seller hostile names and looks at the page in a browser.
 * @returns a sentence where there is no browser
 */
export async function lookAtHostileNames(
  stage: Stage,
  usual: number,
  sellerId: number,
): Promise<BrowserSaw | string> {
  const shelf = await stage.shelve(sellerId);
  for (const name of HOSTILE_TEXTS) {
    await stage.add(sellerId, { name, industry: name, description: name });
  }
  // Written last: a page that shows it has the others.
  await stage.rename(shelf);
  await stage.awaited(shelf);
  try {
    return await lookInBrowser(stage.page(usual), stage.page(sellerId), sellerId);
  } catch (err) {
    return (err as Error).message.split('\n')[0]!;
  }
}

const STAYS_AWAY_MS = 6_000;
const LOOK_AGAIN_EVERY_MS = 250;

/** Looks for an erased name. */
export interface Watch {
  /** Looks until it has surely been away for a while, or was there for too long. */
  end(): Promise<ErasureSeen>;
}

/**
 * Erases a seller whose name the page shows, and looks for it until told to end.
 * @returns a sentence where it could not be erased
 */
export async function eraseAndWatch(stage: Stage, goneMs: number): Promise<Watch | string> {
  const { erasable: sellerId } = stage;
  if (sellerId === null) {
    return 'every seller has clients of their own, and those are not erased: name a seller without any by SELLERS';
  }
  stage.log(`erases seller ${sellerId}, who had no clients`);
  const shelf = await stage.shelve(sellerId);
  if ((await stage.awaited(shelf)).afterMs === null) return 'the page did not show the name before';
  try {
    await stage.market.erase(sellerId);
  } catch (err) {
    if (err instanceof MarketUnusable) return err.message;
    throw err;
  }
  const at = performance.now();
  const visits: Visit[] = [];
  let isOver = false;
  const looking = (async () => {
    let goneAt: number | null = null;
    let hasComeBack = false;
    const isDone = () =>
      isOver && performance.now() - (goneAt ?? at) > (goneAt === null ? goneMs : STAYS_AWAY_MS);
    while (!isDone()) {
      const visit = await stage.visit(sellerId);
      visits.push(visit);
      if (visit.status === 200 && newestIn(visit.text, stage.run) === null) goneAt ??= visit.at;
      if (goneAt !== null && !hasComeBack && performance.now() - goneAt > STAYS_AWAY_MS / 3) {
        hasComeBack = true;
        // A page that adds the new list to what it kept would show both.
        await stage.shelve(sellerId);
      }
      await pause(goneAt === null ? LOOK_EVERY_MS : LOOK_AGAIN_EVERY_MS);
    }
    return { sellerId, erased: shelf.n, at, visits };
  })();
  // Whoever ends it gets what went wrong.
  looking.catch(() => {});
  return {
    end() {
      isOver = true;
      return looking;
    },
  };
}

// ------------------------------------------------------------------------------------------ while something is down

const SOURCE_FAULTS: readonly (readonly [SourceFault, lastsMs: number])[] = [
  ['dead', 4_000],
  ['slow', 2_500],
  ['silent', 2_000],
  ['answering 500', 2_500],
];
const COLD_PER_FAULT = 2;
const VISIT_EVERY_MS = 150;

/** @param asks whether to ask for a version that the page does not have, while the source is dead */
export async function breakSource(stage: Stage, shelf: Shelf, asks: boolean): Promise<SourceSeen> {
  const proxy = stage.sourceProxy!;
  const warm = [shelf.sellerId, markerOf(stage.run, shelf.n)] as const;
  await stage.awaited(shelf);
  const visits: VisitUnderFault[] = [];
  const unknown: SourceSeen['unknown'][number][] = [];
  for (const [index, [fault, lastsMs]] of SOURCE_FAULTS.entries()) {
    stage.log(`the source is ${fault} for ${lastsMs / 1_000} s`);
    await proxy.be(fault);
    const until = performance.now() + lastsMs;
    // Of some nobody has asked before, so that no cache has them.
    const asked = [warm, ...stage.cold.slice(index * COLD_PER_FAULT, (index + 1) * COLD_PER_FAULT)];
    await Promise.all(
      asked.map(async ([sellerId, expected]) => {
        while (performance.now() < until) {
          visits.push({ fault, isWell: true, expected, visit: await stage.visit(sellerId) });
          await pause(VISIT_EVERY_MS);
        }
      }),
    );
    if (asks && fault === 'dead') {
      const version = shelf.version + NOBODY_HAS;
      unknown.push({ version, visit: await askForVersion(stage, shelf.sellerId, version, false) });
    }
    await proxy.be('well');
  }
  const shownWhenWell = new Set<number>();
  for (const [sellerId, text] of [warm, ...stage.cold]) {
    if ((await stage.visit(sellerId)).text.includes(text)) shownWhenWell.add(sellerId);
  }
  return { visits, unknown, shownWhenWell };
}

const DATABASE_FAULT_MS = 2_000;
/** Visits at once: more than a page has connections, so that some wait. */
const CROWD = 12;
const RECOVERS_MS = 15_000;

export async function breakDatabase(stage: Stage, shelf: Shelf): Promise<DatabaseSeen> {
  const { databaseProxy, sourceProxy } = stage;
  const sellers = [shelf.sellerId, ...stage.cold.map(([sellerId]) => sellerId)];
  const visits: VisitUnderFault[] = [];
  const faults: readonly DatabaseFault[] = [
    'refusing connections',
    'silent',
    ...(sourceProxy === null ? [] : (['silent, and the source too'] as const)),
  ];
  let recoveredMs: number | null = 0;
  for (const fault of faults) {
    stage.log(`the page's database is ${fault} for ${DATABASE_FAULT_MS / 1_000} s`);
    await databaseProxy!.be(fault === 'refusing connections' ? fault : 'silent');
    if (fault === 'silent, and the source too') await sourceProxy!.be('silent');
    const until = performance.now() + DATABASE_FAULT_MS;
    do {
      const crowd = Array.from({ length: CROWD }, (_, i) => stage.visit(sellers[i % sellers.length]!));
      for (const visit of await Promise.all(crowd)) {
        visits.push({ fault, isWell: false, expected: '', visit });
      }
      await pause(VISIT_EVERY_MS);
    } while (performance.now() < until);
    await databaseProxy!.be('well');
    await sourceProxy?.be('well');
    const tookMs = await recovers(stage, shelf.sellerId);
    recoveredMs = tookMs === null || recoveredMs === null ? null : Math.max(recoveredMs, tookMs);
  }
  return { visits, recoveredMs };
}

async function recovers(stage: Stage, sellerId: number): Promise<number | null> {
  const began = performance.now();
  while (performance.now() - began < RECOVERS_MS) {
    if ((await stage.visit(sellerId)).status === 200) return performance.now() - began;
    await pause(VISIT_EVERY_MS);
  }
  return null;
}
