/** What a page that shows top clients must do, and whether what was seen of it keeps that. Pure. docs/pages.md tells it. */
import { HEADERS } from '#contracts/delivery.ts';
import { METRICS } from '#contracts/metrics.ts';
import { seriesIn, sum } from '../../../services/local-stack/exposition.ts';

export const RULES = {
  fresh: 'a write is shown within the objective',
  full: 'the list is whole while the source is dead, slow or answers 500',
  'in-time': 'it answers within its deadline, whatever is down',
  forward: 'it never goes back to an older version',
  erased: 'erased sellers vanish and stay away',
  harmless: 'hostile names are harmless in a browser',
  'min-version': 'minVersion gets what the reader wrote, or an answer that says it is stale',
  headers: 'headers say what is shown, and caches heed them',
  metrics: 'metrics have our names',
} as const;
export type RuleName = keyof typeof RULES;
export const RULE_NAMES = Object.keys(RULES) as RuleName[];

/** What was found of a rule. A rule that could not be tried is never kept. */
export interface PageVerdict {
  readonly rule: RuleName;
  readonly result: 'kept' | 'broken' | 'not checked';
  /** What was seen; where it was not checked, how it can be. */
  readonly evidence: string;
}

/** One request of the page, and what came. Times are in ms, on one clock that only goes forward. */
export interface Visit {
  readonly sellerId: number;
  readonly at: number;
  readonly ms: number;
  /** Null where no answer came. */
  readonly status: number | null;
  /** Why none came. */
  readonly error: string | null;
  /** By names in small letters. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly text: string;
}

const OUTCOME = HEADERS.outcome.toLowerCase();
const VERSION = HEADERS.version.toLowerCase();
const AGE = HEADERS.age.toLowerCase();
const MIN_VERSION = HEADERS.minVersion.toLowerCase();

// ------------------------------------------------------------------------------------------ names that can be found again

/** The name of the n-th write of a run. No page escapes it, and none has it by chance. */
export const markerOf = (run: string, n: number): string => `Kit-${run}-${String(n).padStart(5, '0')}`;

/** Whether some trial wrote it. */
export const isMarker = (name: string): boolean => /^Kit-[0-9a-f]{6}-\d{5}$/.test(name);

/** The newest write of the run whose name a page shows; null where it shows none. */
export function newestIn(text: string, run: string): number | null {
  const shown = [...text.matchAll(new RegExp(`Kit-${run}-(\\d{5})`, 'g'))].map(([, n]) => Number(n));
  return shown.length === 0 ? null : Math.max(...shown);
}

// ------------------------------------------------------------------------------------------ in words

const ms = (value: number): string => `${Math.round(value).toLocaleString('en')} ms`;
const answerOf = ({ status, error, ms: took, headers }: Visit): string =>
  status === null
    ? `no answer after ${ms(took)} (${error})`
    : `${status}${headers[OUTCOME] === undefined ? '' : `, ${HEADERS.outcome}: ${headers[OUTCOME]}`}`;

const kept = (rule: RuleName, evidence: string): PageVerdict => ({ rule, result: 'kept', evidence });
const broken = (rule: RuleName, evidence: string): PageVerdict => ({ rule, result: 'broken', evidence });
const notChecked = (rule: RuleName, evidence: string): PageVerdict => ({
  ...{ rule, result: 'not checked', evidence },
});

// ------------------------------------------------------------------------------------------ fresh

export interface WriteSeen {
  readonly sellerId: number;
  readonly name: string;
  /** From the answer of the write to the first request that shows it; null where none did. */
  readonly afterMs: number | null;
  /** The last one that was looked at. */
  readonly last: Visit;
}

function judgeFresh(writes: readonly WriteSeen[], freshMs: number): PageVerdict {
  const late = writes.find(({ afterMs }) => afterMs === null || afterMs > freshMs);
  if (late !== undefined) {
    const when =
      late.afterMs === null ? `not shown within ${ms(freshMs)}` : `shown only after ${ms(late.afterMs)}`;
    return broken(
      'fresh',
      `seller ${late.sellerId}: ${late.name} was written and ${when}; at last ${answerOf(late.last)}`,
    );
  }
  if (writes.length === 0) return notChecked('fresh', 'nothing could be written');
  const after = writes.map(({ afterMs }) => afterMs!);
  return kept(
    'fresh',
    `${writes.length} writes, shown after ${ms(Math.min(...after))} to ${ms(Math.max(...after))} of ${ms(freshMs)}`,
  );
}

// ------------------------------------------------------------------------------------------ full and in time

export type SourceFault = 'dead' | 'slow' | 'silent' | 'answering 500';
export type DatabaseFault = 'refusing connections' | 'silent' | 'silent, and the source too';

export interface VisitUnderFault {
  readonly fault: string;
  /** Whether the page can show everything all the same: its own database is there. */
  readonly isWell: boolean;
  /** A text that stands on the page when its list is whole. */
  readonly expected: string;
  readonly visit: Visit;
}

/** How a proxy was used: null where there was none, else the connections that came. */
export type ProxyUse = { readonly address: string; readonly connections: number } | null;

export interface SourceSeen {
  readonly visits: readonly VisitUnderFault[];
  /** Reads for a version that the page cannot have, while the source was dead. */
  readonly unknown: readonly { readonly version: number; readonly visit: Visit }[];
  /** Sellers whose list the page shows while nothing is down; the others prove nothing. */
  readonly shownWhenWell: ReadonlySet<number>;
}

export interface DatabaseSeen {
  readonly visits: readonly VisitUnderFault[];
  /** How long the page needed to answer 200 again after its database was back; null where it did not. */
  readonly recoveredMs: number | null;
}

function judgeFull({ visits, shownWhenWell }: SourceSeen, source: ProxyUse): PageVerdict {
  const proof = visits.filter(({ visit }) => shownWhenWell.has(visit.sellerId));
  const bad = proof.find(
    ({ visit, expected }) =>
      visit.status !== 200 || !visit.text.includes(expected) || (visit.headers[OUTCOME] ?? 'full') !== 'full',
  );
  if (bad !== undefined) {
    const { fault, visit, expected } = bad;
    const lacks = visit.status === 200 && !visit.text.includes(expected) ? `, without “${expected}”` : '';
    return broken('full', `seller ${visit.sellerId} with the source ${fault}: ${answerOf(visit)}${lacks}`);
  }
  const lacking = lacksSource(source);
  if (lacking !== null) return notChecked('full', lacking);
  if (proof.length === 0) return notChecked('full', 'the page showed no list even while nothing was down');
  return kept(
    'full',
    `${proof.length} answers for ${new Set(proof.map(({ visit }) => visit.sellerId)).size} sellers were whole with the source ${faultsIn(proof)}`,
  );
}

const faultsIn = (visits: readonly VisitUnderFault[]): string =>
  [...new Set(visits.map(({ fault }) => fault))].join(', ');

/** A machine that does much else may hold the answer, or the one who looks at the clock, for so long. */
const GRACE_MS = 500;

export interface ProxiesUsed {
  readonly source: ProxyUse;
  readonly database: ProxyUse;
}

function judgeInTime(
  bySource: readonly VisitUnderFault[],
  { visits: byDatabase, recoveredMs }: DatabaseSeen,
  deadlineMs: number,
  proxies: ProxiesUsed,
): PageVerdict {
  const visits = [...bySource, ...byDatabase];
  const who = ({ fault, isWell, visit }: VisitUnderFault) =>
    `seller ${visit.sellerId} with the ${isWell ? 'source' : 'database'} ${fault}`;
  const late = visits.find(({ visit }) => visit.status === null || visit.ms > deadlineMs + GRACE_MS);
  if (late !== undefined) {
    const { visit } = late;
    const after = visit.status === null ? '' : ` after ${ms(visit.ms)}`;
    return broken('in-time', `${who(late)}: ${answerOf(visit)}${after}; its deadline is ${ms(deadlineMs)}`);
  }
  const failed = visits.find(({ isWell, visit }) => isWell && visit.status! >= 500);
  if (failed !== undefined) return broken('in-time', `${who(failed)}: ${answerOf(failed.visit)}`);
  const lacking = [lacksSource(proxies.source), lacksDatabase(proxies.database)].filter(
    (one) => one !== null,
  );
  if (recoveredMs === null && (proxies.database?.connections ?? 0) > 0) {
    return broken('in-time', 'it did not answer 200 again after its database was back');
  }
  // A page that never calls the source cannot wait for it.
  if (proxies.database === null || proxies.database.connections === 0) {
    return notChecked('in-time', lacking.join('; '));
  }
  const slowest = visits.reduce((one, other) => (other.visit.ms > one.visit.ms ? other : one));
  return kept(
    'in-time',
    `${visits.length} answers, the slowest after ${ms(slowest.visit.ms)} of ${ms(deadlineMs)}, ${who(slowest)}; well again ${ms(recoveredMs!)} after its database was back${lacking.length > 0 ? `. Not with the source down: ${lacking.join('; ')}` : ''}`,
  );
}

function lacksSource(use: ProxyUse): string | null {
  if (use === null) {
    return 'no proxy stood before the source: give --source-proxy-port, and let the page call the source there';
  }
  return use.connections > 0
    ? null
    : `nobody called the source at ${use.address}: let the page call it there. A page that never calls it needs it for nothing`;
}

function lacksDatabase(use: ProxyUse): string | null {
  if (use === null) {
    return "no proxy stood before the page's database: give --database and --database-proxy-port, and let the page connect there";
  }
  return use.connections > 0
    ? null
    : `nobody connected to the database at ${use.address}: let the page do so`;
}

// ------------------------------------------------------------------------------------------ forward

export interface ForwardSeen {
  /** Of one seller, while it was written to. */
  readonly visits: readonly Visit[];
  /** How many versions were written. */
  readonly written: number;
}

function judgeForward({ visits, written }: ForwardSeen, run: string): PageVerdict {
  const answers = visits
    .filter(({ status }) => status === 200)
    .map((visit) => ({ visit, ends: visit.at + visit.ms, shown: newestIn(visit.text, run) ?? 0 }));
  // Only an answer that was there before the next request began is surely older than the next answer.
  const byEnd = answers.toSorted((one, other) => one.ends - other.ends);
  let newest: (typeof byEnd)[number] | undefined;
  let at = 0;
  for (const next of answers.toSorted((one, other) => one.visit.at - other.visit.at)) {
    for (; at < byEnd.length && byEnd[at]!.ends <= next.visit.at; at++) {
      if (newest === undefined || byEnd[at]!.shown > newest.shown) newest = byEnd[at]!;
    }
    if (newest !== undefined && next.shown < newest.shown) {
      const shows = next.shown === 0 ? 'nothing' : markerOf(run, next.shown);
      return broken(
        'forward',
        `seller ${next.visit.sellerId} was shown with ${markerOf(run, newest.shown)}, and ${ms(next.visit.at - newest.ends)} later with ${shows}`,
      );
    }
  }
  const versions = new Set(answers.map(({ shown }) => shown)).size;
  if (versions < 2) {
    return notChecked(
      'forward',
      `${written} versions were written, and ${answers.length} answers showed no change: there was nothing to go back from`,
    );
  }
  return kept(
    'forward',
    `${answers.length} answers showed ${versions} of ${written} versions, none after a newer one`,
  );
}

// ------------------------------------------------------------------------------------------ erased

export interface ErasureSeen {
  readonly sellerId: number;
  /** The newest name that was erased: it and all before it. */
  readonly erased: number;
  readonly at: number;
  /** After the erasure, in the order of their beginning. */
  readonly visits: readonly Visit[];
}

/** @param goneMs the time that an erased name may stay: the objective, and what a cache may keep after it */
function judgeErased(seen: ErasureSeen, run: string, goneMs: number): PageVerdict {
  const { sellerId, erased, at, visits } = seen;
  const shows = (visit: Visit) =>
    [...visit.text.matchAll(new RegExp(`Kit-${run}-(\\d{5})`, 'g'))].some(([, n]) => Number(n) <= erased);
  const gone = visits.find((visit) => visit.status === 200 && !shows(visit));
  const goneAfter = gone === undefined ? Number.POSITIVE_INFINITY : gone.at - at;
  if (goneAfter > goneMs) {
    const last = visits.at(-1);
    return broken(
      'erased',
      `seller ${sellerId} was erased, and the name was shown for more than ${ms(goneMs)}${last === undefined ? '' : `; at last ${answerOf(last)}`}`,
    );
  }
  const back = visits.find((visit) => visit.at > gone!.at + gone!.ms && shows(visit));
  if (back !== undefined) {
    return broken(
      'erased',
      `the name of seller ${sellerId} vanished ${ms(goneAfter)} after the erasure, and was back ${ms(back.at - at)} after it`,
    );
  }
  const last = visits.at(-1)!;
  return kept(
    'erased',
    `seller ${sellerId}: gone after ${ms(goneAfter)}, and away in ${visits.filter((visit) => visit.at >= gone!.at).length} answers until ${Math.round((last.at - at) / 1_000)} s after the erasure`,
  );
}

// ------------------------------------------------------------------------------------------ harmless

/** What a browser saw of a page with hostile names. */
export interface BrowserSaw {
  readonly sellerId: number;
  /** Of the answer; null where the page was not loaded by one. */
  readonly status: number | null;
  /** How often it was loaded until it could be shown. */
  readonly attempts: number;
  /** How many of the names the page shows as the text that they are. */
  readonly shown: number;
  readonly names: number;
  /** What happened, in words; empty when nothing did. */
  readonly harm: readonly string[];
}

function judgeHarmless({ sellerId, status, attempts, shown, names, harm }: BrowserSaw): PageVerdict {
  if (harm.length > 0) return broken('harmless', `seller ${sellerId}: ${harm.join('; ')}`);
  if (shown === 0) {
    return notChecked(
      'harmless',
      status === 200
        ? `seller ${sellerId}: the page shows none of the ${names} names, so there was nothing to do harm`
        : `seller ${sellerId}: the browser got ${status ?? 'no answer'} instead of the page, ${times(attempts)}`,
    );
  }
  const again = attempts === 1 ? '' : `, once the page was loaded ${times(attempts)}`;
  return kept(
    'harmless',
    `seller ${sellerId}: ${shown} of ${names} hostile names stood there as text; no script ran, no dialog opened, nothing was asked elsewhere${again}`,
  );
}

const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);

// ------------------------------------------------------------------------------------------ minVersion

export const saysItIsBehind = ({ headers }: Visit): boolean =>
  headers[OUTCOME] === 'stale' || headers[OUTCOME] === 'missing';

export const claimsMinVersion = ({ headers }: Visit): boolean =>
  (headers['vary'] ?? '').toLowerCase().includes(MIN_VERSION);

export interface MinVersionSeen {
  /** Reads right after a write, for its version. */
  readonly own: readonly { readonly n: number; readonly version: number; readonly visit: Visit }[];
  /** Reads for a version that nobody has. */
  readonly beyond: readonly { readonly version: number; readonly visit: Visit }[];
}

/** @param unknown reads for a version that the page cannot have, while the source was dead */
function judgeMinVersion(seen: MinVersionSeen, unknown: SourceSeen['unknown'], run: string): PageVerdict {
  for (const { n, version, visit } of seen.own) {
    if (visit.status === 200 && ((newestIn(visit.text, run) ?? 0) >= n || saysItIsBehind(visit))) continue;
    const lacks = visit.status === 200 ? `, without ${markerOf(run, n)}` : '';
    return broken(
      'min-version',
      `seller ${visit.sellerId} wrote version ${version} and asked for it: ${answerOf(visit)}${lacks}`,
    );
  }
  const taken = seen.beyond.find(({ visit }) => visit.status !== 400);
  if (taken !== undefined) {
    const { version, visit } = taken;
    return broken(
      'min-version',
      `nobody has version ${version} of seller ${visit.sellerId}; who asks for it must get 400, and got ${answerOf(visit)}`,
    );
  }
  const silent = unknown.find(({ visit }) => visit.status === 200 && !saysItIsBehind(visit));
  if (silent !== undefined) {
    const { version, visit } = silent;
    return broken(
      'min-version',
      `version ${version} of seller ${visit.sellerId} was asked for while the source was dead: the page must say that it is stale, and answered ${answerOf(visit)}`,
    );
  }
  const stale = seen.own.filter(({ visit }) => saysItIsBehind(visit)).length;
  const dead = unknown.length > 0 ? '; with the source dead it said that it was behind' : '';
  return kept(
    'min-version',
    `${seen.own.length - stale} of ${seen.own.length} reads after a write had it, ${stale} said stale; 400 for ${seen.beyond.length} versions that nobody has${dead}`,
  );
}

// ------------------------------------------------------------------------------------------ headers

export interface HeadersSeen {
  readonly visit: Visit;
  /** What the source has, and the page shows. */
  readonly version: number;
  /** ms since it was committed, when the answer came. */
  readonly ageMs: number;
}

/** Clocks of different machines, and the time between two looks at them. */
const CLOCKS_MS = 5_000;

function judgeHeaders(seen: readonly HeadersSeen[], others: readonly Visit[]): PageVerdict {
  const faults = seen.flatMap(({ visit, version, ageMs }) => {
    const { headers } = visit;
    const outcome = headers[OUTCOME];
    const age = headers[AGE];
    const caching = headers['cache-control'];
    return [
      outcome === 'full' || outcome === 'stale' || outcome === 'missing'
        ? null
        : `${HEADERS.outcome} is ${inQuotes(outcome)}: it must be full, stale or missing`,
      headers[VERSION] === String(version)
        ? null
        : `${HEADERS.version} is ${inQuotes(headers[VERSION])}: the page shows version ${version}`,
      age !== undefined && /^\d+$/.test(age) && Math.abs(Number(age) - ageMs) <= CLOCKS_MS
        ? null
        : `${HEADERS.age} is ${inQuotes(age)}: the version was committed ${ms(ageMs)} before`,
      mustAskAgain(caching)
        ? null
        : `cache-control is ${inQuotes(caching)}: caches would hide changes without no-cache or no-store`,
    ].filter((fault) => fault !== null);
  });
  // A page that lacks its data must not be kept for others.
  for (const { headers, status } of others) {
    const outcome = headers[OUTCOME];
    const isWhole = status === 200 && (outcome === undefined || outcome === 'full');
    if (status !== 200 || isWhole || /\bno-store\b/.test(headers['cache-control'] ?? '')) continue;
    faults.push(
      `cache-control of an answer that is ${outcome} is ${inQuotes(headers['cache-control'])}: it must be no-store`,
    );
  }
  const [first] = faults;
  if (first !== undefined) return broken('headers', [...new Set(faults)].slice(0, 4).join('; '));
  if (seen.length === 0) return notChecked('headers', 'the page did not show what was written');
  const { headers } = seen[0]!.visit;
  return kept(
    'headers',
    `${HEADERS.outcome}: ${headers[OUTCOME]}, ${HEADERS.version}: ${headers[VERSION]}, ${HEADERS.age}: ${headers[AGE]}, cache-control: ${headers['cache-control']}`,
  );
}

const inQuotes = (value: string | undefined): string => (value === undefined ? 'not there' : `“${value}”`);
const mustAskAgain = (caching: string | undefined): boolean =>
  caching !== undefined && /\b(no-cache|no-store)\b/.test(caching) && !/\bimmutable\b/.test(caching);

// ------------------------------------------------------------------------------------------ metrics

const RENDERS = 'topclients_page_renders_total';
const DURATION = 'topclients_page_render_duration_seconds';

export interface MetricsSeen {
  /** What `/metrics` said. */
  readonly before: string;
  readonly after: string;
  /** How often the page answered in full between the two. */
  readonly visits: number;
}

function judgeMetrics({ before, after, visits }: MetricsSeen): PageVerdict {
  if (visits === 0)
    return notChecked('metrics', 'the page never answered in full, so there was nothing to count');
  const lacking = ([RENDERS, DURATION] as const).flatMap((name) => {
    const { type, labels } = METRICS[name];
    const series = seriesIn(after, type === 'histogram' ? `${name}_count` : name);
    if (series.length === 0) return [`there is no ${name}`];
    const missing = labels.filter((label) => !series[0]!.labels.includes(`${label}="`));
    return missing.length > 0 ? [`${name} has no label ${missing.join(', ')}`] : [];
  });
  if (lacking.length > 0) return broken('metrics', lacking.join('; '));
  const full = (text: string) =>
    sum(seriesIn(text, RENDERS).filter(({ labels }) => labels.includes('outcome="full"')));
  const timed = (text: string) => sum(seriesIn(text, `${DURATION}_count`));
  const [counted, measured] = [full(after) - full(before), timed(after) - timed(before)];
  if (counted < visits || measured < visits) {
    return broken(
      'metrics',
      `the page answered ${visits} times in full; ${RENDERS} counted ${counted} of them, ${DURATION} ${measured}`,
    );
  }
  return kept(
    'metrics',
    `${RENDERS} and ${DURATION} counted ${counted} and ${measured} of ${visits} answers`,
  );
}

// ------------------------------------------------------------------------------------------ all of them

/** All that was seen of a page; a sentence where there was nothing to be seen, which says why. */
export interface Seen {
  writes: readonly WriteSeen[];
  forward: ForwardSeen | null;
  erasure: ErasureSeen | string;
  browser: BrowserSaw | string;
  /** Null where the page does not claim it. */
  versions: MinVersionSeen | null;
  headers: readonly HeadersSeen[];
  metrics: MetricsSeen | string;
  source: SourceSeen;
  database: DatabaseSeen;
}

export const NOTHING_SEEN: Seen = {
  writes: [],
  forward: null,
  erasure: 'it was not tried',
  browser: 'it was not tried',
  versions: null,
  headers: [],
  metrics: 'give METRICS, the address of its /metrics',
  source: { visits: [], unknown: [], shownWhenWell: new Set() },
  database: { visits: [], recoveredMs: null },
};

export interface Limits {
  readonly run: string;
  readonly freshMs: number;
  /** An erased name may stay for so long. */
  readonly goneMs: number;
  readonly deadlineMs: number;
  readonly proxies: ProxiesUsed;
}

export function judge(
  rule: RuleName,
  seen: Seen,
  { run, freshMs, goneMs, deadlineMs, proxies }: Limits,
): PageVerdict {
  switch (rule) {
    case 'fresh':
      return judgeFresh(seen.writes, freshMs);
    case 'full':
      return judgeFull(seen.source, proxies.source);
    case 'in-time':
      return judgeInTime(seen.source.visits, seen.database, deadlineMs, proxies);
    case 'forward':
      return seen.forward === null ? notChecked(rule, 'it was not tried') : judgeForward(seen.forward, run);
    case 'erased':
      return typeof seen.erasure === 'string'
        ? notChecked(rule, seen.erasure)
        : judgeErased(seen.erasure, run, goneMs);
    case 'harmless':
      return typeof seen.browser === 'string' ? notChecked(rule, seen.browser) : judgeHarmless(seen.browser);
    case 'min-version':
      return seen.versions === null
        ? notChecked(
            rule,
            `the page does not claim it: its answers would vary by ${HEADERS.minVersion}, or give --min-version`,
          )
        : judgeMinVersion(seen.versions, seen.source.unknown, run);
    case 'headers':
      return judgeHeaders(
        seen.headers,
        [...seen.source.visits, ...seen.database.visits].map(({ visit }) => visit),
      );
    case 'metrics':
      return typeof seen.metrics === 'string' ? notChecked(rule, seen.metrics) : judgeMetrics(seen.metrics);
  }
}
