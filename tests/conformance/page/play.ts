/** Tries a page that runs: writes as sellers, breaks what the page needs, asks it all the while, and has that judged. */

import { together } from '../../../services/local-stack/together.ts';
import {
  askForVersions,
  breakDatabase,
  breakSource,
  countVisits,
  eraseAndWatch,
  lookAtHostileNames,
  readHeaders,
  readWhileWriting,
  type Watch,
  writeAndLook,
} from './acts.ts';
import { MarketUnusable } from './market.ts';
import { judge, NOTHING_SEEN, type PageVerdict, RULE_NAMES, type RuleName, type Seen } from './rules.ts';
import { openStage, type Trial } from './stage.ts';

/** What a cache may keep of a list after it has changed: docs/pages.md. */
const CACHE_MS = 5_000;

/**
 * @returns a verdict for every rule that the trial names
 * @throws MarketUnusable when the source, the issuer or the choice of sellers does not allow it
 */
export async function play(trial: Trial): Promise<PageVerdict[]> {
  const stage = await openStage(trial);
  const { rules, sourceProxy, databaseProxy, freshMs, deadlineMs, metricsUrl, signal, log, run } = stage;
  const wants = (...some: RuleName[]) => some.some((rule) => rules.has(rule));
  const [usual, moving, hostile] = stage.writable as [number, number, number];
  const goneMs = freshMs + CACHE_MS;
  const seen: Seen = { ...NOTHING_SEEN };
  let erasure: Watch | string | null = null;

  const acts = async (): Promise<void> => {
    log(`writes for sellers ${[usual, moving, hostile].join(', ')}`);
    const shelf = await stage.shelve(usual);
    // A page that never shows it breaks the rules that say so; the others take what they find.
    await stage.awaited(shelf, goneMs);
    if (wants('erased')) erasure = await eraseAndWatch(stage, goneMs);
    await together([
      (async () => {
        if (wants('fresh')) seen.writes = await writeAndLook(stage, shelf);
        if (wants('headers')) seen.headers = await readHeaders(stage, shelf);
        if (wants('metrics') && metricsUrl !== null) {
          seen.metrics = await countVisits(stage, shelf, metricsUrl);
        }
        if (wants('min-version')) seen.versions = await askForVersions(stage, shelf);
      })(),
      (async () => {
        if (wants('forward')) seen.forward = await readWhileWriting(stage, moving);
      })(),
      (async () => {
        if (wants('harmless')) seen.browser = await lookAtHostileNames(stage, usual, hostile);
      })(),
    ]);
    if (sourceProxy !== null && wants('full', 'in-time')) {
      seen.source = await breakSource(stage, shelf, seen.versions !== null);
    }
    if (databaseProxy !== null && wants('in-time')) seen.database = await breakDatabase(stage, shelf);
    // Whatever was down meanwhile, nobody may have seen the erased name.
    if (erasure !== null) seen.erasure = typeof erasure === 'string' ? erasure : await erasure.end();
  };

  try {
    await unlessStopped(signal, acts());
  } finally {
    await sourceProxy?.be('well');
    await databaseProxy?.be('well');
    if (erasure !== null && typeof erasure !== 'string') void (erasure as Watch).end().catch(() => {});
    log('removes what it wrote');
    const kept = await stage.clear();
    if (kept > 0)
      log(
        `${kept} clients that it wrote are still there: the source did not answer. The next trial removes them`,
      );
  }
  const proxies = {
    source: (await sourceProxy?.use()) ?? null,
    database: (await databaseProxy?.use()) ?? null,
  };
  return RULE_NAMES.filter((rule) => rules.has(rule)).map((rule) =>
    judge(rule, seen, { run, freshMs, goneMs, deadlineMs, proxies }),
  );
}

/** @throws MarketUnusable when the signal comes first; what goes on then ends with the process */
async function unlessStopped(signal: AbortSignal, work: Promise<void>): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = () => reject(new MarketUnusable('stopped'));
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  try {
    await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
