import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ViewId } from '#cdk8s/api/page-view.ts';
import { isSameView, isView, type ShownView } from '#cdk8s/platform.ts';
import { timestamp } from '../../runtime/conditions.ts';
import {
  attemptOf,
  type Building,
  type Comparison,
  type ComparisonVerdict,
  decideView,
  describeView,
  type Kept,
  LEAVING,
  type ViewMemory,
  type ViewSituation,
  viewColumn,
} from './view-switch.ts';

const NOW = Date.parse('2026-11-23T12:00:00Z');
const v = (version: number, delivery: ViewId['delivery'] = 'asynchronous'): ViewId => ({ delivery, version });
const building = (view: ViewId, more: Partial<Building> = {}): Building => ({
  ...view,
  startedAt: timestamp(NOW - 30_000),
  ...more,
});
const kept = (view: ViewId, until: string = timestamp(NOW + 60_000)): Kept => ({ ...view, until });
const memory = (shown: ShownView | null, more: Partial<ViewMemory> = {}): ViewMemory => ({
  shown,
  building: null,
  kept: [],
  ...more,
});
/** As a view is remembered that is shown from now on. */
const since = (view: ViewId): ShownView => ({ ...view, since: timestamp(NOW) });
const matching: ComparisonVerdict = { sellers: 100, differing: 0, examples: [], caughtUp: true };
const ended = (verdict: Partial<ComparisonVerdict> = {}): Comparison => ({
  state: 'ended',
  verdict: { ...matching, ...verdict },
});

const decide = (situation: Partial<ViewSituation>) =>
  decideView({
    now: NOW,
    wanted: v(1),
    keepMs: 3_600_000,
    memory: memory(null),
    lag: { unknown: 'nobody was asked' },
    comparison: { state: 'none' },
    remainsOf: () => ({ projector: false, drop: 'none' }),
    isShown: true,
    said: null,
    ...situation,
  });

describe('a page that wants what it shows', () => {
  test('shows the first view it ever wants at once', () => {
    const decision = decide({ wanted: v(1) });
    expect(decision.memory).toEqual(memory(v(1)));
    expect(decision.projected).toEqual([v(1)]);
    expect(decision.current.status).toBe('True');
    expect(viewColumn(decision.memory)).toBe('v1');
  });

  test('needs no projector when its first delivery keeps no data', () => {
    const decision = decide({ wanted: { delivery: 'synchronous' } });
    expect(decision.projected).toEqual([]);
    expect(viewColumn(decision.memory)).toBe('synchronous');
  });

  test('has nothing to wait for', () => {
    expect(decide({ memory: memory(v(1)) }).requeueAfterMs).toBeNull();
  });
});

describe('a new version', () => {
  const upgrade = { wanted: v(2), memory: memory(v(1)) };

  test('is built beside the one that is shown', () => {
    const { memory: next, projected, current, compare } = decide(upgrade);
    expect(next.shown).toEqual(v(1));
    expect(next.building).toMatchObject(v(2));
    expect(projected).toEqual([v(1), v(2)]);
    expect(current).toMatchObject({ status: 'False', reason: 'Building' });
    expect(compare).toBeNull();
    expect(viewColumn(next)).toBe('v1 → v2 0 %');
  });

  test('tells its progress from the lag it began with', () => {
    const first = decide({ ...upgrade, memory: memory(v(1), { building: building(v(2)) }), lag: 10_000 });
    expect(first.memory.building).toMatchObject({ startLag: 10_000, lag: 10_000 });
    const later = decide({ ...upgrade, memory: first.memory, lag: 2_000 });
    expect(viewColumn(later.memory)).toBe('v1 → v2 80 %');
    expect(later.current.message).toContain('2000 of 10000 records to go (80 %)');
  });

  test('that falls further behind has all of that to go', () => {
    const before = memory(v(1), { building: building(v(2), { startLag: 10, lag: 5 }) });
    const { memory: next } = decide({ ...upgrade, memory: before, lag: 40_000 });
    expect(next.building).toMatchObject({ startLag: 40_000, lag: 40_000 });
    expect(viewColumn(next)).toBe('v1 → v2 0 %');
  });

  test('says why its lag is not known, and keeps what was known before', () => {
    const before = memory(v(1), { building: building(v(2), { startLag: 10, lag: 5 }) });
    const { memory: next, current } = decide({ ...upgrade, memory: before, lag: { unknown: 'no pod runs' } });
    expect(next.building).toMatchObject({ startLag: 10, lag: 5 });
    expect(current.message).toContain('no pod runs');
  });

  test.each([
    ['far behind', 5_000, undefined, false],
    ['caught up', 0, undefined, true],
    ['nearly caught up, as under steady writes', 900, undefined, true],
    ['caught up and found different 59 s ago', 0, { at: 59_000, differing: 3 }, false],
    ['caught up and found different 60 s ago', 0, { at: 60_000, differing: 3 }, true],
    ['caught up and compared too early 9 s ago', 0, { at: 9_000, differing: undefined }, false],
    ['caught up and compared too early 10 s ago', 0, { at: 10_000, differing: undefined }, true],
  ])('%s: compared %#', (_, lag, compared, expected) => {
    const before = building(
      v(2),
      compared ? { comparedAt: timestamp(NOW - compared.at), differing: compared.differing } : {},
    );
    const { compare } = decide({ ...upgrade, memory: memory(v(1), { building: before }), lag });
    expect(compare).toEqual(expected ? { view: v(2), attempt: attemptOf(before) } : null);
  });

  test('keeps a comparison that runs, though the lag rises again', () => {
    const before = memory(v(1), { building: building(v(2)) });
    const { compare } = decide({ ...upgrade, memory: before, lag: 50_000, comparison: { state: 'running' } });
    expect(compare).not.toBeNull();
  });

  test('takes over when it matches, and the one before is kept up for a while', () => {
    const before = memory(v(1), { building: building(v(2)) });
    const decision = decide({ ...upgrade, memory: before, lag: 0, comparison: ended() });
    expect(decision.memory).toEqual(
      memory(since(v(2)), { kept: [{ ...v(1), until: timestamp(NOW + 3_600_000) }] }),
    );
    expect(decision.projected).toEqual([v(2), v(1)]);
    expect(decision.current).toMatchObject({ status: 'True', message: 'asynchronous v2 is shown' });
    expect(decision.events.map(({ reason }) => reason)).toEqual(['ViewSwitched']);
  });

  test('is not switched to when sellers differ, and the condition says how many, which, and what to do', () => {
    const before = memory(v(1), { building: building(v(2)) });
    const comparison = ended({ differing: 3, examples: [7, 12, 40] });
    const decision = decide({ ...upgrade, memory: before, lag: 0, comparison });
    expect(decision.memory.shown).toEqual(v(1));
    expect(decision.current).toMatchObject({ status: 'False', reason: 'ViewDiffers' });
    expect(decision.current.message).toMatch(
      /3 of 100 sellers differ .* 7, 12, 40\. Go back to asynchronous v1/,
    );
    expect(viewColumn(decision.memory)).toBe('v1 → v2 differs');
    const meanwhile = decide({
      ...upgrade,
      now: NOW + 5_000,
      memory: decision.memory,
      lag: 0,
      said: decision.current,
    });
    expect(meanwhile.current).toEqual(decision.current);
    expect(meanwhile.events).toEqual([]);
    expect(meanwhile.compare).toBeNull();
  });

  test('that had not read all events is compared again, by another job', () => {
    const before = building(v(2));
    const { memory: next } = decide({
      ...upgrade,
      memory: memory(v(1), { building: before }),
      lag: 0,
      comparison: ended({ caughtUp: false }),
    });
    expect(next.shown).toEqual(v(1));
    expect(attemptOf(next.building!)).not.toBe(attemptOf(before));
  });

  test('whose comparison fails is not switched to', () => {
    const decision = decide({
      ...upgrade,
      memory: memory(v(1), { building: building(v(2)) }),
      comparison: { state: 'failed', because: 'no database' },
    });
    expect(decision.memory.shown).toEqual(v(1));
    expect(decision.current).toMatchObject({ reason: 'CompareFailed', status: 'False' });
  });

  test('that is given up leaves, and its successor is built', () => {
    const decision = decide({
      wanted: v(3),
      memory: memory(v(1), { building: building(v(2)) }),
      comparison: ended(),
    });
    expect(decision.memory).toMatchObject({ shown: v(1), building: v(3), kept: [kept(v(2), LEAVING)] });
    expect(decision.projected).toEqual([v(1), v(3)]);
  });
});

describe('going back', () => {
  const back = { wanted: v(1), memory: memory(v(2), { kept: [kept(v(1))] }) };
  const comparing = memory(v(2), { building: building(v(1), { keptUntil: timestamp(NOW + 60_000) }) });

  test('to a view that is kept up begins with a comparison, while the other one is shown', () => {
    const decision = decide(back);
    expect(decision.memory).toEqual(
      // It was not noted since when: the database may show any view that stands, and is told.
      memory(since(v(2)), {
        building: { ...v(1), startedAt: timestamp(NOW), keptUntil: timestamp(NOW + 60_000) },
      }),
    );
    expect(decision.projected).toEqual([v(2), v(1)]);
    expect(decision.keptUp).toEqual([v(1)]);
    expect(decision.drop).toEqual([]);
    expect(decision.current).toMatchObject({ status: 'False', reason: 'Building' });
    expect(decision.events.map(({ reason }) => reason)).toEqual(['RollbackStarted']);
    expect(viewColumn(decision.memory)).toBe('v2 → v1 0 %');
    const next = decide({ ...back, memory: decision.memory, lag: 0 });
    expect(next.compare).toEqual({ view: v(1), attempt: attemptOf(decision.memory.building!) });
  });

  test('waits until the view has caught up, and says so when nobody keeps it up', () => {
    expect(decide({ ...back, memory: comparing, lag: 70_000 }).compare).toBeNull();
    const unknown = decide({ ...back, memory: comparing, lag: { unknown: 'no pod runs' } });
    expect(unknown.compare).toBeNull();
    expect(unknown.current.message).toContain('no pod runs');
  });

  test('happens when it matches, and the other one is kept in its place', () => {
    const decision = decide({ ...back, memory: comparing, lag: 0, comparison: ended() });
    expect(decision.memory).toEqual(
      memory(since(v(1)), { kept: [{ ...v(2), until: timestamp(NOW + 3_600_000) }] }),
    );
    expect(decision.current.status).toBe('True');
  });

  test('does not happen when sellers differ, and the condition says how many and what to do', () => {
    const comparison = ended({ differing: 2, examples: [7, 8] });
    const decision = decide({ ...back, memory: comparing, lag: 0, comparison });
    expect(decision.memory.shown).toEqual(v(2));
    expect(decision.current).toMatchObject({ status: 'False', reason: 'ViewDiffers' });
    expect(decision.current.message).toMatch(
      /asynchronous v1 is not shown: 2 of 100 sellers differ .* 7, 8\. Its watcher repairs it .* go back to asynchronous v2/,
    );
    expect(decision.events.map(({ type, reason }) => `${type} ${reason}`)).toEqual(['Warning ViewDiffers']);
    expect(decision.keptUp).toEqual([v(1)]);
    const repaired = decide({
      ...back,
      now: NOW + 60_000,
      memory: decision.memory,
      lag: 0,
      said: decision.current,
    });
    expect(repaired.compare).not.toBeNull();
  });

  test('that is given up keeps the view for as long as it was to stay', () => {
    const decision = decide({ wanted: v(2), memory: comparing });
    expect(decision.memory).toEqual(memory(v(2), { kept: [kept(v(1))] }));
    expect(decision.projected).toEqual([v(2), v(1)]);
    expect(decision.events.map(({ reason }) => reason)).toEqual(['RollbackAbandoned']);
    const another = decide({ wanted: v(3), memory: comparing });
    expect(another.memory).toMatchObject({ building: v(3), kept: [kept(v(1))] });
  });

  test('that takes longer than the view was to stay does not take it away', () => {
    const decision = decide({ ...back, now: NOW + 3_600_000, memory: comparing, lag: 0 });
    expect(decision.projected).toEqual([v(2), v(1)]);
    expect(decision.memory.kept).toEqual([]);
  });

  test('to a view that is leaving waits until nothing is left of it', () => {
    const situation = { wanted: v(1), memory: memory(v(2), { kept: [kept(v(1), LEAVING)] }) };
    const waiting = decide({ ...situation, remainsOf: () => ({ projector: true, drop: 'none' }) });
    expect(waiting.current).toMatchObject({ status: 'False', reason: 'Clearing' });
    expect(waiting.memory.building).toBeNull();
    const cleared = decide({ ...situation, remainsOf: () => ({ projector: false, drop: 'done' }) });
    expect(cleared.current.reason).toBe('Clearing');
    const jobGone = decide({ ...situation, memory: cleared.memory });
    expect(jobGone.memory.building).toMatchObject(v(1));
  });

  test('while another version is built gives that one up', () => {
    const decision = decide({ wanted: v(1), memory: memory(v(1), { building: building(v(2)) }) });
    expect(decision.memory).toEqual(memory(v(1), { kept: [kept(v(2), LEAVING)] }));
    expect(decision.current.status).toBe('True');
  });
});

describe('a delivery without a view', () => {
  test('is switched to at once, and the view stays for a while', () => {
    const decision = decide({ wanted: { delivery: 'off' }, memory: memory(v(1)) });
    expect(decision.memory.shown).toEqual({ delivery: 'off' });
    expect(decision.projected).toEqual([v(1)]);
  });

  test('is shown until the view that is wanted matches, though no view is shown', () => {
    const synchronous = { delivery: 'synchronous' } as const;
    const decision = decide({ wanted: v(1), memory: memory(synchronous) });
    expect(decision.memory.shown).toEqual(synchronous);
    expect(viewColumn(decision.memory)).toBe('synchronous → asynchronous v1 0 %');
  });

  test('asynchronous to hybrid is built like a version', () => {
    const { memory: next } = decide({ wanted: v(1, 'hybrid'), memory: memory(v(1)) });
    expect(viewColumn(next)).toBe('asynchronous v1 → hybrid v1 0 %');
  });
});

describe('a view whose time is over', () => {
  const over = { wanted: v(2), memory: memory(v(2), { kept: [kept(v(1), timestamp(NOW))] }) };

  test('is projected no more', () => {
    const decision = decide(over);
    expect(decision.projected).toEqual([v(2)]);
    expect(decision.memory.kept).toEqual([kept(v(1), LEAVING)]);
  });

  test('stays while a server may still read it', () => {
    expect(decide({ ...over, isShown: false }).projected).toEqual([v(2), v(1)]);
    const switching = decide({ ...over, keepMs: 0, wanted: { delivery: 'off' }, memory: memory(v(2)) });
    expect(switching.projected).toEqual([v(2)]);
  });

  test('is dropped when its projectors are gone, and forgotten when that is done', () => {
    const leaving = { wanted: v(2), memory: memory(v(2), { kept: [kept(v(1), LEAVING)] }) };
    expect(decide({ ...leaving, remainsOf: () => ({ projector: true, drop: 'none' }) }).drop).toEqual([]);
    expect(decide({ ...leaving, remainsOf: () => ({ projector: false, drop: 'none' }) }).drop).toEqual([
      v(1),
    ]);
    const done = decide({ ...leaving, remainsOf: () => ({ projector: false, drop: 'done' }) });
    expect(done.memory.kept).toEqual([]);
    expect(done.drop).toEqual([]);
  });
});

// What the cluster does, as a model: rows of a view exist from its build to its drop, and a verdict is about them.
describe('whatever happens, in whichever order', () => {
  const wish = fc.oneof(
    fc.record({
      delivery: fc.constantFrom('asynchronous', 'hybrid'),
      version: fc.integer({ min: 1, max: 3 }),
    }),
    fc.record({ delivery: fc.constantFrom('synchronous', 'off') }),
  ) as fc.Arbitrary<ShownView>;
  const step = fc.oneof(
    { weight: 2, arbitrary: fc.record({ do: fc.constant('wish' as const), wish }) },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1_000, 11_000, 61_000) }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('catch up' as const), lag: fc.constantFrom(0, 500, 9_000) }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('compare' as const),
        outcome: fc.constantFrom('matches' as const, 'matches' as const, 'differs', 'early', 'failed'),
      }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('jobs end' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('servers' as const), settled: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('crash before the status is written' as const) }) },
  );

  test('no view is shown that was not verified, unless it is the first ever', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(0, 5_000, 60_000), (steps, keepMs) => {
        let now = NOW;
        let wanted: ShownView = v(1);
        let state: ViewMemory = memory(null);
        let lag = 9_000;
        let settled = true;
        let first: string | null = null;
        let compare = null as ReturnType<typeof decideView>['compare'];
        const verdicts = new Map<number, Comparison>();
        const verified = new Set<string>();
        const rows = new Set<string>();
        const drops = new Map<string, 'running' | 'done'>();
        const projectors = new Set<string>();

        const reconcile = (written: boolean) => {
          const attempt = state.building ? attemptOf(state.building) : null;
          const found = attempt === null ? undefined : verdicts.get(attempt);
          const decision = decideView({
            now,
            wanted,
            keepMs,
            memory: state,
            lag,
            comparison: found ?? (compare?.attempt === attempt ? { state: 'running' } : { state: 'none' }),
            remainsOf: (view) => ({
              projector: projectors.has(describeView(view)),
              drop: drops.get(describeView(view)) ?? 'none',
            }),
            isShown: settled,
            said: null,
          });
          if (!written) return;
          const shown = decision.memory.shown;
          if (isView(shown)) {
            first ??= describeView(shown);
            const name = describeView(shown);
            // What was found of a view before it was left says nothing of it when it is wanted again.
            if (state.shown !== null && !isSameView(shown, state.shown) && !verified.delete(name)) {
              throw new Error(`${name} is shown without having been compared since it was wanted`);
            }
            if (first === name && state.shown === null) rows.add(name);
            expect(rows.has(name)).toBe(true);
          } else first ??= '';
          const projected = decision.projected.map(describeView);
          expect(new Set(projected).size).toBe(projected.length);
          if (isView(shown)) expect(projected).toContain(describeView(shown));
          for (const view of decision.drop) expect(projected).not.toContain(describeView(view));
          // The cluster follows.
          projectors.clear();
          for (const name of projected) {
            projectors.add(name);
            expect(drops.has(name)).toBe(false);
            rows.add(name);
          }
          const wantedDrops = new Set(decision.drop.map(describeView));
          for (const name of wantedDrops) if (!drops.has(name)) drops.set(name, 'running');
          for (const name of [...drops.keys()]) if (!wantedDrops.has(name)) drops.delete(name);
          compare = decision.compare;
          if (!isSameView(shown, state.shown ?? shown)) settled = false;
          state = decision.memory;
        };

        reconcile(true);
        for (const one of steps) {
          now += 1_000;
          switch (one.do) {
            case 'wish':
              if (!isSameView(wanted, one.wish)) verified.clear();
              wanted = one.wish;
              break;
            case 'wait':
              now += one.ms;
              break;
            case 'catch up':
              lag = one.lag;
              break;
            case 'compare': {
              if (!compare) break;
              const view = describeView(compare.view);
              const differing = one.outcome === 'differs' ? 2 : 0;
              verdicts.set(
                compare.attempt,
                one.outcome === 'failed'
                  ? { state: 'failed', because: 'it broke' }
                  : ended({ differing, caughtUp: one.outcome !== 'early' }),
              );
              if (one.outcome === 'matches') verified.add(view);
              break;
            }
            case 'jobs end':
              for (const name of drops.keys()) {
                drops.set(name, 'done');
                rows.delete(name);
                verified.delete(name);
                // Built again it is like any other.
                if (first === name) first = '';
              }
              break;
            case 'servers':
              settled = one.settled;
              break;
            case 'crash before the status is written':
              reconcile(false);
              break;
          }
          reconcile(true);
        }
      }),
      { numRuns: 600 },
    );
  });
});
