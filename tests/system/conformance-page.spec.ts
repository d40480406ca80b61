/**
 * `make conformance`: our gig page and those of `examples` keep every rule, tried from outside with everything they need
 * broken in turn; and of pages with one bad habit each, the rule that forbids it says so, and no other does.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { userName } from '#contracts/database-users.ts';
import { listen } from '#platform/listen.ts';
import { CALLER_KEY, credential } from '../../services/local-stack/callers.ts';
import {
  EXAMPLE_PAGES,
  type ExamplePage,
  prepareExample,
  settingsOfExample,
} from '../../services/local-stack/example-pages.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import { startProcess } from '../../services/local-stack/process.ts';
import { runRole, surroundings } from '../../services/local-stack/run-role.ts';
import { describeRole } from '../../services/local-stack/system.ts';
import { type Habits, openExample, type Row } from '../conformance/page/example.ts';
import { type PageVerdict, RULE_NAMES, type RuleName } from '../conformance/page/rules.ts';
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
      because: /with the source dead: 200, .*without “/,
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
const databaseAt = (port: number, page = 'gig'): string => {
  const url = new URL(stack.postgres.url(page, userName('page', page)));
  url.port = String(port);
  return url.href;
};

interface RunningPage {
  readonly page: string;
  readonly metrics: string;
  stop(): Promise<unknown>;
}
type Start = (databasePort: number, sourceUrl: string) => Promise<RunningPage>;
interface Trial {
  readonly verdicts: readonly PageVerdict[];
  readonly said: string;
  readonly junit: string;
}

/**
 * Starts a page and tries it as somebody else would: by the command, in a process of its own, so that no trial keeps
 * another one's page waiting.
 */
async function tried(trial: number, rules: readonly RuleName[], start: Start): Promise<Trial> {
  const [sourcePort, databasePort] = [await freePort(), await freePort()];
  const { first, last } = sellersOf(trial);
  const file = join(folder, `${trial}.xml`);
  const { page, metrics, stop } = await start(databasePort, `http://127.0.0.1:${sourcePort}`);
  try {
    const said = await run([
      ...['--page', page, '--metrics', metrics, '--only', rules.join(), '--junit', file],
      ...['--source', `http://127.0.0.1:${new URL(stack.urls.source).port}`],
      ...['--token-url', stack.issuer.tokenUrl, '--sellers', `${first}..${last}`],
      ...['--source-proxy-port', String(sourcePort)],
      ...['--database', `127.0.0.1:${stack.postgres.port}`, '--database-proxy-port', String(databasePort)],
    ]);
    return { verdicts: verdictsIn(said), said, junit: await readFile(file, 'utf8') };
  } finally {
    await stop();
  }
}

/** @returns what it prints when it could try the page, whatever it found */
const run = (args: readonly string[]) =>
  new Promise<string>((resolve, reject) => {
    const signal = AbortSignal.timeout(TRIAL_MS);
    const options = { signal, env: { ...process.env, ...surroundings() } };
    execFile(process.execPath, [join(FOLDER, 'main.ts'), ...args], options, (err, stdout, stderr) =>
      err === null || err.code === FOUND
        ? resolve(stdout)
        : reject(new Error(`${err.message}\n${stdout}${stderr}`)),
    );
  });
/** The command's exit code where a rule was broken. */
const FOUND = 1;
const TRIAL_MS = 100_000;

const verdictsIn = (said: string): PageVerdict[] =>
  [...said.matchAll(/^ {2}(kept|BROKEN|not checked) +.*? \(([a-z-]+)\): (.*)$/gm)].map(
    ([, result, rule, evidence]) => ({
      rule: rule as RuleName,
      result: result!.toLowerCase() as PageVerdict['result'],
      evidence: evidence!,
    }),
  );

async function startOurs(databasePort: number, sourceUrl: string): Promise<RunningPage> {
  const [port, healthPort] = [await freePort(), await freePort()];
  const process = describeRole(
    { role: 'page-server', page: 'gig', name: 'gig-on-trial' },
    {
      database: () => databaseAt(databasePort),
      source: () => sourceUrl,
      brokers: () => stack.kafka.bootstrap,
      ...{ port: () => port, healthPort: () => healthPort, issuer: stack.issuer, callerKey: CALLER_KEY },
    },
  );
  // A trial opens the ways to database and source, and waits for the page.
  const role = await runRole(process, { logs: stack.folder, until: 'alive' });
  return {
    page: `${role.url}/gigs/{sellerId}`,
    metrics: `http://127.0.0.1:${healthPort}/metrics`,
    stop: () => role.stop(),
  };
}

/** A program of somebody else, over a database that a projector of ours fills. */
const startOther =
  (name: ExamplePage) =>
  async (databasePort: number, url: string): Promise<RunningPage> => {
    const [port, healthPort] = [await freePort(), await freePort()];
    const running = await startProcess({
      name,
      ...(await prepareExample(name)),
      env: settingsOfExample(name, {
        databaseUrl: databaseAt(databasePort, name),
        source: { url, credential: credential(name) },
        ...{ host: '127.0.0.1', port, healthPort },
      }),
      logFile: join(folder, `${name}.log`),
    });
    return {
      page: `http://127.0.0.1:${port}/sellers/{sellerId}`,
      metrics: `http://127.0.0.1:${healthPort}/metrics`,
      stop: () => running.stop(),
    };
  };

/** The example of docs/pages.md, as a program of its own. */
async function startExample(databasePort: number, sourceUrl: string): Promise<RunningPage> {
  const port = await freePort();
  const running = await startProcess({
    ...{ name: 'the example', command: process.execPath, args: [join(FOLDER, 'example.ts')] },
    logFile: join(folder, 'example.log'),
    env: { DATABASE_URL: databaseAt(databasePort), SOURCE_URL: sourceUrl, PORT: String(port) },
  });
  const at = `http://127.0.0.1:${port}`;
  return { page: `${at}/sellers/{sellerId}`, metrics: `${at}/metrics`, stop: () => running.stop() };
}

const startBad =
  (habit: BadPage['habit']) =>
  async (databasePort: number, sourceUrl: string): Promise<RunningPage> => {
    const { server, close } = openExample(databaseAt(databasePort), sourceUrl, habit());
    const at = `http://127.0.0.1:${await listen(server, 0, '127.0.0.1')}`;
    const stop = async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await close();
    };
    return { page: `${at}/sellers/{sellerId}`, metrics: `${at}/metrics`, stop };
  };

const GOOD: Readonly<Record<string, Start>> = {
  'our gig page': startOurs,
  'the example of docs/pages.md': startExample,
  'the page in Python': startOther('python-page'),
  'the page in JavaScript': startOther('node-page'),
};
const TRIALS: readonly {
  readonly name: string;
  readonly rules: readonly RuleName[];
  readonly start: Start;
}[] = [
  ...Object.entries(GOOD).map(([name, start]) => ({ name, rules: RULE_NAMES, start })),
  ...Object.entries(BAD).map(([name, { breaks, keeps, habit }]) => ({
    name,
    rules: [breaks, ...keeps],
    start: startBad(habit),
  })),
];
const results = new Map(TRIALS.map(({ name }) => [name, Promise.withResolvers<Trial>()]));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'conformance-page-'));
  // Once for each content of theirs: packages may have to be fetched.
  for (const name of EXAMPLE_PAGES) await prepareExample(name);
  stack = await startStack({
    pages: ['gig'],
    external: EXAMPLE_PAGES,
    sellers: TRIALS.length * SELLERS,
    // All trials come from one address.
    env: { 'top-clients': { TC_CANARY_INTERVAL_MS: 0, TC_REQUESTS_PER_MINUTE: 0 } },
  });
  const waiting = [...TRIALS.entries()];
  for (let i = 0; i < AT_ONCE; i++) {
    void (async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const [trial, { name, rules, start }] = next;
        const { resolve, reject } = results.get(name)!;
        await tried(trial, rules, start).then(resolve, reject);
      }
    })();
  }
}, 300_000);
afterAll(async () => {
  await Promise.allSettled([...results.values()].map(({ promise }) => promise));
  await stack?.stop();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

const told = (verdicts: readonly PageVerdict[]) =>
  verdicts.map(({ rule, result, evidence }) => `${result} ${rule}: ${evidence}`);

test.each(Object.keys(GOOD))(
  '%s keeps every rule, and JUnit says so, too',
  async (name) => {
    const { verdicts, said, junit } = await results.get(name)!.promise;
    expect(told(verdicts).filter((line) => !line.startsWith('kept'))).toEqual([]);
    expect(verdicts.map(({ rule }) => rule)).toEqual(RULE_NAMES);
    const all = RULE_NAMES.length;
    expect(said).toContain(`of ${all} rules ${all} were kept, 0 broken, 0 not checked`);
    expect(junit).toMatch(new RegExp(`<testsuites tests="${all}" failures="0" errors="0" skipped="0"`));
  },
  TRIAL_MS,
);

describe('a page that', () => {
  test.each(Object.keys(BAD))(
    '%s breaks the rule about that, and no other',
    async (name) => {
      const { breaks, because, keeps } = BAD[name]!;
      const { verdicts, junit } = await results.get(name)!.promise;
      const found = verdicts.map(({ rule, result }) => [rule, result]);
      const expected = RULE_NAMES.filter((rule) => rule === breaks || keeps.includes(rule)).map((rule) => [
        rule,
        rule === breaks ? 'broken' : 'kept',
      ]);
      // A verdict that was not expected is shown with what was seen.
      expect(isDeepStrictEqual(found, expected) ? [] : told(verdicts)).toEqual([]);
      expect(junit).toMatch(/<testsuites tests="\d+" failures="1" errors="0" skipped="0"/);
      expect(verdicts.find(({ rule }) => rule === breaks)!.evidence).toMatch(because);
    },
    TRIAL_MS,
  );
});
