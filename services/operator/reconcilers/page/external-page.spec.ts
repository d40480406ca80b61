/** A page of somebody else: what the operator makes for it, says about it, and takes away with it. */
import { beforeEach, expect, test } from '@jest/globals';
import { API_VERSION } from '#cdk8s/api/shared.ts';
import { DEMO } from '#cdk8s/testing/platforms.ts';
import { silentLog } from '#platform/log.ts';
import { credentialOf } from '../../../auth/caller-credential.ts';
import type { StoredObject } from '../../runtime/kube.ts';
import { KubeError } from '../../runtime/kube.ts';
import { FINALIZER, letGoOfPages } from '../finalizer.ts';
import { PLATFORM_KEY, pageKey } from '../keys.ts';
import type { reconciler } from '../reconcile.ts';
import { type JobFate, settle } from '../testing/controllers.ts';
import { InMemoryKube } from '../testing/in-memory-kube.ts';
import { reconcilerIn } from '../testing/reconciler.ts';

const NAMESPACE = 'shop';
const ADDRESS = 'postgresql://top_clients:secret@db.example.com:5432/shop';

let kube: InMemoryKube;
let now: number;
let fate: JobFate;
let told: string[];
let shown: Map<string, unknown>;
let reconcile: ReturnType<typeof reconciler>;

beforeEach(() => {
  kube = new InMemoryKube();
  now = Date.parse('2026-11-29T12:00:00Z');
  fate = (job) =>
    componentOf(job) === 'compare-views'
      ? { words: JSON.stringify({ sellers: 50, differing: 0, examples: [], caughtUp: true }) }
      : {};
  told = [];
  shown = new Map();
  reconcile = reconcilerIn({
    kube,
    now: () => now,
    events: { event: (about, _, reason) => told.push(`${about.metadata.name} ${reason}`) },
    whyNotReady: async () => 'the database is not there: connect ECONNREFUSED',
    onShown: (page, view) => shown.set(page, view),
  });
  put('TopClients', 'top-clients', DEMO.topClients);
  put('PageView', 'gig', {});
  secret('shop-database', { url: ADDRESS });
});

const put = (kind: string, name: string, spec: object) =>
  kube.put({ apiVersion: API_VERSION, kind, metadata: { name, namespace: NAMESPACE }, spec });
const secret = (name: string, stringData: Record<string, string>) =>
  kube.put({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: NAMESPACE }, stringData });
const page = (spec: object = {}, database: object = {}, external: object = {}) => {
  const before = kube.find('PageView', 'shop');
  const wanted = {
    external: { database: { existingSecret: 'shop-database', ...database }, ...external },
    ...spec,
  };
  return before ? kube.put({ ...before, spec: wanted }) : put('PageView', 'shop', wanted);
};
const run = async (rounds = 6) => {
  for (let i = 0; i < rounds; i++) {
    for (const key of [PLATFORM_KEY, pageKey('gig'), pageKey('shop')]) await reconcile(key);
    settle(kube, now, fate);
    now += 2_000;
  }
};
const componentOf = (object: StoredObject) => object.metadata.labels?.['app.kubernetes.io/component'];
const shop = () => kube.find('PageView', 'shop');
const condition = (type: string): { status: string; reason: string; message: string } =>
  shop()?.status.conditions.find((one: { type: string }) => one.type === type);
const said = (type: string) => `${condition(type).status} ${condition(type).reason}`;
const made = (kind: string) => kube.names(kind).filter((name) => /-shop\b/.test(name));
const podOf = (kind: string, name: string) => kube.find(kind, name)!.spec.template;
const settingsOf = (kind: string, name: string): Record<string, unknown> =>
  Object.fromEntries(
    podOf(kind, name).spec.containers[0].env.map(
      (one: { name: string; value?: string; valueFrom?: { secretKeyRef: object } }) => [
        one.name,
        one.value ?? one.valueFrom?.secretKeyRef,
      ],
    ),
  );
const OURS = { 'app.kubernetes.io/name': 'top-clients' };
const PROJECTOR = 'top-clients-projector-shop-asynchronous-v1';
const deletePage = () => {
  const object = shop()!;
  if (!object.metadata.finalizers?.length) kube.remove('PageView', 'shop');
  else
    kube.put({
      ...object,
      metadata: { ...object.metadata, deletionTimestamp: '2026-11-29T13:00:00Z' } as never,
    });
};

test('has projectors and a watcher of its own that sign in by its secret, no server, and is listed like any other', async () => {
  page({}, { caSecret: 'shop-ca', port: 5_432 }, { readerRoles: ['shop', 'reports'] });
  secret('shop-ca', { 'ca.crt': 'PEM' });
  await run();
  expect(made('Deployment')).toEqual([PROJECTOR, 'top-clients-watch-shop']);
  expect(made('Service')).toEqual([]);
  const address = { name: 'shop-database', key: 'url' };
  expect(settingsOf('Deployment', PROJECTOR)).toMatchObject({
    TC_PAGE: 'shop',
    TC_DATABASE_URL: address,
    TC_DATABASE_CA_FILE: '/etc/page-postgres-ca/ca.crt',
  });
  expect(settingsOf('Deployment', 'top-clients-watch-shop')).toMatchObject({
    TC_DATABASE_URL: address,
    TC_SOURCE_DATABASE_URL: expect.stringContaining('/source'),
  });
  expect(settingsOf('Job', made('Job')[0]!)).toMatchObject({
    TC_TARGET: 'shop',
    TC_EXTERNAL: 'true',
    TC_READER_ROLES: 'shop,reports',
    TC_DATABASE_URL: address,
  });
  expect(shop()?.status).toMatchObject({ ready: '1/1', replicas: 1, lag: 0, view: 'v1' });
  expect([said('Ready'), said('Progressing'), said('Degraded'), said('ViewCurrent')]).toEqual([
    'True Available',
    'False Settled',
    'False AsWanted',
    'True Current',
  ]);
  expect(shown.get('shop')).toMatchObject({ delivery: 'asynchronous', version: 1 });
});

test('switches its view without anything of it being rolled out, and drops the one before', async () => {
  page({ view: { version: 1, keepSeconds: 0 } });
  await run();
  page({ view: { version: 2, keepSeconds: 0 } });
  await run(12);
  expect(shop()?.status).toMatchObject({ view: 'v2', shown: { version: 2 } });
  expect(made('Deployment')).toEqual(['top-clients-watch-shop', PROJECTOR.replace('v1', 'v2')]);
  expect(told).toEqual(expect.arrayContaining(['shop ViewSwitched', 'shop ViewDropped']));
});

test('reaches its database through the network policies, and its callers the source', async () => {
  const callers = [{ namespaceSelector: { matchLabels: { team: 'shop' } }, podSelector: {} }];
  page({}, { port: 6_432 }, { callers });
  secret('shop-database', { url: ADDRESS.replace('5432', '6432') });
  await run();
  expect(kube.find('NetworkPolicy', 'top-clients-page-shop-database')?.spec).toMatchObject({
    podSelector: { matchLabels: { 'topclients.dev/external-page': 'shop' } },
    egress: [{ ports: [{ port: 6_432 }] }],
  });
  for (const name of made('Deployment'))
    expect(podOf('Deployment', name).metadata.labels).toMatchObject({
      'topclients.dev/external-page': 'shop',
    });
  expect(kube.find('NetworkPolicy', 'top-clients-page-shop-callers')?.spec).toMatchObject({
    podSelector: { matchLabels: { 'app.kubernetes.io/component': 'source' } },
    ingress: [{ from: callers, ports: [{ port: 8_080 }] }],
  });
});

test('gets a credential for the source, and a new one when the key of the source changes', async () => {
  page();
  await run();
  const text = (name: string, key: string) => {
    const { data } = kube.find('Secret', name) as unknown as { data: Record<string, string> };
    return Buffer.from(data[key]!, 'base64').toString();
  };
  const before = text('top-clients-callers', 'key');
  expect(text('top-clients-caller-shop', 'credential')).toBe(credentialOf(before, 'shop'));
  expect(text('top-clients-caller-shop', 'url')).toBe('http://top-clients.shop.svc:8080');
  const platform = kube.find('TopClients', 'top-clients')!;
  const annotations = { 'topclients.dev/rotate-callers': 'now' };
  kube.put({ ...platform, metadata: { ...platform.metadata, annotations } });
  await run();
  expect(text('top-clients-callers', 'key')).not.toBe(before);
  expect(text('top-clients-caller-shop', 'credential')).toBe(
    credentialOf(text('top-clients-callers', 'key'), 'shop'),
  );
});

test('is settled: then nothing is written', async () => {
  page();
  await run();
  kube.writes.length = 0;
  await run(2);
  expect(kube.writes).toEqual([]);
});

test('whose secret changes has all that uses it start anew, and is migrated again', async () => {
  page();
  await run();
  const before = [podOf('Deployment', PROJECTOR).metadata.annotations, made('Job')];
  secret('shop-database', { url: ADDRESS.replace('secret', 'renewed') });
  await run();
  expect(podOf('Deployment', PROJECTOR).metadata.annotations).not.toEqual(before[0]);
  expect(made('Job')).not.toEqual(before[1]);
  expect(said('Ready')).toBe('True Available');
});

test.each<[string, () => void, RegExp]>([
  [
    'a secret that is missing',
    () => kube.remove('Secret', 'shop-database'),
    /^the secret shop-database, which spec\.external\.database\.existingSecret names, is not there; create it with the keys url$/,
  ],
  [
    'a secret without the key',
    () => secret('shop-database', { address: ADDRESS }),
    /has no url; add what is missing$/,
  ],
  [
    'a port that the policies do not let out to',
    () => secret('shop-database', { url: ADDRESS.replace('5432', '6432') }),
    /leads to port 6432, and network policies let out to 5432 only; set spec\.external\.database\.port to 6432$/,
  ],
])('%s is told, holds up no other page, and goes on by itself once it is mended', async (_, spoil, told) => {
  spoil();
  page();
  await run();
  expect(said('Degraded')).toBe('True SecretMissing');
  expect(condition('Degraded').message).toMatch(told);
  expect(made('Job')).toEqual([]);
  expect(kube.names('Deployment')).toContain('top-clients-page-gig');
  secret('shop-database', { url: ADDRESS });
  await run();
  expect([said('Degraded'), said('Ready')]).toEqual(['False AsWanted', 'True Available']);
});

test('whose database refuses says so in the words of the migration, also while it is tried again', async () => {
  const words = 'the user "shop" may not make schemas in the database "shop": grant create on database';
  const fails =
    (failed: boolean): JobFate =>
    (job) =>
      componentOf(job) === 'migrate' && job.metadata.name.includes('-shop-')
        ? failed
          ? { failed, words }
          : null
        : {};
  fate = fails(false);
  page();
  await run();
  const [job] = made('Job');
  kube.put(
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `${job}-first`, labels: { ...OURS, 'batch.kubernetes.io/job-name': job! } },
    },
    {
      containerStatuses: [{ state: { terminated: { finishedAt: '2026-11-29T12:00:00Z', message: words } } }],
    },
  );
  await reconcile(pageKey('shop'));
  expect(said('Progressing')).toBe('True Migrating');
  expect(condition('Progressing').message).toContain(`which is tried again: ${words}`);
  fate = fails(true);
  await run(2);
  expect(said('Degraded')).toBe('True MigrationFailed');
  expect(condition('Degraded').message).toContain(words);
  expect(said('Ready')).toBe('False NotProjected');
  fate = () => ({});
  now += 600_000;
  await run();
  expect([said('Degraded'), said('Ready')]).toEqual(['False AsWanted', 'True Available']);
});

test('says of a database that goes away later what its projectors say of it', async () => {
  page();
  await run();
  const projector = kube.find('Deployment', PROJECTOR)!;
  kube.put(projector, { ...projector.status, conditions: [{ type: 'Available', status: 'False' }] });
  const pod = kube.find('Pod', `${PROJECTOR}-0`)!;
  kube.put(pod, { ...pod.status, conditions: [{ type: 'Ready', status: 'False' }] });
  await reconcile(pageKey('shop'));
  expect(said('Ready')).toBe('False NotProjected');
  expect(condition('Ready').message).toBe(
    'what the page reads stays as it is, but no projector keeps its data up: the database is not there: connect ECONNREFUSED',
  );
});

test.each([
  ['a name of ours', 'user', 'gig, user, search are served by Top Clients'],
  ['a name that is taken', 'source', 'the name of a page of yours'],
  ['a name that no object could have', 'a-shop-with-a-name-that-is-too-long', 'the name of a page of yours'],
])('%s is refused where the definition is older', async (_, name, because) => {
  put('PageView', name, { external: { database: { existingSecret: 'shop-database' } } });
  await reconcile(PLATFORM_KEY);
  await reconcile(pageKey(name));
  const conditions = kube.find('PageView', name)?.status.conditions as { type: string; message: string }[];
  expect(conditions.find(({ type }) => type === 'Degraded')?.message).toContain(`metadata.name: ${because}`);
});

test('stays in its database by default, and is let go at once', async () => {
  page();
  await run();
  expect(shop()?.metadata.finalizers ?? []).toEqual([]);
  deletePage();
  await run(1);
  expect(made('Job').filter((name) => name.includes('-drop-'))).toEqual([]);
  expect(shown.get('shop')).toBeNull();
});

test('is removed from its database first where that is wanted: once nothing works there any more', async () => {
  const removing: JobFate = () => null;
  page({ deletionPolicy: 'Delete' });
  await reconcile(PLATFORM_KEY);
  await reconcile(pageKey('shop'));
  expect(shop()?.metadata.finalizers).toEqual([FINALIZER]);
  expect(made('Job')).toEqual([]);
  await run();
  fate = removing;
  deletePage();
  await reconcile(pageKey('shop'));
  expect(made('Deployment')).toEqual([]);
  expect(made('Job')).toEqual([]);
  await reconcile(pageKey('shop'));
  expect(made('Job')).toEqual([]);
  await run(2);
  const [drop] = made('Job');
  expect(drop).toMatch(/^top-clients-drop-shop-/);
  expect(podOf('Job', drop!).spec.containers[0].args).toEqual(['drop-page']);
  expect(said('Progressing')).toBe('True BeingDeleted');
  fate = () => ({});
  await run(2);
  expect(shop()).toBeUndefined();
  expect(told).toContain('shop ViewsRemoved');
});

test('whose removal fails says why, tries again, and is let go when its views may stay', async () => {
  page({ deletionPolicy: 'Delete' });
  await run();
  deletePage();
  fate = (job) =>
    componentOf(job) === 'drop-view' ? { failed: true, words: 'view public.best depends' } : {};
  await run(4);
  expect(said('Degraded')).toBe('True DropFailed');
  expect(condition('Degraded').message).toMatch(/view public\.best depends.*deletionPolicy to Retain/);
  const uid = () => kube.find('Job', made('Job')[0] ?? '')?.metadata.uid;
  const first = uid();
  now += 60_000;
  await run(2);
  expect(uid()).not.toBe(first);
  page({ deletionPolicy: 'Retain' });
  await reconcile(pageKey('shop'));
  expect(shop()).toBeUndefined();
});

test('whose removal has no address to go to says so at once', async () => {
  page({ deletionPolicy: 'Delete' });
  await run();
  kube.remove('Secret', 'shop-database');
  deletePage();
  await run(4);
  expect(condition('Degraded').message).toMatch(/could not be removed: the secret shop-database/);
  expect(made('Job')).toEqual([]);
  secret('shop-database', { url: ADDRESS });
  await run(4);
  expect(shop()).toBeUndefined();
});

test('is let go when there is no platform any more to remove it by', async () => {
  page({ deletionPolicy: 'Delete' });
  await run();
  kube.remove('TopClients', 'top-clients');
  deletePage();
  await reconcile(pageKey('shop'));
  expect(shop()).toBeUndefined();
  expect(told).toContain('shop ViewsStay');
});

const endNamespace = () =>
  kube.put({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: NAMESPACE, deletionTimestamp: '2026-11-23T12:00:00Z' } as never,
  });

test('is let go when its namespace is being deleted, where nothing can be run any more', async () => {
  page({ deletionPolicy: 'Delete' });
  await run();
  deletePage();
  endNamespace();
  await reconcile(pageKey('shop'));
  expect(shop()).toBeUndefined();
  expect(told).toContain('shop ViewsStay');
});

test('is let go by an operator that stops with the namespace, before the page is deleted', async () => {
  page({ deletionPolicy: 'Delete' });
  await run();
  await letGoOfPages(kube, NAMESPACE, silentLog);
  expect(shop()?.metadata.finalizers).toEqual([FINALIZER]);
  endNamespace();
  await letGoOfPages(kube, NAMESPACE, silentLog);
  expect(shop()?.metadata.finalizers).toEqual([]);
  kube.refuse = () => {
    throw new KubeError('not yours', 403, 'Forbidden');
  };
  await letGoOfPages(kube, NAMESPACE, silentLog);
});

test('whose policy is taken back does not wait at its deletion', async () => {
  page({ deletionPolicy: 'Delete' });
  await run();
  page({ deletionPolicy: 'Retain' });
  await run(1);
  expect(shop()?.metadata.finalizers).toEqual([]);
});
