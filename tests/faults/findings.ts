/** The promises, each as a pure check of the evidence. The result is empty when the promise holds. */
import { acknowledged, type Operation } from './history.ts';
import type { StepBack } from './view-watch.ts';
import type { Visit } from './visitors.ts';

export type PromiseName = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8' | 'I9' | 'I10';

export interface Finding {
  readonly promise: PromiseName;
  readonly what: string;
}

/** An entry of the source's log. `name` is the name of the client concerned; null for none, or once it is erased. */
export interface LogRow {
  readonly seller: number;
  readonly version: number;
  readonly type: string;
  readonly name: string | null;
  readonly erased: boolean;
}

const TYPES = {
  add: 'client-added',
  rename: 'client-updated',
  remove: 'client-removed',
  reorder: 'clients-reordered',
  erase: 'seller-erased',
} as const;

/** I1: every acknowledged write is in the log at the acknowledged version. */
export function lostWrites(operations: readonly Operation[], log: readonly LogRow[]): Finding[] {
  const rows = new Map(log.map((row) => [`${row.seller}/${row.version}`, row]));
  return acknowledged(operations).flatMap(({ id, seller, action, version }) => {
    const row = rows.get(`${seller}/${version}`);
    const told = `operation ${id}: ${action.kind} of seller ${seller} was acknowledged as version ${version}`;
    const lost = (what: string): Finding[] => [{ promise: 'I1', what: `${told}, ${what}` }];
    if (!row) return version === 0 && action.kind === 'erase' ? [] : lost('which the log does not have');
    // A list that was in that order already: nothing was written.
    if (action.kind === 'reorder' && row.type !== TYPES.reorder) return [];
    if (action.kind === 'erase' && row.type !== TYPES.erase) return lost(`which is a ${row.type}`);
    if (row.type !== TYPES[action.kind]) return lost(`which is a ${row.type}`);
    const name = action.kind === 'add' ? action.name : action.kind === 'rename' ? action.to : null;
    if (name !== null && !row.erased && row.name !== name) return lost(`which is about ${row.name}`);
    return [];
  });
}

/** I2 in the log: versions 1, 2, 3 … up to that of the state. */
export function gapsInLog(
  log: readonly Pick<LogRow, 'seller' | 'version'>[],
  state: ReadonlyMap<number, number>,
): Finding[] {
  const versions = Map.groupBy(log, ({ seller }) => seller);
  return [...state].flatMap(([seller, version]) => {
    const have = (versions.get(seller) ?? []).map((row) => row.version).toSorted((a, b) => a - b);
    const isWhole = have.length === version && have.every((one, i) => one === i + 1);
    return isWhole
      ? []
      : [
          {
            promise: 'I2' as const,
            what: `seller ${seller} is at version ${version}, its log has ${ranges(have)}`,
          },
        ];
  });
}

/** `1-3, 5` */
export function ranges(sorted: readonly number[]): string {
  const parts: Array<[number, number]> = [];
  for (const one of sorted) {
    const last = parts.at(-1);
    if (last && last[1] + 1 === one) last[1] = one;
    else parts.push([one, one]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(', ') || 'nothing';
}

/**
 * I5: pages answer without 5xx and in time.
 * @param latestMs the most that an answer may take
 */
export function badVisits(visits: readonly Visit[], latestMs: number): Finding[] {
  return visits.flatMap(({ page, at, ms, status, error, meanwhile }) => {
    if (meanwhile === 'may be gone') return [];
    const bad = (what: string): Finding[] => [
      { promise: 'I5', what: `${page} ${what} after ${Math.round(ms)} ms, at ${Math.round(at)}` },
    ];
    if (status === null) return bad(`gave no answer (${error})`);
    if (ms > latestMs) return bad(`answered ${status} too late:`);
    return meanwhile === 'answer' && status >= 500 ? bad(`answered ${status}`) : [];
  });
}

/** I6: a view that went back. */
export const wentBack = (steps: readonly StepBack[]): Finding[] =>
  steps.map(({ page, seller, from, to, at }) => ({
    promise: 'I6',
    what: `${page}: seller ${seller} went from version ${from} back to ${to}, at ${Math.round(at)}`,
  }));

export interface Late {
  readonly seller: number;
  readonly version: number;
  /** From the acknowledgement until it was visible; null when it never was. */
  readonly ms: number | null;
}

/** I9: how long others waited while one seller's event could not be applied. */
export const delayedByOthers = (page: string, lates: readonly Late[], mostMs: number): Finding[] =>
  lates
    .filter(({ ms }) => ms === null || ms > mostMs)
    .map(({ seller, version, ms }) => ({
      promise: 'I9',
      what: `${page}: version ${version} of seller ${seller} ${
        ms === null ? 'never became visible' : `took ${Math.round(ms)} ms`
      } beside a seller whose event cannot be applied`,
    }));

/** What does not move after everything was healed and had time to recover. */
export interface Stillness {
  readonly unready: ReadonlyArray<{ readonly name: string; readonly because: string }>;
  /** Outbox rows that waited when the check began, and still wait. */
  readonly unsent: number;
  readonly parked: ReadonlyArray<{
    readonly page: string;
    readonly seller: number | null;
    readonly reason: string;
  }>;
  /** Partitions whose checkpoint has not reached `end`, the offset of a message that every projector skips. */
  readonly standing: ReadonlyArray<{
    readonly page: string;
    readonly partition: number;
    readonly next: number;
    readonly end: number;
  }>;
  /** Partitions that are in no projector's metrics. */
  readonly unowned: ReadonlyArray<{ readonly page: string; readonly partition: number }>;
  /** Partitions whose metrics have not shown a lag of 0. NaN: they showed nothing. */
  readonly lagging: ReadonlyArray<{
    readonly page: string;
    readonly partition: number;
    readonly records: number;
  }>;
}

/** I10: after healing nothing stands still. */
export function stillAfterHealing(found: Stillness): Finding[] {
  const of = (page: string, partition: number) => `partition ${partition} of ${page}`;
  return [
    ...found.unready.map(({ name, because }) => `${name} is not ready: ${because}`),
    ...found.standing.map(
      ({ page, partition, next, end }) =>
        `${of(page, partition)} stands at ${next}, the topic ends at ${end}`,
    ),
    ...found.unowned.map(({ page, partition }) => `${of(page, partition)} is nobody's`),
    ...found.lagging.flatMap(({ page, partition, records }) =>
      Number.isNaN(records) ? [] : [`${of(page, partition)} has a lag of ${records} by its metric`],
    ),
    ...(found.unsent > 0 ? [`${found.unsent} rows wait in the outbox`] : []),
    ...[...Map.groupBy(found.parked, ({ page }) => page)].map(
      ([page, all]) =>
        `${page} has ${all.length} messages parked, of sellers ${[...new Set(all.map(({ seller }) => seller))].join(', ')}; the first: ${all[0]!.reason}`,
    ),
  ].map((what) => ({ promise: 'I10', what: `after healing ${what}` }));
}

/** A fault that had to be signalled. */
export interface ToBeTold {
  readonly fault: string;
  readonly lastedMs: number;
  readonly anyOf: readonly string[];
  readonly afterSeconds: number;
  /** Signs that were seen while it lasted. */
  readonly seen: ReadonlySet<string>;
}

/** I10: every fault that lasted long enough was signalled. */
export const untold = (faults: readonly ToBeTold[]): Finding[] =>
  faults.flatMap(({ fault, lastedMs, anyOf, afterSeconds, seen }) =>
    lastedMs < afterSeconds * 1_000 || anyOf.some((sign) => seen.has(sign))
      ? []
      : [
          {
            promise: 'I10' as const,
            what: `${fault} lasted ${(lastedMs / 1_000).toFixed(1)} s, and nobody was told by: ${anyOf.join(', ')}`,
          },
        ],
  );

/** The first few findings of each promise, so that a thousand of one kind do not hide one of another. */
export function inShort(findings: readonly Finding[], ofEach = 5): string[] {
  return [...Map.groupBy(findings, ({ promise }) => promise)].flatMap(([promise, all]) => [
    ...all.slice(0, ofEach).map(({ what }) => `${promise}: ${what}`),
    ...(all.length > ofEach ? [`${promise}: and ${all.length - ofEach} more`] : []),
  ]);
}
