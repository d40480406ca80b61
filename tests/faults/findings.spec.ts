import { expect, test } from '@jest/globals';
import {
  badVisits,
  delayedByOthers,
  gapsInLog,
  inShort,
  type LogRow,
  lostWrites,
  ranges,
  type Stillness,
  stillAfterHealing,
  type ToBeTold,
  untold,
  wentBack,
} from './findings.ts';
import type { Action, Operation, Outcome } from './history.ts';
import { Sightings } from './view-watch.ts';
import { laxer, type Visit } from './visitors.ts';

const operation = (action: Action, outcome: Outcome, seller = 1): Operation => ({
  id: 0,
  client: 0,
  seller,
  action,
  from: 0,
  until: 1,
  outcome,
});
const row = (version: number, type: string, name: string | null = null, erased = false): LogRow => ({
  seller: 1,
  version,
  type,
  name,
  erased,
});
const what = (findings: readonly { what: string }[]) => findings.map((one) => one.what).join('\n');

test('I1 holds when every acknowledged write stands in the log at its version', () => {
  const done = [
    operation({ kind: 'add', name: 'a~' }, { event: 'ok', version: 1 }),
    operation({ kind: 'rename', name: 'a', to: 'a~2' }, { event: 'ok', version: 2 }),
    // It stood in that order already.
    operation({ kind: 'reorder', names: ['a'] }, { event: 'ok', version: 2 }),
    operation({ kind: 'read' }, { event: 'ok', version: 2, names: [] }),
    operation({ kind: 'add', name: 'lost' }, { event: 'unknown', reason: 'ECONNRESET' }),
  ];
  expect(lostWrites(done, [row(1, 'client-added', 'a~'), row(2, 'client-updated', 'a~2')])).toEqual([]);
});

test.each<[string, Action, LogRow[], string]>([
  ['is not in the log', { kind: 'add', name: 'a' }, [], 'does not have'],
  ['is another kind of change', { kind: 'add', name: 'a' }, [row(1, 'client-removed')], 'client-removed'],
  ['is about another client', { kind: 'add', name: 'a' }, [row(1, 'client-added', 'b')], 'about b'],
  ['was no erasure', { kind: 'erase' }, [row(1, 'client-added', 'b')], 'client-added'],
])('I1 is broken when an acknowledged write %s', (_, action, log, words) => {
  expect(what(lostWrites([operation(action, { event: 'ok', version: 1 })], log))).toContain(words);
});

test('I1: what an erasure emptied can no longer be compared', () => {
  const done = [operation({ kind: 'add', name: 'a' }, { event: 'ok', version: 1 })];
  expect(lostWrites(done, [row(1, 'client-added', null, true), row(2, 'seller-erased')])).toEqual([]);
});

test('I2 wants versions from 1 to that of the state, without a gap', () => {
  const log = [1, 2, 3].map((version) => ({ seller: 1, version }));
  expect(gapsInLog(log, new Map([[1, 3]]))).toEqual([]);
  expect(what(gapsInLog(log, new Map([[1, 4]])))).toContain('has 1-3');
  expect(what(gapsInLog([log[0]!, log[2]!], new Map([[1, 3]])))).toContain('has 1, 3');
  expect(what(gapsInLog([], new Map([[1, 1]])))).toContain('has nothing');
});

test('ranges are short', () => {
  expect(ranges([1, 2, 3, 5, 7, 8])).toBe('1-3, 5, 7-8');
});

const visit = (more: Partial<Visit>): Visit => ({
  page: 'page-gig',
  at: 0,
  ms: 10,
  status: 200,
  outcome: 'full',
  error: null,
  meanwhile: 'answer',
  ...more,
});

test('I5 holds for pages that answer in time', () => {
  expect(badVisits([visit({}), visit({ outcome: 'missing' }), visit({ status: 404 })], 1_000)).toEqual([]);
});

test.each<[string, Partial<Visit>]>([
  ['answers 5xx', { status: 503 }],
  ['gives no answer', { status: null, error: 'ECONNRESET' }],
  ['is late', { ms: 1_001 }],
  ['is late while its database is away', { ms: 1_001, status: 503, meanwhile: 'answer or refuse' }],
])('I5 is broken by a page that %s', (_, more) => {
  expect(badVisits([visit(more)], 1_000)).toHaveLength(1);
});

test('I5 leaves a page alone that was killed, or refuses because its own database is away', () => {
  const excused = [
    visit({ status: 503, meanwhile: 'answer or refuse' }),
    visit({ status: null, meanwhile: 'may be gone' }),
  ];
  expect(badVisits(excused, 1_000)).toEqual([]);
  expect(laxer('answer', 'may be gone')).toBe('may be gone');
  expect(laxer('answer or refuse', 'answer')).toBe('answer or refuse');
});

test('I6: a version that goes back is seen, and so is a row that vanishes', () => {
  const sightings = new Sightings('gig');
  sightings.see(new Map([[1, 3]]), 0, false);
  sightings.see(
    new Map([
      [1, 2],
      [2, 1],
    ]),
    1,
    false,
  );
  sightings.see(new Map([[1, 3]]), 2, false);
  expect(what(wentBack(sightings.stepsBack))).toBe(
    'gig: seller 1 went from version 3 back to 2, at 1\ngig: seller 2 went from version 1 back to 0, at 2',
  );
});

test('I6: a view that was lost on purpose begins anew', () => {
  const sightings = new Sightings('gig');
  sightings.see(new Map([[1, 3]]), 0, false);
  sightings.see(new Map(), 1, true);
  sightings.see(new Map([[1, 1]]), 2, true);
  sightings.see(new Map([[1, 2]]), 3, false);
  expect(sightings.stepsBack).toEqual([]);
});

test('a version is visible when it, or a newer one, was first seen', () => {
  const sightings = new Sightings('gig');
  sightings.see(new Map([[1, 1]]), 10, false);
  sightings.see(new Map([[1, 4]]), 20, false);
  expect([1, 2, 4, 5].map((version) => sightings.visibleAt(1, version))).toEqual([10, 20, 20, null]);
});

test('I9 is broken by a seller who waits too long, or for ever', () => {
  const lates = [
    { seller: 1, version: 1, ms: 100 },
    { seller: 2, version: 1, ms: 6_000 },
    { seller: 3, version: 1, ms: null },
  ];
  expect(delayedByOthers('gig', lates, 5_000).map((one) => one.what)).toEqual([
    expect.stringContaining('seller 2 took 6000 ms'),
    expect.stringContaining('seller 3 never'),
  ]);
});

test('many findings of one promise do not hide those of another', () => {
  const many = Array.from({ length: 9 }, (_, i) => ({ promise: 'I4' as const, what: `${i}` }));
  expect(inShort([...many, { promise: 'I8', what: 'x' }], 2)).toEqual([
    'I4: 0',
    'I4: 1',
    'I4: and 7 more',
    'I8: x',
  ]);
});

const QUIET: Stillness = { unready: [], unsent: 0, parked: [], standing: [], unowned: [], lagging: [] };

test('I10 holds when everything moves after healing', () => {
  expect(stillAfterHealing(QUIET)).toEqual([]);
});

test.each<[string, Partial<Stillness>, string]>([
  [
    'a role is not ready',
    { unready: [{ name: 'relay-1', because: 'Kafka' }] },
    'relay-1 is not ready: Kafka',
  ],
  [
    'a partition stands still, ready and owned',
    { standing: [{ page: 'gig', partition: 3, next: 41, end: 44 }] },
    'partition 3 of gig stands at 41, the topic ends at 44',
  ],
  [
    'a partition has no owner',
    { unowned: [{ page: 'user', partition: 5 }] },
    "partition 5 of user is nobody's",
  ],
  [
    'a lag never comes to 0',
    { lagging: [{ page: 'gig', partition: 0, records: 7 }] },
    'partition 0 of gig has a lag of 7 by its metric',
  ],
  ['rows stay in the outbox', { unsent: 2 }, '2 rows wait in the outbox'],
  [
    'a message stays parked',
    { parked: [51, 52].map((seller) => ({ page: 'gig', seller, reason: '54000' })) },
    'gig has 2 messages parked, of sellers 51, 52; the first: 54000',
  ],
])('I10 is broken when %s after healing', (_, found, words) => {
  const findings = stillAfterHealing({ ...QUIET, ...found });
  expect(findings.map(({ promise }) => promise)).toEqual(['I10']);
  expect(what(findings)).toContain(words);
});

test('I10: a partition that nobody owns has no lag either, and is named once', () => {
  const lagging = [{ page: 'gig', partition: 1, records: Number.NaN }];
  expect(
    stillAfterHealing({ ...QUIET, unowned: [{ page: 'gig', partition: 1 }], lagging }).map((one) => one.what),
  ).toEqual(["after healing partition 1 of gig is nobody's"]);
});

const hung: ToBeTold = {
  fault: 'hang-source',
  lastedMs: 7_000,
  anyOf: ['TopClientsTargetDown', 'source is not ready'],
  afterSeconds: 6,
  seen: new Set(),
};

test('I10 is broken when a fault lasts and nobody is told', () => {
  expect(what(untold([hung]))).toBe(
    'hang-source lasted 7.0 s, and nobody was told by: TopClientsTargetDown, source is not ready',
  );
  expect(what(untold([{ ...hung, seen: new Set(['TopClientsRelayStuck']) }]))).toContain('nobody was told');
});

test('I10 holds when one sign was seen, or the fault was over before any was due', () => {
  expect(untold([{ ...hung, seen: new Set(['source is not ready']) }])).toEqual([]);
  expect(untold([{ ...hung, lastedMs: 5_900 }])).toEqual([]);
});
