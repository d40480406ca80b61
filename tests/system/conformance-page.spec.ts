/**
 * `make conformance`: our gig page and the example keep every rule, tried from outside with everything they need broken
 * in turn; and of pages with one bad habit each, the rule that forbids it says so, and no other does.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { userName } from '#contracts/database-users.ts';
import { listen } from '#platform/listen.ts';
import { CALLER_KEY } from '../../services/local-stack/callers.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import { runToEnd, startProcess } from '../../services/local-stack/process.ts';
import { runRole } from '../../services/local-stack/run-role.ts';
import { describeRole } from '../../services/local-stack/system.ts';
import { type Habits, openExample, type Row } from '../conformance/page/example.ts';
import { openMarket } from '../conformance/page/market.ts';
import { play } from '../conformance/page/play.ts';
import { openDatabaseProxy, openSourceProxy } from '../conformance/page/proxies.ts';
import { RULE_NAMES, type RuleName, type Verdict } from '../conformance/page/rules.ts';
import { type Stack, startStack } from '../support/stack.ts';

const FOLDER = join(import.meta.dirname, '../conformance/page');
/** Each trial has sellers of its own, and so many. */
const SELLERS = 40;
const sellersOf = (trial: number) => ({ first: trial * SELLERS + 1, last: (trial + 1) * SELLERS });

interface BadPage {
  readonly habit: () => Partial<Habits>;
  readonly breaks: RuleName;
  /** What the evidence says. */
  readonly because: RegExp;
  /** Rules that it keeps all the same. */
  readonly keeps: readonly RuleName[];
}
/** Pages with one bad habit each; those whose trials take long come first. */
const BAD: Readonly<Record<string, BadPage>> = {
  'caches for ever': {
    ...{ breaks: 'fresh', because: /was written and not shown within 5,000 ms/, keeps: ['metrics'] },
    habit() {
      const cache = new Map<number, Row>();
      return {
        async list(sellerId, read) {
          const row = cache.get(sellerId) ?? (await read(sellerId));
          cache.set(sellerId, row);
          return row;
        },
      };
    },
  },
  'asks the source at every visit': {
    ...{
      breaks: 'full',
      because: /with the source dead: 200, .*without “Kit-/,
      keeps: ['fresh', 'headers', 'metrics'],
    },
    habit: () => ({
      list: (sellerId, _, ask) => ask(sellerId).catch(() => ({ version: 0, committedAt: 0, clients: [] })),
    }),
  },
  'never answers without its database': {
    ...{ breaks: 'in-time', because: /with the database .*: no answer after/, keeps: ['fresh', 'headers'] },
    habit: () => ({ without: () => new Promise(() => {}) }),
  },
  'keeps a list when it is emptied': {
    ...{
      breaks: 'erased',
      because: /was erased, and the name was shown for more than 10,000 ms/,
      keeps: ['fresh', 'headers'],
    },
    habit() {
      const last = new Map<number, Row>();
      return {
        async list(sellerId, read) {
          const row = await read(sellerId);
          if (row.clients.length > 0) last.set(sellerId, row);
          return last.get(sellerId) ?? row;
        },
      };
    },
  },
  'shows every other reader what it had a second ago': {
    ...{ breaks: 'forward', because: /was shown with Kit-.* later with/, keeps: ['fresh', 'metrics'] },
    habit() {
      const old = new Map<number, { row: Row; readAt: number }>();
      let visits = 0;
      return {
        async list(sellerId, read) {
          const kept = old.get(sellerId);
          if (kept !== undefined && performance.now() - kept.readAt < 1_000 && visits++ % 2 === 0)
            return kept.row;
          const row = await read(sellerId);
          if (kept === undefined || performance.now() - kept.readAt >= 1_000) {
            old.set(sellerId, { row, readAt: performance.now() });
          }
          return row;
        },
      };
    },
  },
  'prints names as they are': {
    ...{
      breaks: 'harmless',
      because: /a script of a name ran .* names became markup: /,
      keeps: ['fresh', 'headers'],
    },
    habit: () => ({ inHtml: (text) => text }),
  },
  'claims minVersion and does not heed it': {
    ...{ breaks: 'min-version', because: /^nobody has version|, without Kit-/, keeps: ['fresh', 'headers'] },
    habit: () => ({ heedsMinVersion: false }),
  },
  'has no headers': {
    ...{ breaks: 'headers', because: /^Top-Clients is not there: /, keeps: ['fresh', 'metrics'] },
    habit: () => ({ headers: () => ({}) }),
  },
  'counts under other names': {
    ...{
      breaks: 'metrics',
      because: /^there is no topclients_page_renders_total/,
      keeps: ['fresh', 'headers'],
    },
    habit: () => ({ metrics: 'shop' }),
  },
};

let stack: Stack;
let folder: string;
/** Trials run beside each other: mostly they wait for a fault to last. More at once would make pages late by themselves. */
const AT_ONCE = 4;
const ours = Promise.withResolvers<Verdict[]>();
const example = Promise.withResolvers<{ said: string; junit: string }>();
const bad = new Map(Object.keys(BAD).map((name) => [name, Promise.withResolvers<Verdict[]>()]));

const databaseAt = (port: number): string => {
  const url = new URL(stack.postgres.url('gig', userName('page', 'gig')));
  url.port = String(port);
  return url.href;
};

/** Opens proxies, starts a page behind them and tries it. */
async function tried(
  trial: number,
  rules: readonly RuleName[],
  start: (
    databaseUrl: string,
    sourceUrl: string,
  ) => Promise<{ page: string; metrics: string; stop(): Promise<unknown> }>,
): Promise<Verdict[]> {
  const [sourcePort, databasePort] = [await freePort(), await freePort()];
  const source = `http://127.0.0.1:${new URL(stack.urls.source).port}`;
  const sourceProxy = await openSourceProxy(sourcePort, source);
  const databaseProxy = await openDatabaseProxy(databasePort, {
    host: '127.0.0.1',
    port: stack.postgres.port,
  });
  const market = openMarket({ source, tokenUrl: stack.issuer.tokenUrl });
  const { first, last } = sellersOf(trial);
  let running: Awaited<ReturnType<typeof start>> | undefined;
  try {
    running = await start(databaseAt(databasePort), sourceProxy.use.address);
    const { page, metrics } = running;
    return await play({
      page: (sellerId) => page.replace('{sellerId}', String(sellerId)),
      sellers: Array.from({ length: last - first + 1 }, (_, i) => first + i),
      ...{ market, sourceProxy, databaseProxy, metricsUrl: metrics, rules: new Set(rules) },
      ...{ deadlineMs: 1_000, freshMs: 5_000, claimsMinVersion: false, log: () => {} },
      signal: AbortSignal.timeout(100_000),
    });
  } finally {
    await running?.stop();
    await sourceProxy.close();
    await databaseProxy.close();
    await market.close();
  }
}

async function tryOurs(trial: number): Promise<Verdict[]> {
  const [port, healthPort] = [await freePort(), await freePort()];
  return tried(trial, RULE_NAMES, async (databaseUrl, sourceUrl) => {
    const process = describeRole(
      { role: 'page-server', page: 'gig', name: 'gig-on-trial' },
      {
        ...{ database: () => databaseUrl, source: () => sourceUrl, brokers: () => stack.kafka.bootstrap },
        ...{ port: () => port, healthPort: () => healthPort, issuer: stack.issuer, callerKey: CALLER_KEY },
      },
    );
    const role = await runRole(process, { logs: stack.folder });
    const metrics = `http://127.0.0.1:${healthPort}/metrics`;
    return { page: `${role.url}/gigs/{sellerId}`, metrics, stop: () => role.stop() };
  });
}

/** As somebody else would: by the command, with the page as a program of its own. */
async function tryExample(trial: number): Promise<{ said: string; junit: string }> {
  const [port, sourcePort, databasePort] = [await freePort(), await freePort(), await freePort()];
  const page = await startProcess({
    ...{ name: 'the example', command: process.execPath, args: [join(FOLDER, 'example.ts')] },
    logFile: join(folder, 'example.log'),
    env: {
      DATABASE_URL: databaseAt(databasePort),
      SOURCE_URL: `http://127.0.0.1:${sourcePort}`,
      PORT: String(port),
    },
  });
  const { first, last } = sellersOf(trial);
  const file = join(folder, 'example.xml');
  const at = `http://127.0.0.1:${port}`;
  try {
    const said = await runToEnd(process.execPath, [
      join(FOLDER, 'main.ts'),
      ...['--page', `${at}/sellers/{sellerId}`, '--metrics', `${at}/metrics`],
      ...['--source', `http://127.0.0.1:${new URL(stack.urls.source).port}`],
      ...['--token-url', stack.issuer.tokenUrl, '--sellers', `${first}..${last}`, '--junit', file],
      ...['--source-proxy-port', String(sourcePort)],
      ...['--database', `127.0.0.1:${stack.postgres.port}`, '--database-proxy-port', String(databasePort)],
    ]);
    return { said, junit: await readFile(file, 'utf8') };
  } finally {
    await page.stop();
  }
}

async function tryBad(trial: number, name: string): Promise<Verdict[]> {
  const { breaks, keeps, habit } = BAD[name]!;
  return tried(trial, [breaks, ...keeps], async (databaseUrl, sourceUrl) => {
    const { server, close } = openExample(databaseUrl, sourceUrl, habit());
    const at = `http://127.0.0.1:${await listen(server, 0, '127.0.0.1')}`;
    const stop = async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await close();
    };
    return { page: `${at}/sellers/{sellerId}`, metrics: `${at}/metrics`, stop };
  });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'conformance-page-'));
  stack = await startStack({
    pages: ['gig'],
    sellers: (Object.keys(BAD).length + 2) * SELLERS,
    // All trials come from one address.
    env: { 'top-clients': { TC_CANARY_INTERVAL_MS: 0, TC_REQUESTS_PER_MINUTE: 0 } },
  });
  const trials: (() => Promise<void>)[] = [
    () => tryOurs(0).then(ours.resolve, ours.reject),
    () => tryExample(1).then(example.resolve, example.reject),
    ...[...bad].map(
      ([name, { resolve, reject }], index) =>
        () =>
          tryBad(index + 2, name).then(resolve, reject),
    ),
  ];
  for (let i = 0; i < AT_ONCE; i++) {
    void (async () => {
      for (let next = trials.shift(); next !== undefined; next = trials.shift()) await next();
    })();
  }
}, 60_000);
afterAll(async () => {
  await Promise.allSettled([ours, example, ...bad.values()].map(({ promise }) => promise));
  await stack?.stop();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

const told = (verdicts: readonly Verdict[]) =>
  verdicts.map(({ rule, result, evidence }) => `${result} ${rule}: ${evidence}`);

test('our gig page keeps every rule', async () => {
  const verdicts = await ours.promise;
  expect(told(verdicts).filter((line) => !line.startsWith('kept'))).toEqual([]);
  expect(verdicts.map(({ rule }) => rule)).toEqual(RULE_NAMES);
}, 90_000);

test('the example keeps every rule, by the command, which writes JUnit', async () => {
  const { said, junit } = await example.promise;
  expect(said).toContain(
    `of ${RULE_NAMES.length} rules ${RULE_NAMES.length} were kept, 0 broken, 0 not checked`,
  );
  expect(junit).toMatch(
    new RegExp(`<testsuites tests="${RULE_NAMES.length}" failures="0" errors="0" skipped="0"`),
  );
}, 90_000);

describe('a page that', () => {
  test.each(Object.keys(BAD))(
    '%s breaks the rule about that, and no other',
    async (name) => {
      const { breaks, because, keeps } = BAD[name]!;
      const verdicts = await bad.get(name)!.promise;
      const results = verdicts.map(({ rule, result }) => [rule, result]);
      const expected = RULE_NAMES.filter((rule) => rule === breaks || keeps.includes(rule)).map((rule) => [
        rule,
        rule === breaks ? 'broken' : 'kept',
      ]);
      expect({ results, told: told(verdicts) }).toEqual({ results: expected, told: expect.anything() });
      expect(verdicts.find(({ rule }) => rule === breaks)!.evidence).toMatch(because);
    },
    90_000,
  );
});
