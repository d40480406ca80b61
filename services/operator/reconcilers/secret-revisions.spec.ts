import { beforeEach, describe, expect, test } from '@jest/globals';
import { API_VERSION } from '#cdk8s/api/shared.ts';
import { DEMO } from '#cdk8s/testing/platforms.ts';
import { CALLERS } from '#contracts/callers.ts';
import { KubeError } from '../runtime/kube.ts';
import { PLATFORM_KEY, pageKey } from './keys.ts';
import type { reconciler } from './reconcile.ts';
import { SECRETS_ANNOTATION, SECRETS_LOOK_MS, secretsUsed, withSecretRevisions } from './secret-revisions.ts';
import { settle } from './testing/controllers.ts';
import { InMemoryKube } from './testing/in-memory-kube.ts';
import { reconcilerIn } from './testing/reconciler.ts';

const OF_PAGES = ['gig', 'user', 'search', 'self-view'];

test('every way is seen in which a pod takes a secret, but for the files that are read again', () => {
  const from = (name: string, key: string) => ({ valueFrom: { secretKeyRef: { name, key } } });
  const spec = {
    initContainers: [{ env: [from('b', 'x')] }],
    containers: [{ env: [from('a', 'z'), from('a', 'y'), {}] }, { envFrom: [{ secretRef: { name: 'c' } }] }],
    volumes: [
      { name: 'tmp', emptyDir: {} },
      { name: 'kafka-ca', secret: { secretName: 'f' } },
      { name: 'key', secret: { secretName: 'd', items: [{ key: 'k.jwk', path: 'k.jwk' }] } },
      { name: 'all', secret: { secretName: 'b' } },
      {
        name: 'many',
        projected: { sources: [{ secret: { name: 'e', items: [{ key: 'k', path: 'k' }] } }, {}] },
      },
    ],
  };
  expect(secretsUsed({ spec })).toEqual([
    ['a', ['y', 'z']],
    ['b', null],
    ['c', null],
    ['d', ['k.jwk']],
    ['e', ['k']],
  ]);
});

describe('of what runs', () => {
  let kube: InMemoryKube;
  let now: number;
  let reconcile: ReturnType<typeof reconciler>;

  const own = (kind: string, name: string, spec: object) =>
    kube.put({ apiVersion: API_VERSION, kind, metadata: { name, namespace: 'shop' }, spec });
  const secret = (name: string, content: Readonly<Record<string, string>>, annotations = {}) =>
    kube.put({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace: 'shop', annotations },
      data: Object.fromEntries(
        Object.entries(content).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
      ),
    });
  const run = async () => {
    for (let i = 0; i < 6; i++) {
      await reconcile(PLATFORM_KEY);
      await reconcile(pageKey('gig'));
      settle(kube, now);
      now += 2_000;
    }
  };
  const revisions = () =>
    Object.fromEntries(
      kube
        .names('Deployment')
        .map((name) => [
          name,
          kube.find('Deployment', name)?.spec.template.metadata.annotations[SECRETS_ANNOTATION],
        ]),
    );
  /** The Deployments that start anew with what is done, and the Jobs that are run for it. */
  const follows = async (change: () => void) => {
    const before = revisions();
    const jobs = kube.names('Job');
    change();
    await run();
    return {
      rolled: Object.entries(revisions()).flatMap(([name, now]) => (now === before[name] ? [] : [name])),
      jobs: kube.names('Job').filter((name) => !jobs.includes(name)),
    };
  };
  const url = (password: string) => `postgresql://x:${password}@db/x`;
  const ofOwner = (password = 'p') =>
    secret('databases', {
      'source-url': url(password),
      'self-view-url': url('s'),
      'gig-url': url('g'),
      'user-url': url('u'),
      'search-url': url('h'),
    });

  beforeEach(async () => {
    kube = new InMemoryKube();
    now = Date.parse('2026-11-23T12:00:00Z');
    reconcile = reconcilerIn({ kube, now: () => now });
    ofOwner();
    secret('page', Object.fromEntries(OF_PAGES.map((name) => [`${name}-url`, url('r')])));
    secret('broker', { username: 'me', password: 'one', other: 'x' });
    secret('broker-ca', { 'ca.crt': 'AAA' });
    own('TopClients', 'top-clients', {
      ...DEMO.topClients,
      postgres: {
        mode: 'external',
        external: { existingSecret: 'databases', userSecrets: { page: 'page' } },
      },
      kafka: {
        mode: 'external',
        external: {
          brokers: ['kafka:9092'],
          sasl: { mechanism: 'scram-sha-512', existingSecret: 'broker' },
          tls: { enabled: true, existingSecret: 'broker-ca' },
        },
      },
    });
    own('PageView', 'gig', {});
    await run();
    expect(kube.find('TopClients', 'top-clients')?.status.conditions).toContainEqual(
      expect.objectContaining({ type: 'Degraded', message: 'nothing is wrong' }),
    );
    expect(revisions()).toMatchObject({ 'top-clients-page-gig': expect.stringMatching(/^[0-9a-f]{10}$/) });
  });

  test("a changed password of a database's user starts what signs in with it anew, and nothing else", async () => {
    const change = () =>
      secret('page', Object.fromEntries(OF_PAGES.map((name) => [`${name}-url`, url('new')])));
    expect(await follows(change)).toEqual({
      rolled: ['top-clients-page-self-view', 'top-clients-page-gig'],
      jobs: [],
    });
  });

  test('a changed password of Kafka starts its clients anew; a changed certificate is read again without', async () => {
    const clients = ['top-clients-projector-gig-asynchronous-v1', 'top-clients-relay'];
    const password = await follows(() => secret('broker', { username: 'me', password: 'two', other: 'x' }));
    expect(password.rolled).toEqual(expect.arrayContaining(clients));
    expect(password.rolled).not.toContain('top-clients-page-gig');
    expect(password.jobs).toEqual([]);
    const certificate = await follows(() => secret('broker-ca', { 'ca.crt': 'AAA BBB' }));
    expect(certificate).toEqual({ rolled: [], jobs: [] });
  });

  test('what is rolled out serves meanwhile: none of its pods goes before another is there', async () => {
    const { rolled } = await follows(() => ofOwner('new'));
    expect(rolled).toEqual(expect.arrayContaining(['top-clients', 'top-clients-relay']));
    for (const name of ['top-clients', 'top-clients-page-gig']) {
      expect(kube.find('Deployment', name)?.spec.strategy.rollingUpdate).toMatchObject({ maxUnavailable: 0 });
    }
  });

  test('a key that nobody takes, a note on the secret, or another order changes nothing', async () => {
    expect(
      await follows(() => secret('broker', { other: 'y', password: 'one', username: 'me' }, { note: 'x' })),
    ).toEqual({ rolled: [], jobs: [] });
  });

  test('a secret that is made anew with the same content changes nothing', async () => {
    const change = () => {
      kube.remove('Secret', 'broker');
      secret('broker', { username: 'me', password: 'one', other: 'x' });
    };
    expect(await follows(change)).toEqual({ rolled: [], jobs: [] });
  });

  test('the keys of callers that somebody keeps start source and pages anew when they change', async () => {
    const callers = (last: string) => {
      const keys = ['key', ...CALLERS].map((name) => [name, 'k'.repeat(32) + last]);
      secret('mine', Object.fromEntries(keys));
    };
    callers('1');
    const { spec } = kube.find('TopClients', 'top-clients')!;
    own('TopClients', 'top-clients', { ...spec, source: { callers: { existingSecret: 'mine' } } });
    await run();
    const { rolled } = await follows(() => callers('2'));
    expect(rolled).toEqual(expect.arrayContaining(['top-clients', 'top-clients-page-gig']));
    expect(rolled).not.toContain('top-clients-relay');
  });

  test('the keys that the operator exchanges on request start them anew once, not twice', async () => {
    const generation = () => kube.find('Deployment', 'top-clients-page-gig')!.metadata.generation!;
    const before = generation();
    const { status, ...live } = kube.find('TopClients', 'top-clients')!;
    const annotations = { 'topclients.dev/rotate-callers': '1' };
    kube.put({ ...live, metadata: { ...live.metadata, annotations } }, status);
    await run();
    expect(generation()).toBe(before + 1);
  });

  test('nothing of a secret is to be read from what anybody may see', async () => {
    const readable = JSON.stringify([...kube.objects.values()].filter(({ kind }) => kind !== 'Secret'));
    for (const hidden of [url('r'), 'one', 'AAA']) expect(readable).not.toContain(`"${hidden}"`);
  });

  test('they are looked at once a minute where nothing moves', async () => {
    const settled = await reconcile(PLATFORM_KEY);
    expect(settled?.requeueAfterMs).toBeLessThanOrEqual(SECRETS_LOOK_MS);
  });

  test('a secret that may not be read does not count', async () => {
    const deployment = kube.find('Deployment', 'top-clients-relay')!;
    const get = async (ref: { readonly name: string }) => {
      if (ref.name === 'broker') throw new KubeError('no', 403, 'Forbidden');
      return kube.get({ apiVersion: 'v1', kind: 'Secret', ...ref });
    };
    const mark = async () =>
      ((await withSecretRevisions({ get }, [deployment]))[0] as typeof deployment).spec.template.metadata
        .annotations[SECRETS_ANNOTATION];
    const before = await mark();
    secret('broker', { username: 'me', password: 'three' });
    expect(await mark()).toBe(before);
    ofOwner('new');
    expect(await mark()).not.toBe(before);
  });
});
