import { beforeEach, describe, expect, test } from '@jest/globals';
import { API_VERSION } from '#cdk8s/api/shared.ts';
import { DEMO } from '#cdk8s/testing/platforms.ts';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { cachedKube } from '../runtime/cached-kube.ts';
import { type Kube, KubeError, type Ref } from '../runtime/kube.ts';
import { PLATFORM_KEY, pageKey } from './keys.ts';
import { EVENT, PAGE_VIEW, POD, SECRET } from './kinds.ts';
import type { reconciler } from './reconcile.ts';
import { settle } from './testing/controllers.ts';
import { InMemoryKube } from './testing/in-memory-kube.ts';
import { LaggingCaches } from './testing/lagging-caches.ts';
import { reconcilerIn } from './testing/reconciler.ts';

const NAMESPACE = 'shop';
const PAGES = PAGE_NAMES;
const KEYS = [PLATFORM_KEY, ...PAGES.map(pageKey)];
const VERDICT = JSON.stringify({ sellers: 50, differing: 0, examples: [], caughtUp: true });

let api: InMemoryKube;
let caches: LaggingCaches;
let now: number;
/** What reached the API server, as `list Pod`. */
let asked: string[];
let kube: Kube;
let reconcile: ReturnType<typeof reconciler>;

/** A leader of a new term. */
const begin = () => {
  const counting: Kube = Object.assign(Object.create(api) as InMemoryKube, {
    get: (ref: Ref) => {
      asked.push(`get ${ref.kind}`);
      return api.get(ref);
    },
    list: (...args: Parameters<Kube['list']>) => {
      asked.push(`list ${args[0].kind}`);
      return api.list(...args);
    },
  });
  kube = cachedKube(
    new Proxy(counting, {
      get: (of, name: keyof Kube) =>
        ['get', 'list'].includes(name) ? of[name] : (api[name] as () => unknown).bind(api),
    }),
    caches,
    {
      looked: [
        { kind: SECRET, everyMs: 60_000 },
        { kind: EVENT, everyMs: 10_000 },
      ],
      now: () => now,
    },
  );
  reconcile = reconcilerIn({ kube, now: () => now });
};
const own = (kind: string, name: string, spec: object) =>
  api.put({ apiVersion: API_VERSION, kind, metadata: { name, namespace: NAMESPACE }, spec });
const all = async () => {
  for (const key of KEYS) await reconcile(key);
};
/** @param hears whether the caches hear of what happened before the next reconcile */
const run = async (rounds: number, hears = true) => {
  for (let i = 0; i < rounds; i++) {
    await all();
    settle(api, now, (job) => (job.metadata.name.includes('compare') ? { words: VERDICT } : {}));
    now += 2_000;
    if (hears) caches.hear();
  }
};

beforeEach(() => {
  api = new InMemoryKube();
  caches = new LaggingCaches(api);
  now = Date.parse('2026-11-23T12:00:00Z');
  asked = [];
  begin();
  own('TopClients', 'top-clients', DEMO.topClients);
  for (const name of PAGES) own('PageView', name, {});
});

describe('an idle leader', () => {
  beforeEach(() => run(8));

  test('lists nothing in a minute, and reads a handful of secrets', async () => {
    caches.hear();
    const writes = api.writes.length;
    asked = [];
    // Lag is asked for every five seconds.
    for (let i = 0; i < 12; i++) {
      await all();
      now += 5_000;
    }
    expect(api.writes.slice(writes)).toEqual([]);
    expect(asked.filter((one) => one !== 'get Secret')).toEqual([]);
    expect(asked.length).toBeLessThanOrEqual(api.names('Secret').length);
  });

  test('of a new term reads everything once, and then no more', async () => {
    begin();
    asked = [];
    await all();
    expect(asked).toContain('list Deployment');
    caches.hear();
    asked = [];
    await all();
    expect(asked.filter((one) => one !== 'get Secret')).toEqual([]);
  });

  test('that may not read a secret does not ask for it each time', async () => {
    let refused = 0;
    const get = api.get.bind(api);
    api.get = async (ref) => {
      if (ref.kind === 'Secret' && ref.name === 'mine') {
        refused += 1;
        throw new KubeError('no', 403, 'Forbidden');
      }
      return get(ref);
    };
    own('TopClients', 'top-clients', {
      ...DEMO.topClients,
      postgres: { mode: 'external', external: { existingSecret: 'mine' } },
    });
    await run(1);
    refused = 0;
    for (let i = 0; i < 5; i++) await reconcile(PLATFORM_KEY);
    expect(refused).toBeLessThanOrEqual(1);
  });
});

describe('caches that are behind', () => {
  test('a system is built as well when they hear of our own writes late, or not at all', async () => {
    // Controllers and pods are heard of, so nothing would move without; our own objects are read again.
    await run(1);
    for (let i = 0; i < 8; i++) {
      if (i % 2 === 0) caches.hear();
      await run(1, false);
    }
    caches.hear();
    await run(2);
    expect(api.find('PageView', 'gig')?.status).toMatchObject({ view: 'v1', ready: '2/2' });
    // Nothing was made twice: each job once, each write of an object that was there was a change.
    const jobs = api.writes.filter((write) => write.startsWith('apply Job'));
    expect(new Set(jobs).size).toBe(jobs.length);
  });

  test('a second reconcile right after the first applies nothing again', async () => {
    await run(8);
    own('TopClients', 'top-clients', { ...DEMO.topClients, relay: { replicas: 3 } });
    caches.hear();
    await reconcile(PLATFORM_KEY);
    const writes = api.writes.length;
    await reconcile(PLATFORM_KEY);
    expect(api.writes.slice(writes).filter((write) => write.startsWith('apply'))).toEqual([]);
  });

  test('a decision is not made on a status that was written since', async () => {
    await run(8);
    own('PageView', 'gig', { view: { version: 2 } });
    caches.hear();
    await reconcile(pageKey('gig'));
    // The cache still has the status before the build began.
    const begun = api.find('PageView', 'gig')?.status.building.startedAt;
    now += 3_000;
    await reconcile(pageKey('gig'));
    expect(api.find('PageView', 'gig')?.status.building.startedAt).toBe(begun);
  });

  test('an object that was deleted by us is gone, whatever they say', async () => {
    await run(8);
    caches.hear();
    const ref = { apiVersion: 'v1', kind: 'Service', name: 'top-clients-page-gig', namespace: NAMESPACE };
    const uid = api.find('Service', ref.name)!.metadata.uid;
    await kube.delete(ref, { uid });
    expect(await kube.get(ref)).toBeNull();
    expect(
      (await kube.list(ref, NAMESPACE, 'app.kubernetes.io/managed-by=top-clients-operator')).map(
        ({ metadata }) => metadata.name,
      ),
    ).not.toContain(ref.name);
  });

  test('after a conflict the object is read again', async () => {
    await run(8);
    caches.hear();
    const before = (await kube.get({ ...PAGE_VIEW, namespace: NAMESPACE, name: 'gig' }))!;
    own('PageView', 'gig', { projector: { maxDatabaseConnections: 30 } });
    const { apiVersion, kind, metadata } = before;
    const { name, namespace, resourceVersion } = metadata as Record<
      'name' | 'namespace' | 'resourceVersion',
      string
    >;
    const stale = { apiVersion, kind, metadata: { name, namespace, resourceVersion }, status: {} };
    await expect(kube.applyStatus(stale)).rejects.toMatchObject({ code: 409 });
    const after = await kube.get({ ...PAGE_VIEW, namespace: NAMESPACE, name: 'gig' });
    expect(after?.spec.projector).toEqual({ maxDatabaseConnections: 30 });
  });

  test('before a view is removed, pods are read from the API server', async () => {
    await run(8);
    own('PageView', 'gig', { view: { version: 2, keepSeconds: 0 } });
    caches.hear();
    const dropped = () => api.writes.some((write) => write.startsWith('apply Job top-clients-drop-gig'));
    for (let i = 0; i < 20 && !dropped(); i++) {
      await run(1);
      asked = [];
      await reconcile(pageKey('gig'));
    }
    expect(dropped()).toBe(true);
    expect(asked).toContain(`list ${POD.kind}`);
    expect(api.find('PageView', 'gig')?.status.view).toBe('v2');
  });
});
