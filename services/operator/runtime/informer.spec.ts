import { createServer, type Server, type ServerResponse } from 'node:http';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { drain, listen } from '#platform/listen.ts';
import { silentLog } from '#platform/log.ts';
import { type Api, openApi } from './api.ts';
import { type InformerSettings, type RunningInformer, startInformer } from './informer.ts';
import type { StoredObject } from './kube.ts';

const POD = { apiVersion: 'v1', kind: 'Pod' };
const pod = (name: string, resourceVersion: number) => ({
  ...POD,
  metadata: {
    name,
    namespace: 'shop',
    uid: name,
    resourceVersion: String(resourceVersion),
    creationTimestamp: '2026-11-01T10:00:00Z',
    managedFields: [{ manager: 'kubectl' }],
  },
});
const gone = { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' } };

/** What each list and each watch is answered, in order; the last one answers all further ones. */
type ApiServerAnswer = (res: ServerResponse, query: URLSearchParams) => void;
let lists: ApiServerAnswer[];
let watches: ApiServerAnswer[];
let asked: { what: 'list' | 'watch'; query: URLSearchParams; at: number }[];
let server: Server;
let api: Api;
let informer: RunningInformer;
let told: string[];

const listOf =
  (version: number, ...items: object[]): ApiServerAnswer =>
  (res) =>
    void res.end(JSON.stringify({ kind: 'PodList', metadata: { resourceVersion: String(version) }, items }));
const refuse =
  (code: number, headers: Record<string, string> = {}): ApiServerAnswer =>
  (res) =>
    void res
      .writeHead(code, headers)
      .end(JSON.stringify({ kind: 'Status', code, reason: 'Made up', message: 'no' }));
const send = (res: ServerResponse, type: string, object: object) =>
  res.write(`${JSON.stringify({ type, object })}\n`);
const silent: ApiServerAnswer = (res) => res.flushHeaders();
const break_: ApiServerAnswer = (res) => void res.destroy();
const says =
  (...events: { type: string; object: object }[]): ApiServerAnswer =>
  (res) => {
    for (const { type, object } of events) send(res, type, object);
  };
const saysAndEnds =
  (...events: { type: string; object: object }[]): ApiServerAnswer =>
  (res, query) => {
    says(...events)(res, query);
    res.end();
  };

beforeEach(async () => {
  lists = [];
  watches = [];
  asked = [];
  told = [];
  server = createServer((req, res) => {
    const { searchParams: query } = new URL(req.url!, 'http://localhost');
    const what = query.has('watch') ? 'watch' : 'list';
    const answers = what === 'watch' ? watches : lists;
    asked.push({ what, query, at: performance.now() });
    const answer = answers.length > 1 ? answers.shift()! : answers[0]!;
    answer(res, query);
  });
  const port = await listen(server, 0, '127.0.0.1');
  api = openApi({ server: new URL(`http://127.0.0.1:${port}`), tls: {}, headers: async () => ({}) });
});
afterEach(async () => {
  await informer.stop();
  await api.close();
  server.closeAllConnections();
  await drain(server);
});

function start(settings: Partial<InformerSettings> = {}): void {
  informer = startInformer(api, {
    kind: POD,
    namespace: 'shop',
    log: silentLog,
    onChange: (key, object) => told.push(`${key} ${object?.metadata.resourceVersion ?? 'gone'}`),
    ...settings,
    timing: { firstRetryMs: 10, maxRetryMs: 80, callMs: 4_000, ...settings.timing },
  });
}
async function until(holds: () => boolean, what: () => unknown = () => told): Promise<void> {
  for (const began = performance.now(); !holds(); ) {
    if (performance.now() - began > 5_000) throw new Error(`never: ${holds}; ${JSON.stringify(what())}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
const names = () => informer.list().map(({ metadata }) => metadata.name);
const count = (what: 'list' | 'watch') => asked.filter((one) => one.what === what).length;

test('it lists, then follows what is added, changed and deleted', async () => {
  lists = [listOf(5, pod('a', 3), pod('b', 4))];
  watches = [
    says(
      { type: 'MODIFIED', object: pod('a', 6) },
      { type: 'DELETED', object: pod('b', 7) },
      { type: 'ADDED', object: pod('c', 8) },
    ),
  ];
  start({ labelSelector: 'app=x' });
  expect(informer.staleBecause()).toContain('not listed yet');
  expect(await informer.listed).toBe(true);
  await until(() => told.length === 5);
  expect(told).toEqual(['shop/a 3', 'shop/b 4', 'shop/a 6', 'shop/b gone', 'shop/c 8']);
  expect(names()).toEqual(['a', 'c']);
  expect(informer.get('shop', 'a')?.metadata.resourceVersion).toBe('6');
  expect(informer.get('other', 'a')).toBeUndefined();
  expect(informer.staleBecause()).toBeNull();
  expect(Object.fromEntries(asked[1]!.query)).toMatchObject({
    watch: 'true',
    allowWatchBookmarks: 'true',
    resourceVersion: '5',
    labelSelector: 'app=x',
  });
});

test('who owns which field is not kept', async () => {
  lists = [listOf(5, pod('a', 3))];
  watches = [silent];
  start();
  await informer.listed;
  expect(informer.get('shop', 'a')?.metadata).not.toHaveProperty('managedFields');
});

test('events are read however they were cut into pieces', async () => {
  lists = [listOf(1)];
  const bytes = Buffer.from(
    ['ääää', 'b']
      .map((name, i) => `${JSON.stringify({ type: 'ADDED', object: pod(name, i + 2) })}\n`)
      .join(''),
  );
  watches = [
    (res) => {
      let at = 0;
      const next = () => {
        if (at >= bytes.length) return;
        res.write(bytes.subarray(at, at + 3));
        at += 3;
        setImmediate(next);
      };
      next();
    },
  ];
  start();
  await until(() => told.length === 2);
  expect(told).toEqual(['shop/ääää 2', 'shop/b 3']);
});

test('a watch that ends goes on from the last version heard, a bookmark included, without a list', async () => {
  lists = [listOf(5)];
  watches = [
    saysAndEnds(
      { type: 'ADDED', object: pod('a', 6) },
      { type: 'BOOKMARK', object: { metadata: { resourceVersion: '9' } } },
    ),
    silent,
  ];
  start();
  await until(() => count('watch') === 2);
  expect(asked.map(({ what, query }) => `${what} ${query.get('resourceVersion')}`)).toEqual([
    'list null',
    'watch 5',
    'watch 9',
  ]);
});

test('a connection that breaks goes on from the last version heard', async () => {
  lists = [listOf(5)];
  watches = [
    (res) => {
      send(res, 'ADDED', pod('a', 6));
      setTimeout(() => res.destroy(), 20);
    },
    silent,
  ];
  start();
  await until(() => count('watch') === 2);
  expect(asked.at(-1)!.query.get('resourceVersion')).toBe('6');
  expect(count('list')).toBe(1);
});

test.each([
  ['as the status of the watch', refuse(410)],
  ['as an event', saysAndEnds(gone)],
])('a version that is gone, told %s, is cured by a list that finds what was missed', async (_, expired) => {
  lists = [
    listOf(5, pod('a', 3), pod('b', 4), pod('c', 5)),
    listOf(20, pod('a', 3), pod('b', 15), pod('d', 16)),
  ];
  watches = [expired, silent];
  let relists = 0;
  start({
    onRelist: () => {
      relists += 1;
    },
  });
  await until(() => count('watch') === 2);
  // What did not change is not told again.
  expect(told.slice(3)).toEqual(['shop/c gone', 'shop/b 15', 'shop/d 16']);
  expect(names().sort()).toEqual(['a', 'b', 'd']);
  expect(asked.at(-1)!.query.get('resourceVersion')).toBe('20');
  expect(relists).toBe(1);
});

test('a server to which every version is gone is not asked without a pause', async () => {
  lists = [listOf(5)];
  watches = [saysAndEnds(gone)];
  start({ timing: { firstRetryMs: 100, maxRetryMs: 400 } });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  // At once after the first, then after 50 to 100 ms, 100 to 200, 200 to 400 each.
  expect(count('list')).toBeGreaterThanOrEqual(2);
  expect(count('list')).toBeLessThanOrEqual(9);
});

test('a server that ends every watch at once is not asked without a pause', async () => {
  lists = [listOf(5)];
  watches = [saysAndEnds()];
  start({ timing: { firstRetryMs: 100, maxRetryMs: 400 } });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(count('watch')).toBeGreaterThanOrEqual(2);
  expect(count('watch')).toBeLessThanOrEqual(9);
});

test.each(['list', 'watch'] as const)(
  'a %s told to slow down waits at least as long as asked',
  async (what) => {
    lists = [listOf(5, pod('a', 3))];
    watches = [silent];
    (what === 'list' ? lists : watches).unshift(refuse(429, { 'retry-after': '1' }));
    start();
    await until(() => count(what) === 2);
    const [first, second] = asked.filter((one) => one.what === what);
    expect(second!.at - first!.at).toBeGreaterThanOrEqual(995);
    await informer.listed;
    expect(names()).toEqual(['a']);
    expect(count('list')).toBe(what === 'list' ? 2 : 1);
  },
);

test('a server that comes up slowly is asked until it answers, later each time', async () => {
  lists = [break_, refuse(500), refuse(503), break_, listOf(5, pod('a', 3))];
  watches = [silent];
  start({ timing: { firstRetryMs: 40, maxRetryMs: 10_000 } });
  await until(() => informer.staleBecause()?.includes('not listed yet: list Pod') ?? false);
  await informer.listed;
  const times = asked.filter(({ what }) => what === 'list').map(({ at }) => at);
  expect(times).toHaveLength(5);
  // 20 to 40 ms after the first failure, 160 to 320 after the fourth.
  expect(times[4]! - times[3]!).toBeGreaterThan(times[1]! - times[0]!);
});

test('a version that the server keeps refusing is given up for a list', async () => {
  lists = [listOf(5, pod('a', 3)), listOf(9, pod('a', 3))];
  watches = [...Array(5).fill(refuse(500)), silent];
  start();
  await until(
    () => asked.at(-1)?.query.get('resourceVersion') === '9',
    () => asked,
  );
  expect(count('list')).toBe(2);
});

test('a connection that went silent is left, and what it swallowed is caught up on', async () => {
  lists = [listOf(5)];
  watches = [
    // Accepted, and then nothing, not even the end the server was asked for.
    silent,
    says({ type: 'ADDED', object: pod('a', 6) }),
  ];
  start({ timing: { watchMs: 500, graceMs: 100 } });
  await until(() => names().includes('a'));
  const [first, second] = asked.filter(({ what }) => what === 'watch');
  expect(first!.query.get('timeoutSeconds')).toBe('1');
  expect(second!.at - first!.at).toBeGreaterThanOrEqual(1_000);
  expect(second!.at - first!.at).toBeLessThan(4_000);
  expect(second!.query.get('resourceVersion')).toBe('5');
});

test('a connection that is never accepted is left as well', async () => {
  lists = [listOf(5)];
  watches = [() => {}, says({ type: 'ADDED', object: pod('a', 6) })];
  start({ timing: { callMs: 100 } });
  await until(() => names().includes('a'));
});

test('silence for too long makes it stale, with the reason, until it hears again', async () => {
  lists = [listOf(5)];
  watches = [break_];
  // Half a second to a second of watch, twice a grace of 100 ms: stale after 0.7 s.
  start({ timing: { watchMs: 250, graceMs: 100 } });
  await informer.listed;
  expect(informer.staleBecause()).toBeNull();
  await until(() => informer.staleBecause() !== null);
  expect(informer.staleBecause()).toMatch(/^Pod of shop: nothing heard for \d+ s: watch Pod of shop: .+/);
  expect(names()).toEqual([]);
  watches = [silent];
  await until(() => informer.staleBecause() === null);
});

test('watches of different informers do not end together', async () => {
  lists = [listOf(5)];
  watches = [silent];
  const asking = new Set<string>();
  for (let i = 0; i < 20; i++) {
    start({ timing: { watchMs: 25_000 } });
    await until(() => count('watch') === i + 1);
    asking.add(asked.at(-1)!.query.get('timeoutSeconds')!);
    await informer.stop();
  }
  expect(asking.size).toBeGreaterThan(5);
  for (const seconds of asking) {
    expect(Number(seconds)).toBeGreaterThanOrEqual(25);
    expect(Number(seconds)).toBeLessThanOrEqual(50);
  }
});

test('a listener that throws does not end it', async () => {
  lists = [listOf(5, pod('a', 3))];
  watches = [says({ type: 'ADDED', object: pod('b', 6) })];
  start({
    onChange: (key: string, _: StoredObject | undefined) => {
      told.push(key);
      throw new Error('a bug of the listener');
    },
  });
  await until(() => told.length === 2);
  expect(names()).toEqual(['a', 'b']);
});

test('stopped, it ends its watch and asks no more, also while it waits or lists', async () => {
  lists = [listOf(5)];
  let closed = false;
  watches = [
    (res) => {
      res.flushHeaders();
      res.once('close', () => {
        closed = true;
      });
    },
  ];
  start();
  await until(() => count('watch') === 1);
  await informer.stop();
  await until(() => closed);

  lists = [() => {}];
  start({ timing: { callMs: 60_000 } });
  await until(() => count('list') === 2);
  await informer.stop();
  expect(await informer.listed).toBe(false);
});
