/** What is kept, broken or not checked, of what was seen; the page itself is tried in tests/system/conformance-page.spec.ts. */
import { describe, expect, test } from '@jest/globals';
import { junitOf } from './junit.ts';
import { BadOptions, readOptions } from './options.ts';
import {
  isMarker,
  judge,
  type Limits,
  markerOf,
  NOTHING_SEEN,
  newestIn,
  RULE_NAMES,
  type RuleName,
  type Seen,
  type Visit,
} from './rules.ts';

const RUN = '7f3a1c';
const name = (n: number) => markerOf(RUN, n);
const visit = (over: Partial<Visit> = {}): Visit => ({
  ...{ sellerId: 7, at: 0, ms: 5, status: 200, error: null, headers: {}, text: `<li>${name(3)}</li>` },
  ...over,
});
const nobody = (ms: number) => visit({ status: null, error: 'none came', ms, text: '' });
const LIMITS: Limits = {
  ...{ run: RUN, freshMs: 5_000, goneMs: 10_000, deadlineMs: 1_000 },
  proxies: {
    source: { address: 'http://127.0.0.1:9001', connections: 3 },
    database: { address: '127.0.0.1:9002', connections: 3 },
  },
};
const judged = (rule: RuleName, seen: Partial<Seen>, limits: Partial<Limits> = {}) => {
  const { result, evidence } = judge(rule, { ...NOTHING_SEEN, ...seen }, { ...LIMITS, ...limits });
  return `${result}: ${evidence}`;
};

/** Cases, each named by the verdict that it must have. */
const expecting = <T>(...cases: readonly (readonly [seen: T, told: RegExp])[]) =>
  cases.map(([seen, told]) => [told, seen] as const);

test('a name of the trial is found again, and none of another trial', () => {
  expect(newestIn(`<b>${name(3)}</b>${name(12)} ${markerOf('other1', 99)}`, RUN)).toBe(12);
  expect(newestIn('Acme', RUN)).toBeNull();
  expect([isMarker(name(3)), isMarker('Kit-Kat'), isMarker(`${name(3)}0`)]).toEqual([true, false, false]);
});

test.each(RULE_NAMES)('%s is not kept where nothing was seen', (rule) => {
  expect(judged(rule, {}, { proxies: { source: null, database: null } })).toMatch(/^not checked: /);
});

describe('fresh', () => {
  const write = (afterMs: number | null) => ({ sellerId: 7, name: name(3), afterMs, last: visit() });
  test.each(
    expecting(
      [[write(20), write(4_999)], /^kept: 2 writes, shown after 20 ms to 4,999 ms of 5,000 ms/],
      [
        [write(20), write(null)],
        /^broken: seller 7: Kit-7f3a1c-00003 was written and not shown within 5,000 ms/,
      ],
      [[write(5_200)], /^broken: .* shown only after 5,200 ms/],
    ),
  )('%s', (told, writes) => {
    expect(judged('fresh', { writes })).toMatch(told);
  });
});

describe('full and in time', () => {
  const under = (fault: string, of: Visit, isWell = true) => ({
    fault,
    isWell,
    expected: name(3),
    visit: of,
  });
  const source = (...visits: Visit[]): Seen['source'] => ({
    ...{ unknown: [], shownWhenWell: new Set([7]) },
    visits: visits.map((one) => under('dead', one)),
  });
  const database = (recoveredMs: number | null, ...visits: Visit[]): Seen['database'] => ({
    ...{ recoveredMs, visits: visits.map((one) => under('silent', one, false)) },
  });

  test.each(
    expecting(
      [source(visit(), visit({ headers: { 'top-clients': 'full' } })), /^kept: 2 answers for 1 sellers/],
      [source(visit({ text: '' })), /^broken: seller 7 with the source dead: 200, without “Kit/],
      [source(visit({ headers: { 'top-clients': 'missing' } })), /^broken: .*Top-Clients: missing/],
      [source(visit({ status: 503 })), /^broken: .*503/],
      [source(nobody(3_000)), /^broken: .*no answer after 3,000 ms/],
      [
        { ...source(visit()), shownWhenWell: new Set<number>() },
        /^not checked: the page showed no list even/,
      ],
    ),
  )('%s', (told, seen) => {
    expect(judged('full', { source: seen })).toMatch(told);
  });

  test('a proxy that nobody used proves nothing, and it is said what to do', () => {
    const unused = { ...LIMITS.proxies.source!, connections: 0 };
    const proxies = { ...LIMITS.proxies, source: unused };
    expect(judged('full', { source: source(visit()) }, { proxies })).toMatch(
      /^not checked: nobody called the source at http:\/\/127.0.0.1:9001/,
    );
    expect(judged('full', {}, { proxies: { ...proxies, source: null } })).toMatch(/--source-proxy-port/);
    const database = { ...LIMITS.proxies.database!, connections: 0 };
    expect(judged('in-time', { source: source(visit()) }, { proxies: { ...proxies, database } })).toMatch(
      /^not checked: .*nobody connected to the database at 127.0.0.1:9002/,
    );
    expect(judged('in-time', {}, { proxies: { ...proxies, database: null } })).toMatch(
      /--database and --database-proxy-port/,
    );
  });

  test.each(
    expecting(
      [
        database(120, visit({ status: 503, ms: 812 })),
        /^kept: 2 answers, the slowest after 812 ms of 1,000 ms/,
      ],
      [database(120, visit({ status: 503, ms: 1_600 })), /^broken: .* database silent: 503 after 1,600 ms/],
      [database(120, nobody(3_000)), /^broken: .*no answer after 3,000 ms/],
      [database(null, visit({ status: 503 })), /^broken: it did not answer 200 again/],
    ),
  )('%s', (told, seen) => {
    expect(judged('in-time', { source: source(visit()), database: seen })).toMatch(told);
  });

  test('without the source it may not fail, without its database it may', () => {
    expect(judged('in-time', { source: source(visit({ status: 500 })), database: database(9) })).toMatch(
      /^broken: seller 7 with the source dead: 500/,
    );
  });

  test('a page that never called the source is in time without its database', () => {
    const proxies = { ...LIMITS.proxies, source: null };
    expect(judged('in-time', { database: database(9, visit({ status: 503 })) }, { proxies })).toMatch(
      /^kept: .*Not with the source down: .*--source-proxy-port/,
    );
  });
});

describe('forward', () => {
  const at = (begins: number, n: number, ms = 5) => visit({ at: begins, ms, text: name(n) });
  const forward = (...visits: Visit[]) => judged('forward', { forward: { visits, written: 9 } });
  test.each(
    expecting(
      [[at(0, 1), at(10, 2), at(20, 3)], /^kept: 3 answers showed 3 of 9 versions/],
      // Begun before the newer one was there: it was on its way all the time.
      [[at(0, 1), at(10, 3, 20), at(12, 2, 30), at(60, 3)], /^kept/],
      [
        [at(0, 1), at(10, 3), at(20, 2)],
        /^broken: seller 7 was shown with Kit-7f3a1c-00003, and 5 ms later with Kit/,
      ],
      [[at(0, 1), at(10, 3), visit({ at: 20, text: '' })], /^broken: .* later with nothing/],
      [[at(0, 1), at(10, 3), visit({ at: 20, status: 503, text: '' }), at(30, 3)], /^kept/],
      [[at(0, 1), at(10, 1)], /^not checked: 9 versions were written, and 2 answers showed no change/],
    ),
  )('%s', (told, visits) => {
    expect(forward(...visits)).toMatch(told);
  });
});

describe('erased', () => {
  const erased = (...visits: Visit[]) =>
    judged('erased', { erasure: { sellerId: 7, erased: 3, at: 0, visits } });
  const shows = (at: number) => visit({ at });
  const without = (at: number, over: Partial<Visit> = {}) => visit({ at, text: '', ...over });
  test.each(
    expecting(
      [
        [shows(10), without(40), without(6_000)],
        /^kept: seller 7: gone after 40 ms, and away in 2 answers until 6 s/,
      ],
      // What was written after the erasure is another list.
      [[shows(10), without(40), visit({ at: 3_000, text: name(4) })], /^kept/],
      [[shows(10), shows(11_000)], /^broken: .* shown for more than 10,000 ms/],
      [[shows(10), without(11_000)], /^broken: .* shown for more than 10,000 ms/],
      [[shows(10), without(40, { status: 503 }), shows(11_000)], /^broken/],
      [
        [shows(10), without(40), shows(4_000), without(6_000)],
        /^broken: the name .* was back 4,000 ms after it/,
      ],
    ),
  )('%s', (told, visits) => {
    expect(erased(...visits)).toMatch(told);
  });
  test('a seller who could not be erased is told with the reason', () => {
    expect(judged('erased', { erasure: 'no scope' })).toBe('not checked: no scope');
  });
});

describe('harmless', () => {
  const saw = (shown: number, ...harm: string[]) =>
    judged('harmless', { browser: { sellerId: 7, status: 200, attempts: 1, shown, names: 17, harm } });
  test('what happened is told, and where no name is shown nothing could', () => {
    expect(saw(17)).toMatch(/^kept: seller 7: 17 of 17/);
    expect(saw(17, 'a script ran', '2 dialogs opened')).toBe(
      'broken: seller 7: a script ran; 2 dialogs opened',
    );
    expect(saw(0)).toMatch(/^not checked: .* none of the 17 names/);
    const failed = { sellerId: 7, status: 503, attempts: 20, shown: 0, names: 17, harm: [] };
    expect(judged('harmless', { browser: failed })).toMatch(
      /^not checked: .* the browser got 503 .*, 20 times$/,
    );
    const late = { sellerId: 7, status: 200, attempts: 2, shown: 17, names: 17, harm: [] };
    expect(judged('harmless', { browser: late })).toMatch(/^kept: .* once the page was loaded 2 times$/);
  });
});

describe('minVersion', () => {
  const own = (of: Visit) => [{ n: 3, version: 12, visit: of }];
  const beyond = (status: number) => [{ version: 99, visit: visit({ status }) }];
  const stale = visit({ text: name(2), headers: { 'top-clients': 'stale' } });
  const asked = (of: Visit, status = 400, unknown: Visit[] = []) =>
    judged('min-version', {
      versions: { own: own(of), beyond: beyond(status) },
      source: { ...NOTHING_SEEN.source, unknown: unknown.map((one) => ({ version: 99, visit: one })) },
    });
  test.each(
    expecting(
      [asked(visit()), /^kept: 1 of 1 reads after a write had it, 0 said stale; 400 for 1/],
      [asked(stale), /^kept: 0 of 1 reads after a write had it, 1 said stale/],
      [
        asked(visit({ text: name(2) })),
        /^broken: seller 7 wrote version 12 and asked for it: 200, without Kit/,
      ],
      [asked(visit({ text: name(2), headers: { 'top-clients': 'full' } })), /^broken/],
      [asked(visit({ status: 503 })), /^broken: .*503/],
      [
        asked(visit(), 200),
        /^broken: nobody has version 99 of seller 7; who asks for it must get 400, and got 200/,
      ],
      [asked(visit(), 400, [stale]), /^kept: .*with the source dead it said that it was behind/],
      [
        asked(visit(), 400, [visit({ headers: { 'top-clients': 'full' } })]),
        /^broken: .*while the source was dead/,
      ],
    ),
  )('%s', (told, verdict) => {
    expect(verdict).toMatch(told);
  });
});

describe('headers', () => {
  const GOOD = {
    ...{ 'top-clients': 'full', 'top-clients-version': '12', 'top-clients-age': '900' },
    'cache-control': 'no-cache',
  };
  const said = (over: Record<string, string | undefined>, others: Visit[] = []) =>
    judged('headers', {
      headers: [{ visit: visit({ headers: { ...GOOD, ...over } }), version: 12, ageMs: 1_000 }],
      source: {
        ...NOTHING_SEEN.source,
        visits: others.map((one) => ({ fault: 'dead', isWell: true, expected: '', visit: one })),
      },
    });
  const missing = (caching: string) =>
    visit({ headers: { 'top-clients': 'missing', 'cache-control': caching } });
  test.each(
    expecting(
      [said({}), /^kept: Top-Clients: full, Top-Clients-Version: 12/],
      [said({ 'cache-control': 'private, no-store' }), /^kept/],
      [said({ 'top-clients': undefined }), /^broken: Top-Clients is not there/],
      [said({ 'top-clients': 'yes' }), /^broken: Top-Clients is “yes”/],
      [
        said({ 'top-clients-version': '11' }),
        /^broken: Top-Clients-Version is “11”: the page shows version 12/,
      ],
      [said({ 'top-clients-age': undefined }), /^broken: Top-Clients-Age is not there/],
      // Seconds instead of milliseconds would be small; an instant is large.
      [said({ 'top-clients-age': '1764400000000' }), /^broken: Top-Clients-Age/],
      [said({ 'cache-control': 'max-age=60' }), /^broken: cache-control is “max-age=60”/],
      [said({ 'cache-control': undefined }), /^broken: cache-control is not there/],
      [said({}, [missing('no-store')]), /^kept/],
      [said({}, [missing('no-cache')]), /^broken: cache-control of an answer that is missing is “no-cache”/],
    ),
  )('%s', (told, verdict) => {
    expect(verdict).toMatch(told);
  });
});

describe('metrics', () => {
  const text = (full: number, timed = full, prefix = 'topclients_page') =>
    `${prefix}_renders_total{page="shop",delivery="asynchronous",outcome="full"} ${full}\n` +
    `${prefix}_render_duration_seconds_count{page="shop",delivery="asynchronous"} ${timed}\n`;
  const counted = (before: string, after: string) =>
    judged('metrics', { metrics: { before, after, visits: 10 } });
  test.each(
    expecting(
      [counted(text(5), text(15)), /^kept: .* counted 10 and 10 of 10 answers/],
      [counted('', text(10)), /^kept/],
      [counted(text(5), text(9, 15)), /^broken: the page answered 10 times in full; .* counted 4 of them/],
      [counted('', text(10, 10, 'shop')), /^broken: there is no topclients_page_renders_total; there is no/],
      [
        counted('', text(10).replaceAll('delivery', 'way')),
        /^broken: topclients_page_renders_total has no label delivery/,
      ],
    ),
  )('%s', (told, verdict) => {
    expect(verdict).toMatch(told);
  });
});

test('metrics of a page that never answers in full are not checked', () => {
  expect(judged('metrics', { metrics: { before: '', after: '', visits: 0 } })).toMatch(/^not checked: /);
});

test('JUnit has each rule as a case: broken ones failed, those that were not checked skipped', () => {
  const xml = junitOf(
    'http://localhost/<x>',
    [
      { rule: 'fresh', result: 'kept', evidence: '5 writes' },
      { rule: 'full', result: 'broken', evidence: 'without “<b>”' },
      { rule: 'metrics', result: 'not checked', evidence: 'give METRICS' },
    ],
    31.4,
  );
  expect(xml).toContain('<testsuites tests="3" failures="1" errors="0" skipped="1">');
  expect(xml).toContain('failure message="without “&lt;b>”"');
  expect(xml).toContain('give METRICS');
});

describe('options', () => {
  const PAGE = 'http://localhost:9000/sellers/{sellerId}';
  test('an address is enough, with the demo around it', () => {
    expect(readOptions(['--page', PAGE])).toMatchObject({
      ...{ page: PAGE, source: 'http://localhost:8090', tokenUrl: 'http://localhost:8080/token' },
      ...{ deadlineMs: 1_000, freshMs: 5_000, metricsUrl: null, sourceProxyPort: null, database: null },
      rules: new Set(RULE_NAMES),
    });
    expect(readOptions(['--page', PAGE, '--sellers', '3,7..9'])!.sellers).toEqual([3, 7, 8, 9]);
    expect(readOptions(['--help'])).toBeNull();
  });
  test.each([
    [[], /PAGE: the address of a seller's page/],
    [['--page', 'http://localhost:9000/sellers/1'], /not “http:\/\/localhost:9000\/sellers\/1”/],
    [['--page', PAGE, '--sellers', '9..3'], /--sellers: as 1\.\.50/],
    [['--page', PAGE, '--sellers', '1..500'], /100 at most/],
    [['--page', PAGE, '--only', 'fresh,fun'], /not “fun”/],
    [['--page', PAGE, '--database-proxy-port', '9002'], /give both, or neither/],
    [['--page', PAGE, '--database', 'localhost', '--database-proxy-port', '9002'], /as localhost:5432/],
    [['--page', PAGE, '--source-proxy-port', '70000'], /a port from 1 to 65535/],
    [['--page', PAGE, '--source', 'https://source', '--source-proxy-port', '9001'], /must be an http:/],
    [['--page', PAGE, '--deadline', 'soon'], /a number above 0/],
    [['--pages', PAGE], /--pages/],
  ])('%j is refused with what to change', (args, why) => {
    expect(() => readOptions(args)).toThrow(BadOptions);
    expect(() => readOptions(args)).toThrow(why);
  });
});
