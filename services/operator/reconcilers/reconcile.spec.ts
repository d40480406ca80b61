import { beforeEach, describe, expect, test } from '@jest/globals';
import { API_VERSION } from '#cdk8s/api/shared.ts';
import { accounts } from '#cdk8s/constructs/database-access.ts';
import { DEMO } from '#cdk8s/testing/platforms.ts';
import { CALLERS } from '#contracts/callers.ts';
import { silentLog } from '#platform/log.ts';
import { credentialOf } from '../../auth/caller-credential.ts';
import { LastApplied, ownerReference } from '../runtime/apply.ts';
import { ClusterSnapshot } from '../runtime/cluster-snapshot.ts';
import { KubeError, type StoredObject } from '../runtime/kube.ts';
import { PLATFORM_KEY, pageKey } from './keys.ts';
import { isStore, OF_OTHERS, SCALED_OBJECT } from './kinds.ts';
import type { Layout } from './partitions/layout.ts';
import { heldTopic } from './partitions/partitions.ts';
import type { DefinitionsState } from './platform/definitions.ts';
import { reconciler } from './reconcile.ts';
import { type JobFate, settle } from './testing/controllers.ts';
import { InMemoryKube } from './testing/in-memory-kube.ts';
import type { Lag } from './view-switch/view-switch.ts';

const NAMESPACE = 'shop';
const VERDICT = { sellers: 50, differing: 0, examples: [], caughtUp: true };

let kube: InMemoryKube;
let now: number;
let lag: Lag;
let layout: Layout | null;
let definitions: DefinitionsState;
let rivals: readonly string[];
let image: string;
let fate: JobFate;
let told: string[];
let reconcile: ReturnType<typeof reconciler>;

/** A new process: what was applied and recommended before is forgotten. */
const restart = () => {
  reconcile = reconciler({
    kube,
    namespace: NAMESPACE,
    get image() {
      return image;
    },
    now: () => now,
    definitions: () => definitions,
    operators: () => ({ leads: 'shop/top-clients-operator', wait: rivals }),
    readLag: async () => lag,
    readLayout: async () => layout,
    events: { event: (about, type, reason) => told.push(`${about.metadata.name} ${type} ${reason}`) },
    log: silentLog,
    applied: new LastApplied(),
    onShown: () => {},
    whyNotReady: async () => null,
  });
};

beforeEach(() => {
  kube = new InMemoryKube();
  now = Date.parse('2026-11-23T12:00:00Z');
  lag = 0;
  definitions = { state: 'current' };
  rivals = [];
  layout = { partitions: 12, movedFrom: null, sellersDone: 0, sellers: 0 };
  image = 'top-clients:1';
  fate = (job) =>
    job.metadata.labels?.['app.kubernetes.io/component'] === 'compare-views'
      ? { words: JSON.stringify(VERDICT) }
      : {};
  told = [];
  restart();
});

const own = (kind: string, name: string, spec: object) =>
  kube.put({ apiVersion: API_VERSION, kind, metadata: { name, namespace: NAMESPACE }, spec });
const platform = (spec: object = {}) => own('TopClients', 'top-clients', { ...DEMO.topClients, ...spec });
const gig = (spec: object = {}) => own('PageView', 'gig', spec);
const both = async () => {
  await reconcile(PLATFORM_KEY);
  return reconcile(pageKey('gig'));
};
/** Reconciles and lets the cluster follow, so many times, or until there is nothing left to do. */
const run = async (rounds?: number, stepMs = 2_000) => {
  for (let i = 0; i < (rounds ?? 20); i++) {
    const before = kube.writes.length;
    await both();
    if (rounds === undefined && i > 0 && kube.writes.length === before) return;
    settle(kube, now, fate);
    now += stepMs;
  }
  await both();
};
const conditions = (kind: string, name: string): Record<string, string> =>
  Object.fromEntries(
    (kube.find(kind, name)?.status?.conditions ?? []).map(
      ({ type, status, reason }: { type: string; status: string; reason: string }) => [
        type,
        `${status} ${reason}`,
      ],
    ),
  );
const message = (kind: string, name: string, of: string): string =>
  kube.find(kind, name)?.status?.conditions.find(({ type }: { type: string }) => type === of)?.message;
const page = (): StoredObject => kube.find('PageView', 'gig')!;
const settingsOf = (deployment: string): Record<string, string> =>
  Object.fromEntries(
    kube
      .find('Deployment', deployment)
      ?.spec.template.spec.containers[0].env.map(({ name, value }: { name: string; value: string }) => [
        name,
        value,
      ]),
  );
/** The version of the gig page's view that a job has it show; null while it is the first one. */
const shownVersion = (): string | null => {
  const shows = kube
    .names('Job')
    .filter((name) => name.startsWith('top-clients-migrate-gig'))
    .map(
      (name): { name: string; value: string }[] =>
        kube.find('Job', name)!.spec.template.spec.containers[0].env,
    )
    .filter((env) => env.some(({ name }) => name === 'TC_SHOW'));
  expect(shows.length).toBeLessThan(2);
  return shows[0]?.find(({ name }) => name === 'TC_VIEW_VERSION')?.value ?? null;
};

/** Has the operators of Kafka and PostgreSQL say that all of theirs is ready. */
function storesOfOthersReady(): void {
  for (const object of [...kube.objects.values()]) {
    if (['Kafka', 'KafkaTopic', 'KafkaUser', 'Cluster'].includes(object.kind)) {
      kube.put(object, { conditions: [{ type: 'Ready', status: 'True' }] });
    }
    if (object.kind === 'Database') kube.put(object, { applied: true });
  }
}
/** What production needs, with stores that are there already. */
const PRODUCTION = {
  profile: 'production',
  kafka: { mode: 'external', external: { brokers: ['kafka:9092'] } },
  postgres: { mode: 'external', external: { existingSecret: 'databases' } },
  auth: { issuer: 'https://login.example.com', jwksUrl: 'https://login.example.com/keys' },
  publicUrls: { selfView: 'https://my.example.com' },
};

describe('a new platform', () => {
  test('for production with one server of a page: the page says so, and is served all the same', async () => {
    kube.put({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'databases', namespace: NAMESPACE },
      data: Object.fromEntries(
        ['source', 'gig', 'user', 'search', 'self-view'].map((name) => [
          `${name}-url`,
          Buffer.from('postgresql://u:p@db:5432/x').toString('base64'),
        ]),
      ),
    });
    platform(PRODUCTION);
    gig({ server: { replicas: 1 } });
    await run();
    expect(conditions('PageView', 'gig')).toMatchObject({
      Ready: 'True Available',
      Degraded: 'True TooFewServers',
    });
    gig({ server: { replicas: 2 } });
    await run();
    expect(conditions('PageView', 'gig')['Degraded']).toBe('False AsWanted');
  });

  test('that lets data be lost is not for production, and nothing is made of it', async () => {
    platform({ profile: 'production' });
    await both();
    expect(conditions('TopClients', 'top-clients')['Degraded']).toBe('True InvalidSpec');
    expect(message('TopClients', 'top-clients', 'Degraded')).toContain(
      'profile production refuses an embedded Kafka',
    );
    expect(kube.names('StatefulSet')).toEqual([]);
  });

  test('comes up in the order in which its parts are needed', async () => {
    platform({ demoData: { enabled: true } });
    gig();
    await both();
    const ofUsers = accounts().map(({ secret }) => secret);
    expect(ofUsers).toContain('top-clients-postgres-page-gig');
    expect(kube.names('Secret')).toEqual([
      'top-clients-callers',
      'top-clients-postgres',
      'top-clients-postgres-pages',
      ...ofUsers,
      'top-clients-issuer',
    ]);
    expect(kube.names('StatefulSet')).toEqual([
      'top-clients-kafka',
      'top-clients-postgres',
      'top-clients-postgres-pages',
    ]);
    expect(kube.names('Job')).toEqual([]);
    expect(conditions('TopClients', 'top-clients')).toMatchObject({
      Ready: 'False NotAvailable',
      Progressing: 'True StoresNotReady',
      Degraded: 'False AsWanted',
    });
    expect(conditions('PageView', 'gig')).toMatchObject({ Progressing: 'True PlatformNotReady' });

    settle(kube, now, () => null);
    await both();
    expect(kube.names('Job').map((name) => name.replace(/-[0-9a-f]{10}$/, ''))).toEqual([
      'top-clients-migrate-topics',
      'top-clients-migrate-source',
      'top-clients-migrate-self-view',
      'top-clients-migrate-gig-asynchronous-v1',
    ]);
    expect(kube.names('Deployment')).toEqual([]);

    settle(kube, now);
    await both();
    expect(kube.names('Deployment')).toEqual(
      expect.arrayContaining(['top-clients', 'top-clients-relay', 'top-clients-page-gig']),
    );
    expect(kube.names('Job').filter((name) => name.startsWith('top-clients-seed'))).toHaveLength(1);

    settle(kube, now);
    await both();
    expect(conditions('TopClients', 'top-clients')).toEqual({
      Ready: 'True Available',
      Progressing: 'False Settled',
      AutoscalingReady: 'False Off',
      Degraded: 'False AsWanted',
      PartitionsSettled: 'True Settled',
      DefinitionsCurrent: 'True Current',
      StoresApart: 'True Apart',
      WritesDurable: 'False OneCopy',
      ConnectionsFit: 'True Fit',
      BackupsScheduled: 'False Embedded',
    });
    expect(conditions('PageView', 'gig')).toEqual({
      Ready: 'True Available',
      Progressing: 'False Settled',
      AutoscalingReady: 'True BuiltIn',
      ServersAutoscalingReady: 'False Off',
      ViewCurrent: 'True Current',
      Degraded: 'False AsWanted',
    });
    expect(kube.find('TopClients', 'top-clients')?.status).toMatchObject({
      ready: '7/7',
      image: 'top-clients:1',
    });
    expect(page().status).toMatchObject({
      ready: '2/2',
      replicas: 1,
      lag: 0,
      view: 'v1',
      observedGeneration: 1,
    });
  });

  test('once settled is left alone: nothing is written', async () => {
    platform();
    gig();
    await run();
    kube.writes.length = 0;
    await run(3);
    expect(kube.writes).toEqual([]);
  });

  test('is applied once as a whole by a new leader, and then left alone', async () => {
    platform();
    gig();
    await run();
    restart();
    kube.writes.length = 0;
    await both();
    const first = kube.writes.length;
    expect(first).toBeGreaterThan(20);
    await both();
    expect(kube.writes).toHaveLength(first);
  });

  test('owns what it made, but not the password that the data was initialised with', async () => {
    platform();
    gig();
    await run();
    const uid = kube.find('TopClients', 'top-clients')?.metadata.uid;
    const owners = (kind: string, name: string) =>
      kube.find(kind, name)?.metadata.ownerReferences?.map((owner) => owner.uid);
    expect(owners('Deployment', 'top-clients')).toEqual([uid]);
    expect(owners('Secret', 'top-clients-issuer')).toEqual([uid]);
    expect(owners('Secret', 'top-clients-postgres')).toBeUndefined();
    expect(owners('Deployment', 'top-clients-page-gig')).toEqual([page().metadata.uid]);
    const { data } = kube.find('Secret', 'top-clients-issuer') as unknown as { data: Record<string, string> };
    const key = JSON.parse(Buffer.from(data['key.jwk'] ?? '', 'base64').toString());
    expect(key).toMatchObject({ kty: 'EC', crv: 'P-256', d: expect.any(String) });
  });

  test('takes over what was applied from the plain manifests', async () => {
    platform();
    await run();
    const made = kube.find('Deployment', 'top-clients')!;
    const { ownerReferences: _, ...metadata } = made.metadata;
    kube.remove('Deployment', 'top-clients');
    kube.put({ ...made, metadata });
    await both();
    expect(kube.find('Deployment', 'top-clients')?.metadata.ownerReferences).toHaveLength(1);
  });
});

describe('what should not be as it is', () => {
  beforeEach(async () => {
    platform();
    gig();
    await run();
  });

  test('drift is corrected', async () => {
    const relay = kube.find('Deployment', 'top-clients-relay')!;
    kube.put({ ...relay, spec: { ...relay.spec, strategy: { type: 'Recreate' } } });
    kube.remove('Service', 'top-clients-page-gig');
    await both();
    expect(kube.find('Deployment', 'top-clients-relay')?.spec.strategy.type).toBe('RollingUpdate');
    expect(kube.names('Service')).toContain('top-clients-page-gig');
  });

  test('what others add is left', async () => {
    const relay = kube.find('Deployment', 'top-clients-relay')!;
    const annotations = { ...relay.metadata.annotations, 'their.own/note': 'x' };
    kube.put({ ...relay, metadata: { ...relay.metadata, annotations } });
    kube.writes.length = 0;
    await both();
    expect(kube.writes).toEqual([]);
  });

  test('what is wanted no more is removed, and what others own is not', async () => {
    kube.put({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'theirs', labels: { 'app.kubernetes.io/managed-by': 'top-clients-operator' } },
    });
    platform({ selfView: { enabled: false } });
    await run(4);
    expect(kube.names('Deployment')).not.toContain('top-clients-page-self-view');
    expect(kube.names('Deployment')).toContain('top-clients-page-gig');
    expect(kube.names('ConfigMap')).toContain('theirs');
  });

  test('claims and passwords are never removed', async () => {
    kube.put({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: {
        name: 'data-top-clients-kafka-0',
        labels: { 'app.kubernetes.io/managed-by': 'top-clients-operator' },
      },
    });
    platform({ kafka: { mode: 'external', external: { brokers: ['kafka:9092'] } } });
    await run(4);
    expect(kube.names('StatefulSet')).toEqual(['top-clients-postgres', 'top-clients-postgres-pages']);
    expect(kube.names('PersistentVolumeClaim')).toEqual(['data-top-clients-kafka-0']);
    expect(kube.names('Secret')).toContain('top-clients-postgres');
  });

  test('a foreign object is refused with what to do, and nothing else suffers', async () => {
    kube.remove('Service', 'top-clients');
    kube.put({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'top-clients' },
      spec: { theirs: true },
    });
    platform({ relay: { replicas: 3 } });
    await both();
    expect(kube.find('Service', 'top-clients')?.spec).toEqual({ theirs: true });
    expect(conditions('TopClients', 'top-clients')['Degraded']).toBe('True ForeignObject');
    expect(message('TopClients', 'top-clients', 'Degraded')).toMatch(
      /Service top-clients is not touched.*label it/,
    );
    expect(kube.find('Deployment', 'top-clients-relay')?.spec.replicas).toBe(3);
    expect(told).toContain('top-clients Warning ForeignObject');
    kube.remove('Service', 'top-clients');
    await both();
    expect(conditions('TopClients', 'top-clients')['Degraded']).toBe('False AsWanted');
  });

  test('an object of another owner is refused, though it has our label', async () => {
    const made = kube.find('Service', 'top-clients-page-gig')!;
    const ownerReferences = [{ apiVersion: 'v1', kind: 'Other', name: 'x', uid: 'x', controller: true }];
    kube.put({ ...made, metadata: { ...made.metadata, ownerReferences } as never });
    await both();
    expect(message('PageView', 'gig', 'Degraded')).toContain('it belongs to Other x');
  });

  test('an object that is left of a page deleted before is waited for', async () => {
    const { apiVersion, kind, metadata, spec } = page();
    kube.remove('PageView', 'gig');
    kube.put({ apiVersion, kind, metadata: { name: metadata.name, namespace: NAMESPACE }, spec });
    const again = await both();
    expect(again?.requeueAfterMs).toBeLessThanOrEqual(2_000);
    expect(conditions('PageView', 'gig')['Degraded']).toBe('False AsWanted');
  });

  test('a spec that this version cannot read changes nothing but the condition', async () => {
    const writes = kube.writes.length;
    platform({ kafka: { partitions: 'many' } });
    await both();
    expect(kube.writes.slice(writes)).toEqual(['status TopClients top-clients', 'status PageView gig']);
    expect(message('TopClients', 'top-clients', 'Degraded')).toContain('spec.kafka.partitions');
    expect(conditions('TopClients', 'top-clients')).toMatchObject({
      Degraded: 'True InvalidSpec',
      Ready: 'True Available',
    });
    expect(kube.find('TopClients', 'top-clients')?.status).toMatchObject({
      observedGeneration: 1,
      image: 'top-clients:1',
    });
    expect(conditions('PageView', 'gig')['Degraded']).toBe('True PlatformInvalid');
    expect(page().status.view).toBe('v1');
  });

  test('fields of a later definition are named and ignored, and nothing stands still for them', async () => {
    definitions = { state: 'newer', installed: 9, ours: 2 };
    platform({ relay: { replicas: 4, rhythm: 'slow' }, later: { than: 'this' } });
    gig({ delivery: 'synchronous', later: true });
    await run();
    expect(conditions('TopClients', 'top-clients')).toMatchObject({
      DefinitionsCurrent: 'False NewerInstalled',
      Degraded: 'False AsWanted',
    });
    expect(message('TopClients', 'top-clients', 'DefinitionsCurrent')).toMatch(
      /generation 9, .*this one has 2 .*does not know spec\.relay\.rhythm, spec\.later, .*Upgrade/,
    );
    expect(kube.find('Deployment', 'top-clients-relay')?.spec.replicas).toBe(4);
    expect(page().status.view).toBe('synchronous');
  });

  test('a rule that an older definition lacks is judged here', async () => {
    gig({ autoscaling: { minReplicas: 5, maxReplicas: 2 } });
    await both();
    expect(message('PageView', 'gig', 'Degraded')).toContain('minReplicas must not exceed');
  });

  test('an object that the API server refuses is told, and tried again later', async () => {
    kube.refuse = (verb, { kind, name }) => {
      if (verb === 'apply' && kind === 'Deployment' && name === 'top-clients-relay') {
        throw new KubeError('exceeded quota', 403, 'Forbidden');
      }
    };
    platform({ relay: { replicas: 4 }, source: { replicas: 3 } });
    const again = await reconcile(PLATFORM_KEY);
    expect(again?.requeueAfterMs).toBeLessThanOrEqual(60_000);
    expect(message('TopClients', 'top-clients', 'Degraded')).toContain(
      'refuses Deployment top-clients-relay: exceeded quota',
    );
    expect(kube.find('Deployment', 'top-clients')?.spec.replicas).toBe(3);
  });

  test.each([409, 429, 500])('answer %d is left to the queue to try again', async (code) => {
    kube.refuse = () => {
      throw new KubeError('not now', code, 'Busy');
    };
    platform({ relay: { replicas: 4 } });
    await expect(reconcile(PLATFORM_KEY)).rejects.toThrow('not now');
  });

  test('a platform or a page on its way out is not held up', async () => {
    for (const [kind, name] of [
      ['TopClients', 'top-clients'],
      ['PageView', 'gig'],
    ] as const) {
      const object = kube.find(kind, name)!;
      kube.put({
        ...object,
        metadata: { ...object.metadata, deletionTimestamp: '2026-11-23T12:00:00Z' } as never,
      });
    }
    kube.remove('Service', 'top-clients');
    kube.writes.length = 0;
    await both();
    expect(kube.writes).toEqual([]);
  });
});

describe('what holds data', () => {
  const MODES = { kafka: { mode: 'strimzi', replication: 3 }, postgres: { mode: 'cnpg' } };
  const PASSWORD = 'top-clients-postgres-page-gig';
  const stores = () => [...kube.objects.values()].filter(isStore);
  const ownersOf = (object: StoredObject | undefined) =>
    (object?.metadata.ownerReferences ?? []).map(({ uid }) => uid);
  const setOwners = (object: StoredObject, ownerReferences: unknown[]) =>
    kube.put({ ...object, metadata: { ...object.metadata, ownerReferences } as never }, object.status);
  const uid = () => kube.find('TopClients', 'top-clients')!.metadata.uid;

  /** Until everything runs: stores are waited for. */
  const settleAll = async () => {
    await run();
    storesOfOthersReady();
    await run();
  };

  beforeEach(() => {
    kube = new InMemoryKube(OF_OTHERS);
    restart();
  });

  test('has no owner, so that nothing takes it when the platform goes', async () => {
    platform(MODES);
    await settleAll();
    const kinds = new Set(stores().map(({ kind }) => kind));
    expect(kinds).toEqual(
      new Set(['Cluster', 'Database', 'Kafka', 'KafkaNodePool', 'KafkaTopic', 'KafkaUser']),
    );
    for (const store of stores()) expect(ownersOf(store)).toEqual([]);
    expect(ownersOf(kube.find('Secret', PASSWORD))).toEqual([]);
    expect(ownersOf(kube.find('Deployment', 'top-clients'))).toEqual([uid()]);
  });

  test('that a version before has made is let go of, and then left alone', async () => {
    platform(MODES);
    await run();
    const owner = ownerReference(kube.find('TopClients', 'top-clients')!);
    const theirs = { apiVersion: 'v1', kind: 'Other', name: 'x', uid: 'x' };
    for (const store of stores()) setOwners(store, [theirs, owner]);
    setOwners(kube.find('Secret', PASSWORD)!, [owner]);
    restart();
    await both();
    for (const store of stores()) expect(ownersOf(store)).toEqual(['x']);
    expect(ownersOf(kube.find('Secret', PASSWORD))).toEqual([]);
    kube.writes.length = 0;
    await run(3);
    expect(kube.writes).toEqual([]);
  });

  test('goes with the platform where that is wanted, and stays again where it is not', async () => {
    platform({ ...MODES, deletionPolicy: 'Delete' });
    await run();
    for (const store of stores()) expect(ownersOf(store)).toEqual([uid()]);
    expect(ownersOf(kube.find('Secret', PASSWORD))).toEqual([uid()]);
    platform(MODES);
    await run();
    for (const store of stores()) expect(ownersOf(store)).toEqual([]);
    expect(ownersOf(kube.find('Secret', PASSWORD))).toEqual([]);
    platform({ ...MODES, deletionPolicy: 'Delete' });
    await run();
    for (const store of stores()) expect(ownersOf(store)).toEqual([uid()]);
    expect(ownersOf(kube.find('Secret', PASSWORD))).toEqual([uid()]);
  });

  test('is found by another installation, and taken over as it is', async () => {
    platform(MODES);
    gig();
    await run();
    const before = Object.fromEntries(
      stores().map(({ kind, metadata }) => [kind + metadata.name, metadata.uid]),
    );
    const password = kube.find('Secret', PASSWORD) as unknown as { data: object };
    for (const [key, object] of kube.objects) {
      const isOwn = ['TopClients', 'PageView'].includes(object.kind);
      if (isOwn || ownersOf(object).length > 0) kube.objects.delete(key);
    }
    platform({ ...MODES, kafka: { ...MODES.kafka, strimzi: { replicas: 5 } } });
    gig();
    await run();
    expect(
      Object.fromEntries(stores().map(({ kind, metadata }) => [kind + metadata.name, metadata.uid])),
    ).toEqual(before);
    expect(kube.find('KafkaNodePool', 'top-clients-kafka-nodes')?.spec.replicas).toBe(5);
    expect((kube.find('Secret', PASSWORD) as unknown as { data: object }).data).toEqual(password.data);
    expect(conditions('TopClients', 'top-clients')['Degraded']).toBe('False AsWanted');
  });

  test.each(['Retain', 'Delete'])(
    'is never removed by a plan, but what grants access to it is (%s)',
    async (deletionPolicy) => {
      platform({ ...MODES, deletionPolicy });
      await settleAll();
      expect(kube.names('KafkaUser')).toContain('top-clients-autoscaler');
      kube.served.delete('keda.sh/v1alpha1 ScaledObject');
      await run();
      expect(kube.names('KafkaUser')).not.toContain('top-clients-autoscaler');
      const holding = () =>
        ['Cluster', 'Kafka', 'KafkaNodePool', 'KafkaTopic'].flatMap((kind) => kube.names(kind));
      const before = holding();
      expect(before.length).toBeGreaterThanOrEqual(4);
      platform({ deletionPolicy });
      await run();
      expect(holding()).toEqual(before);
      expect(kube.names('StatefulSet')).toEqual([
        'top-clients-kafka',
        'top-clients-postgres',
        'top-clients-postgres-pages',
      ]);
      const retention = kube.find('StatefulSet', 'top-clients-postgres')?.spec
        .persistentVolumeClaimRetentionPolicy;
      expect(retention).toEqual({ whenDeleted: deletionPolicy, whenScaled: 'Retain' });
      platform({ deletionPolicy, kafka: { mode: 'external', external: { brokers: ['kafka:9092'] } } });
      await run();
      // With it Kubernetes would delete its claim.
      expect(kube.names('StatefulSet').includes('top-clients-kafka')).toBe(deletionPolicy === 'Delete');
    },
  );
});

describe('secrets', () => {
  test('that are there are never written again', async () => {
    kube.put({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'top-clients-postgres' },
      data: { username: 'x', password: 'y' },
    });
    platform();
    await run();
    expect(kube.writes.filter((write) => write.includes('Secret'))).toEqual([
      'create Secret top-clients-callers',
      'create Secret top-clients-postgres-pages',
      ...accounts().map(({ secret }) => `create Secret ${secret}`),
      'create Secret top-clients-issuer',
    ]);
  });

  const server = () => kube.find('StatefulSet', 'top-clients-postgres')!;
  const restartedFor = (): string => server().spec.template.metadata.annotations['topclients.dev/passwords'];

  test('of a database are known to its server from the start, which does not restart for them', async () => {
    platform();
    await reconcile(PLATFORM_KEY);
    const first = restartedFor();
    expect(first).toMatch(/^[0-9a-f]{10}$/);
    await run();
    expect([restartedFor(), server().metadata.generation]).toEqual([first, 1]);
    expect(told.filter((one) => one.includes('SecretLost'))).toEqual([]);
  });

  test.each(['top-clients-postgres', 'top-clients-postgres-page-gig'])(
    'that a database was given (%s) are made anew when they are lost, told, and taken by the server as it restarts',
    async (name) => {
      platform();
      await run();
      const first = restartedFor();
      kube.remove('Secret', name);
      await run();
      expect(kube.names('Secret')).toContain(name);
      expect(restartedFor()).not.toBe(first);
      expect(told.filter((one) => one.includes('SecretLost'))).toEqual(['top-clients Warning SecretLost']);
      const second = restartedFor();
      await run();
      expect(restartedFor()).toBe(second);
    },
  );

  test('of data that stayed from an installation before are told as lost', async () => {
    kube.put({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'data-top-clients-postgres-0' },
    });
    platform();
    await both();
    expect(told).toContain('top-clients Warning SecretLost');
  });

  test('of one’s own are taken by the server when they change, and are not to be guessed from that', async () => {
    const mine = (password: string) => {
      const data = { username: 'eA==', password: Buffer.from(password).toString('base64') };
      kube.put({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'mine' }, data });
    };
    mine('short');
    platform({ postgres: { embedded: { existingSecret: 'mine' } } });
    await run();
    const first = restartedFor();
    mine('other');
    await run();
    expect(restartedFor()).not.toBe(first);
    mine('short');
    await run();
    expect(restartedFor()).toBe(first);
    kube = new InMemoryKube();
    restart();
    mine('short');
    platform({ postgres: { embedded: { existingSecret: 'mine' } } });
    await run();
    expect(restartedFor()).not.toBe(first);
  });

  test('that the spec names and nobody made are asked for, with their keys', async () => {
    platform({ postgres: { mode: 'external', external: { existingSecret: 'mine' } } });
    await both();
    expect(conditions('TopClients', 'top-clients')).toMatchObject({ Degraded: 'True SecretMissing' });
    expect(message('TopClients', 'top-clients', 'Degraded')).toMatch(
      /the secret mine, .*external\.existingSecret.*gig-url/,
    );
    expect(kube.names('Job')).toEqual([]);
  });
});

describe('how databases are divided among servers', () => {
  const CLUSTER = { apiVersion: 'postgresql.cnpg.io/v1', kind: 'Cluster' };
  const OURS = { 'app.kubernetes.io/managed-by': 'top-clients-operator' };
  const status = () => kube.find('TopClients', 'top-clients')?.status;
  const servers = () => kube.names('StatefulSet').filter((name) => name.includes('postgres'));
  const serve = () => {
    for (const kind of ['Cluster', 'Database']) kube.served.add(`postgresql.cnpg.io/v1 ${kind}`);
  };

  test('is decided before the first of them is made', async () => {
    platform();
    await reconcile(PLATFORM_KEY);
    const decided = kube.writes.indexOf('status TopClients top-clients');
    expect(decided).toBeGreaterThanOrEqual(0);
    expect(decided).toBeLessThan(kube.writes.indexOf('apply StatefulSet top-clients-postgres'));
    expect(status().databaseServers).toBe('separate');
  });

  test('stays as an installation from before has them, on one server', async () => {
    platform({ postgres: { servers: 'shared' } });
    gig();
    await run();
    // As an operator leaves it that knows no division.
    const { databaseServers: _, ...before } = status();
    const { metadata } = kube.find('TopClients', 'top-clients')!;
    kube.put({ apiVersion: API_VERSION, kind: 'TopClients', metadata, spec: DEMO.topClients }, before);
    restart();
    await run();
    expect(status().databaseServers).toBe('shared');
    expect(servers()).toEqual(['top-clients-postgres']);
    expect(settingsOf('top-clients-page-gig')['TC_DATABASE_URL']).toContain('@top-clients-postgres:5432/gig');
    expect(conditions('TopClients', 'top-clients')).toMatchObject({
      StoresApart: 'False Shared',
      Degraded: 'False AsWanted',
    });
    expect(message('TopClients', 'top-clients', 'StoresApart')).toContain('takes the pages down as well');
  });

  test.each([
    ['shared', ['top-clients-postgres']],
    ['separate', ['top-clients-postgres', 'top-clients-postgres-pages']],
    ['each', ['top-clients-postgres', 'top-clients-postgres-user']],
  ])('is found as %s by claims that an uninstalled one has left', async (division, left) => {
    for (const name of left) {
      const metadata = { name: `data-${name}-0`, labels: OURS };
      kube.put({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata });
    }
    platform();
    await run();
    expect(status().databaseServers).toBe(division);
  });

  test.each([
    ['shared', ['top-clients-postgres']],
    ['separate', ['top-clients-postgres', 'top-clients-postgres-pages']],
  ])('is found as %s by the clusters that are there', async (division, there) => {
    serve();
    for (const name of there)
      kube.put({ ...CLUSTER, metadata: { name, labels: OURS }, spec: { instances: 3 } });
    platform({ postgres: { mode: 'cnpg' } });
    await reconcile(PLATFORM_KEY);
    expect(status().databaseServers).toBe(division);
    expect(kube.names('Cluster')).toEqual(there);
  });

  test('is not changed by the spec: it says so, and goes on with what is there', async () => {
    platform({ postgres: { servers: 'shared' } });
    gig();
    await run();
    platform({ postgres: { servers: 'separate' } });
    await run();
    expect(servers()).toEqual(['top-clients-postgres']);
    expect(status().databaseServers).toBe('shared');
    expect(conditions('TopClients', 'top-clients')).toMatchObject({
      Ready: 'True Available',
      Degraded: 'True DatabaseServersFixed',
    });
    expect(message('TopClients', 'top-clients', 'Degraded')).toMatch(/Set it to shared or remove it/);
    expect(conditions('PageView', 'gig')).toMatchObject({ Ready: 'True Available' });
  });

  test('is nobody’s to say where the servers are not ours', async () => {
    platform({ postgres: { mode: 'external', servers: 'each', external: { existingSecret: 'mine' } } });
    await both();
    expect(status().databaseServers).toBeUndefined();
    expect(conditions('TopClients', 'top-clients')).toMatchObject({
      StoresApart: 'Unknown External',
      WritesDurable: 'Unknown External',
    });
  });

  describe('and whether an acknowledged write outlives its server', () => {
    const durable = async (cnpg: object, live: object = {}) => {
      serve();
      platform({ postgres: { mode: 'cnpg', cnpg } });
      await reconcile(PLATFORM_KEY);
      kube.put(kube.find('Cluster', 'top-clients-postgres')!, live);
      await reconcile(PLATFORM_KEY);
      return [
        conditions('TopClients', 'top-clients')['WritesDurable'],
        message('TopClients', 'top-clients', 'WritesDurable'),
      ];
    };
    const preferred = { synchronous: { dataDurability: 'preferred' } };

    test.each([
      ['all standbys there', {}, 3, 'True Synchronous', /on 2 of 3 servers before it is acknowledged/],
      ['one standby away', {}, 2, 'True Synchronous', /2 of 3/],
      ['all standbys away', {}, 1, 'True WritesWait', /only 1 of 3 instances .* are ready: writes wait/],
      ['all away, and writes preferred', preferred, 1, 'False StandbysAway', /may be lost with the primary/],
      ['writes preferred, and a standby there', preferred, 2, 'True Synchronous', /2 of 3/],
      ['nobody waited for', { synchronous: { number: 0 } }, 3, 'False Asynchronous', /synchronous\.number/],
      ['one instance', { instances: 1 }, 1, 'False OneInstance', /raise postgres\.cnpg\.instances/],
    ])('%s', async (_, cnpg, readyInstances, expected, sentence) => {
      const [said, why] = await durable(cnpg, { readyInstances });
      expect(said).toBe(expected);
      expect(why).toMatch(sentence);
    });

    test('is read from the cluster, not from what is wanted of it', async () => {
      await durable({}, { readyInstances: 3 });
      kube.refuse = (verb, { kind }) => {
        if (verb === 'apply' && kind === 'Cluster') throw new KubeError('not allowed', 403, 'Forbidden');
      };
      const live = kube.find('Cluster', 'top-clients-postgres')!;
      kube.put({ ...live, spec: { ...live.spec, postgresql: {} } });
      await reconcile(PLATFORM_KEY);
      expect(conditions('TopClients', 'top-clients')['WritesDurable']).toBe('False Asynchronous');
    });
  });
});

describe('by what pages say who they are', () => {
  const secret = (): Record<string, string> =>
    Object.fromEntries(
      Object.entries(
        (kube.find('Secret', 'top-clients-callers') as { data?: object } | undefined)?.data ?? {},
      ).map(([key, text]) => [key, Buffer.from(text as string, 'base64').toString()]),
    );
  const rotate = (value: string) => {
    const { status, ...live } = kube.find('TopClients', 'top-clients')!;
    const annotations = { ...live.metadata.annotations, 'topclients.dev/rotate-callers': value };
    kube.put({ ...live, metadata: { ...live.metadata, annotations } }, status);
  };
  /** The names of Deployments whose pods start anew when keys are exchanged, with what they start anew for. */
  const held = () =>
    Object.fromEntries(
      ['top-clients', 'top-clients-page-gig', 'top-clients-page-self-view'].map((name) => [
        name,
        kube.find('Deployment', name)?.spec.template.metadata.annotations['topclients.dev/callers-rotated'],
      ]),
    );
  const everywhere = (value: string | undefined) =>
    Object.fromEntries(Object.keys(held()).map((name) => [name, value]));

  test('is made once, and differs from page to page', async () => {
    platform();
    gig();
    await run();
    const made = secret();
    expect(Object.keys(made).sort()).toEqual([...CALLERS, 'key', 'nextKey'].sort());
    for (const caller of CALLERS) expect(made[caller]).toBe(credentialOf(made['key']!, caller));
    expect(made['key']).not.toBe(made['nextKey']);
    expect(made['key']!.length).toBeGreaterThanOrEqual(32);
    await run();
    expect(secret()).toEqual(made);
    expect(held()).toEqual(everywhere(undefined));
    // What anybody may read says nothing of it.
    const readable = [...kube.objects.values()].filter(({ kind }) => kind !== 'Secret');
    for (const hidden of Object.values(made)) expect(JSON.stringify(readable)).not.toContain(hidden);
  });

  test('is exchanged on request, once, so that servers of before and after know each other', async () => {
    platform();
    gig();
    await run();
    const before = secret();
    rotate('monthly 1');
    await run();
    const after = secret();
    expect(after).toMatchObject({ key: before['nextKey'], previousKey: before['key'] });
    expect(after['gig']).toBe(credentialOf(before['nextKey']!, 'gig'));
    expect([before['key'], before['nextKey']]).not.toContain(after['nextKey']);
    expect(held()).toEqual(everywhere('monthly 1'));
    expect(told).toContain('top-clients Normal SecretRotated');
    await run();
    restart();
    await run();
    expect(secret()).toEqual(after);

    rotate('monthly 2');
    await run();
    expect(secret()).toMatchObject({ key: after['nextKey'], previousKey: after['key'] });
    expect(held()).toEqual(everywhere('monthly 2'));
  });

  test('takes over a request that is older than itself, and pods need not start twice', async () => {
    platform();
    rotate('before');
    gig();
    await both();
    expect(Object.keys(secret())).not.toContain('previousKey');
    await run();
    expect(held()).toEqual(everywhere('before'));
    expect(told).not.toContain('top-clients Normal SecretRotated');
  });

  test('is asked of who names a secret of their own, and never written there', async () => {
    platform({ source: { callers: { existingSecret: 'mine' } } });
    rotate('no');
    await both();
    expect(kube.names('Secret')).not.toContain('top-clients-callers');
    expect(message('TopClients', 'top-clients', 'Degraded')).toMatch(
      /the secret mine, .*source\.callers\.existingSecret.*key, gig, user, search, self-view, smoke/,
    );
    const key = Buffer.from('k'.repeat(32)).toString('base64');
    const data = Object.fromEntries(['key', ...CALLERS].map((name) => [name, key]));
    kube.put({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'mine' }, data });
    gig();
    await run();
    expect(kube.writes.filter((write) => write.includes('mine'))).toEqual([]);
    expect(held()).toEqual(everywhere(undefined));
    const env = kube.find('Deployment', 'top-clients-page-gig')!.spec.template.spec.containers[0].env;
    expect(env).toContainEqual({
      name: 'TC_SOURCE_CREDENTIAL',
      valueFrom: { secretKeyRef: { name: 'mine', key: 'gig' } },
    });
  });
});

describe('an upgrade', () => {
  beforeEach(async () => {
    platform();
    gig();
    await run();
    image = 'top-clients:2';
  });
  const imageOf = (name: string) => kube.find('Deployment', name)?.spec.template.spec.containers[0].image;

  test('leaves workloads on the old image until the migrations of the new one are done', async () => {
    await both();
    settle(kube, now, () => null);
    await both();
    expect(imageOf('top-clients')).toBe('top-clients:1');
    expect(imageOf('top-clients-page-gig')).toBe('top-clients:1');
    expect(kube.find('TopClients', 'top-clients')?.status.image).toBe('top-clients:1');
    expect(conditions('TopClients', 'top-clients')).toMatchObject({
      Ready: 'True Available',
      Progressing: 'True Migrating',
    });
    await run(3);
    expect(imageOf('top-clients')).toBe('top-clients:2');
    expect(imageOf('top-clients-page-gig')).toBe('top-clients:2');
    expect(kube.find('TopClients', 'top-clients')?.status.image).toBe('top-clients:2');
  });

  test('removes the jobs of the old image', async () => {
    await run(5);
    const images = [...kube.objects.values()]
      .filter(({ kind }) => kind === 'Job')
      .map(({ spec }) => spec.template.spec.containers[0].image);
    expect(new Set(images)).toEqual(new Set(['top-clients:2']));
  });

  test('goes on though a store restarts when its migrations are done', async () => {
    await run(1);
    await both();
    const kafka = kube.find('StatefulSet', 'top-clients-kafka')!;
    kube.put(kafka, { observedGeneration: kafka.metadata.generation, readyReplicas: 0 });
    settle(kube, now, fate);
    kube.put(kafka, { observedGeneration: kafka.metadata.generation, readyReplicas: 0 });
    await both();
    expect(imageOf('top-clients')).toBe('top-clients:2');
  });

  test('whose migration fails says so in the words of the job, changes nothing, and is tried again', async () => {
    const failing: JobFate = (job) =>
      job.metadata.name.startsWith('top-clients-migrate-source')
        ? { failed: true, words: 'column "x" does not exist' }
        : {};
    await both();
    settle(kube, now, failing);
    const again = await reconcile(PLATFORM_KEY);
    expect(again?.requeueAfterMs).toBeLessThanOrEqual(30_000);
    expect(conditions('TopClients', 'top-clients')).toMatchObject({ Degraded: 'True MigrationFailed' });
    expect(message('TopClients', 'top-clients', 'Degraded')).toContain('column "x" does not exist');
    expect(imageOf('top-clients')).toBe('top-clients:1');
    const failed = kube.find(
      'Job',
      kube
        .names('Job')
        .filter((name) => name.includes('migrate-source'))
        .at(-1)!,
    )!;

    now += 29_000;
    await reconcile(PLATFORM_KEY);
    expect(kube.find('Job', failed.metadata.name)?.metadata.uid).toBe(failed.metadata.uid);
    now += 2_000;
    await both();
    await both();
    const retried = kube.find('Job', failed.metadata.name);
    expect(retried?.metadata.uid).not.toBe(failed.metadata.uid);
    expect(conditions('TopClients', 'top-clients')['Degraded']).toBe('True MigrationFailed');
    await run(3);
    expect(conditions('TopClients', 'top-clients')['Degraded']).toBe('False AsWanted');
    expect(imageOf('top-clients')).toBe('top-clients:2');
  });

  test('does not make the data of the demonstration again', async () => {
    image = 'top-clients:1';
    platform({ demoData: { enabled: true, sellers: 10 } });
    await run();
    image = 'top-clients:2';
    await run();
    const seeds = () => kube.names('Job').filter((name) => name.includes('seed'));
    expect(seeds()).toHaveLength(1);
    expect(conditions('TopClients', 'top-clients')['Progressing']).toBe('False Settled');
    platform({ demoData: { enabled: true, sellers: 20 } });
    const before = seeds();
    await run();
    expect(seeds()).toHaveLength(1);
    expect(seeds()).not.toEqual(before);
  });
});

describe('a page', () => {
  beforeEach(async () => {
    platform();
    gig();
    await run();
    told = [];
  });

  test('builds a new view beside the old one, switches when it matches, and drops the old one later', async () => {
    gig({ view: { version: 2, keepSeconds: 60 } });
    lag = 40_000;
    await run(3);
    expect(page().status.view).toBe('v1 → v2 0 %');
    expect(shownVersion()).toBeNull();
    expect(kube.names('Deployment')).toContain('top-clients-projector-gig-asynchronous-v2');
    lag = 0;
    await run(4);
    expect(page().status).toMatchObject({ view: 'v2', shown: { delivery: 'asynchronous', version: 2 } });
    expect(shownVersion()).toBe('2');
    expect(kube.names('Deployment')).toContain('top-clients-projector-gig-asynchronous-v1');
    expect(told).toEqual(expect.arrayContaining(['gig Normal BuildStarted', 'gig Normal ViewSwitched']));
    expect(kube.names('Job').filter((name) => name.includes('compare'))).toEqual([]);

    now += 60_000;
    const seen = new Set<string>();
    for (let i = 0; i < 8; i++) {
      await run(1);
      for (const name of kube.names('Job')) seen.add(name.replace(/-[0-9a-f]{10}$/, ''));
    }
    expect(seen).toContain('top-clients-drop-gig-asynchronous-v1');
    expect(kube.names('Deployment')).not.toContain('top-clients-projector-gig-asynchronous-v1');
    expect(page().status.kept).toBeUndefined();
    expect(kube.names('Job').filter((name) => name.includes('drop') || name.includes('-v1-'))).toEqual([]);
    expect(conditions('PageView', 'gig')['Progressing']).toBe('False Settled');
  });

  describe('that is deleted while it builds a view', () => {
    const drops = () => kube.names('Job').filter((name) => name.startsWith('top-clients-drop-'));
    const unshown = () => kube.find('TopClients', 'top-clients')?.status.unshown;
    /** As the API server's garbage collector leaves it, but for what is still ending. */
    const deletePage = (ending: readonly string[] = []) => {
      const { uid } = page().metadata;
      kube.remove('PageView', 'gig');
      for (const { kind, metadata } of [...kube.objects.values()]) {
        const isOwned = metadata.ownerReferences?.some((owner) => owner.uid === uid);
        if (isOwned && !ending.includes(metadata.name)) kube.remove(kind, metadata.name);
      }
    };
    beforeEach(async () => {
      gig({ view: { version: 2 } });
      lag = 40_000;
      await run(3);
      expect(unshown()).toEqual([{ page: 'gig', delivery: 'asynchronous', version: 2 }]);
    });

    test('leaves what it showed, and nothing of what it only built', async () => {
      const projector = 'top-clients-projector-gig-asynchronous-v2';
      deletePage([projector]);
      await run(3);
      expect(drops()).toEqual([]);
      kube.remove('Deployment', projector);
      settle(kube, now, fate);
      await reconcile(PLATFORM_KEY);
      expect(drops()).toEqual([expect.stringContaining('top-clients-drop-gig-asynchronous-v2-')]);
      const { containers } = kube.find('Job', drops()[0]!)!.spec.template.spec;
      // What the database shows is never removed by it.
      expect(containers[0].env.map(({ name }: { name: string }) => name)).not.toContain('TC_EVEN_IF_SHOWN');
      await run(3);
      expect([drops(), unshown()]).toEqual([[], undefined]);
      expect(told).toContain('top-clients Normal UnshownViewRemoved');
    });

    test('goes on with it when it is made again', async () => {
      deletePage();
      gig({ view: { version: 2 } });
      await run(3);
      expect([drops(), unshown()]).toEqual([[], undefined]);
    });

    test('leaves it where its database refuses, and says so once', async () => {
      fate = (job) =>
        job.metadata.name.startsWith('top-clients-drop-')
          ? { failed: true, words: 'something reads it' }
          : {};
      deletePage();
      await run(6);
      expect([drops(), unshown()]).toEqual([[], undefined]);
      expect(told.filter((one) => one.includes('UnshownView'))).toEqual([
        'top-clients Warning UnshownViewLeft',
      ]);
      expect(conditions('TopClients', 'top-clients')['Degraded']).toBe('False AsWanted');
    });
  });

  test('does not show a view that differs, and says how many sellers do', async () => {
    const verdict = { ...VERDICT, differing: 3, examples: [4, 8, 15] };
    fate = (job) => (job.metadata.name.includes('compare') ? { words: JSON.stringify(verdict) } : {});
    gig({ view: { version: 2 } });
    await run(6);
    expect(page().status).toMatchObject({ view: 'v1 → v2 differs', building: { differing: 3 } });
    expect(conditions('PageView', 'gig')).toMatchObject({
      ViewCurrent: 'False ViewDiffers',
      Ready: 'True Available',
    });
    expect(message('PageView', 'gig', 'ViewCurrent')).toContain(
      '3 of 50 sellers differ from the source, such as 4, 8, 15',
    );
    expect(shownVersion()).toBeNull();
    expect(told).toContain('gig Warning ViewDiffers');
    // Corrected meanwhile: the next comparison, a minute later, finds nothing.
    fate = (job) => (job.metadata.name.includes('compare') ? { words: JSON.stringify(VERDICT) } : {});
    await run(4);
    expect(page().status.view).toBe('v1 → v2 differs');
    now += 60_000;
    await run(6);
    expect(page().status.view).toBe('v2');
  });

  test('watches the view it showed before, and goes back to it once it is found equal to the source', async () => {
    gig({ view: { version: 2 } });
    await run(8);
    expect(page().status.view).toBe('v2');
    expect(settingsOf('top-clients-watch-gig')['TC_KEPT_VIEWS']).toBe('asynchronous-v1');
    const verdict = { ...VERDICT, differing: 2, examples: [4, 8] };
    fate = (job) => (job.metadata.name.includes('compare') ? { words: JSON.stringify(verdict) } : {});
    gig({ view: { version: 1 } });
    await run(6);
    expect(page().status).toMatchObject({ view: 'v2 → v1 differs', shown: { version: 2 } });
    expect(shownVersion()).toBe('2');
    expect(message('PageView', 'gig', 'ViewCurrent')).toContain('2 of 50 sellers differ');
    expect(kube.names('Deployment')).toContain('top-clients-projector-gig-asynchronous-v1');
    expect(kube.names('Job').filter((name) => name.includes('drop'))).toEqual([]);
    expect(settingsOf('top-clients-watch-gig')['TC_KEPT_VIEWS']).toBe('asynchronous-v1');
    // Repaired meanwhile.
    fate = (job) => (job.metadata.name.includes('compare') ? { words: JSON.stringify(VERDICT) } : {});
    now += 60_000;
    await run(6);
    expect(page().status.view).toBe('v1');
    expect(shownVersion()).toBe('1');
    expect(settingsOf('top-clients-watch-gig')['TC_KEPT_VIEWS']).toBe('asynchronous-v2');
  });

  test('goes on with what it shows when a rollback is taken back', async () => {
    gig({ view: { version: 2 } });
    await run(8);
    const { until } = page().status.kept[0];
    fate = (job) => (job.metadata.name.includes('compare') ? { words: 'Killed' } : {});
    gig({ view: { version: 1 } });
    await run(4);
    expect(page().status.building).toMatchObject({ version: 1, keptUntil: until });
    gig({ view: { version: 2 } });
    await run(2);
    expect(page().status).toMatchObject({ view: 'v2', kept: [{ version: 1, until }] });
    expect(kube.names('Deployment')).toContain('top-clients-projector-gig-asynchronous-v1');
  });

  test.each(['', 'Killed', '{"sellers":50}', '{"sellers":50,"differing":0,"caughtUp":"yes"}'])(
    'takes last words like %p of a comparison for no verdict',
    async (words) => {
      fate = (job) => (job.metadata.name.includes('compare') ? { words } : {});
      gig({ view: { version: 2 } });
      await run(6);
      expect(page().status.shown).toEqual({ delivery: 'asynchronous', version: 1 });
      expect(conditions('PageView', 'gig')['ViewCurrent']).toBe('False CompareFailed');
    },
  );

  test('that decides to switch says so before anything follows from it', async () => {
    gig({ view: { version: 2 } });
    while (page().status.view !== 'v2') {
      kube.writes.length = 0;
      await run(1);
    }
    await run(1);
    const switched = kube.writes.findIndex((write) => write.startsWith('apply Job top-clients-migrate-gig'));
    const decided = kube.writes.indexOf('status PageView gig');
    const removed = kube.writes.findIndex((write) => write.startsWith('delete Job top-clients-compare'));
    expect(decided).toBeGreaterThanOrEqual(0);
    expect(switched).toBeGreaterThan(decided);
    expect(removed).toBeGreaterThan(decided);
  });

  test('does not act on a status that was changed since it was read', async () => {
    gig({ view: { version: 2 } });
    const get = kube.get.bind(kube);
    let raced = false;
    kube.get = async (ref) => {
      const found = await get(ref);
      if (ref.kind === 'PageView' && !raced) {
        raced = true;
        kube.put(found!, { ...found?.status, view: 'v1' });
      }
      return found;
    };
    kube.writes.length = 0;
    await expect(reconcile(pageKey('gig'))).rejects.toMatchObject({ code: 409 });
    expect(kube.writes).toEqual(['status PageView gig']);
  });

  test('synchronous: is switched to at once, has no projector once the time is over, and comes back verified', async () => {
    gig({ delivery: 'synchronous', view: { keepSeconds: 10 } });
    await both();
    expect(page().status.view).toBe('synchronous');
    expect(settingsOf('top-clients-page-gig')).toMatchObject({
      TC_DELIVERY: 'synchronous',
      TC_PARALLEL: 'true',
    });
    await run(6, 10_000);
    expect(kube.names('Deployment').filter((name) => name.includes('projector'))).toEqual([]);
    expect(conditions('PageView', 'gig')).toMatchObject({ AutoscalingReady: 'False NothingProjected' });
    gig({ delivery: 'asynchronous' });
    await both();
    expect(page().status.view).toBe('synchronous → asynchronous v1 0 %');
    expect(settingsOf('top-clients-page-gig')['TC_DELIVERY']).toBe('synchronous');
    await run(8);
    expect(page().status.view).toBe('v1');
    expect(settingsOf('top-clients-page-gig')['TC_DELIVERY']).toBe('asynchronous');
  });

  test('without a platform is left as it is', async () => {
    kube.remove('TopClients', 'top-clients');
    const writes = kube.writes.length;
    await reconcile(pageKey('gig'));
    expect(kube.writes.slice(writes)).toEqual(['status PageView gig']);
    expect(conditions('PageView', 'gig')['Degraded']).toBe('True PlatformMissing');
  });
});

describe('a number of pods that somebody else decides', () => {
  const replicas = (name: string) => kube.find('Deployment', name)?.spec.replicas;
  const PROJECTOR = 'top-clients-projector-gig-asynchronous-v1';

  test.each(['top-clients', 'top-clients-relay', 'top-clients-page-self-view', 'top-clients-page-gig'])(
    'is left to them: %s',
    async (name) => {
      platform();
      gig();
      await run();
      kube.scale(name, 5);
      await run();
      expect(replicas(name)).toBe(5);
      // An autoscaler of theirs goes on, and a new leader does not know what was applied before.
      kube.scale(name, 3, 'kube-controller-manager');
      restart();
      await run();
      expect(replicas(name)).toBe(3);
      const [kind, own, type] = name.endsWith('gig')
        ? ['PageView', 'gig', 'ServersAutoscalingReady']
        : ['TopClients', 'top-clients', 'AutoscalingReady'];
      expect(conditions(kind!, own!)[type!]).toBe('False ScaledByOthers');
      expect(message(kind!, own!, type!)).toContain(
        `${name} has 3 pods by kube-controller-manager, the spec says 2`,
      );
      expect(told).toContain(`${own} Normal ScaledByOthers`);
      kube.writes.length = 0;
      await both();
      expect(kube.writes).toEqual([]);
    },
  );

  test('stays through a new version of the pods', async () => {
    platform();
    gig();
    await run();
    kube.scale('top-clients', 5);
    image = 'top-clients:2';
    await run();
    expect(kube.find('Deployment', 'top-clients')?.spec).toMatchObject({
      replicas: 5,
      template: { spec: { containers: [{ image }] } },
    });
  });

  test('is taken back by another number in the spec, and by the same one given by them', async () => {
    platform({ source: { replicas: 2 } });
    gig();
    await run();
    kube.scale('top-clients', 5);
    await run();
    platform({ source: { replicas: 3 } });
    await run();
    expect(replicas('top-clients')).toBe(3);
    expect(conditions('TopClients', 'top-clients')['AutoscalingReady']).toBe('False Off');
    kube.scale('top-clients', 4);
    await run();
    expect(replicas('top-clients')).toBe(4);
    kube.scale('top-clients', 3);
    await run();
    expect(conditions('TopClients', 'top-clients')['AutoscalingReady']).toBe('False Off');
  });

  test('is taken over from plain manifests, where it is nobody’s yet', async () => {
    platform({ source: { replicas: 2 } });
    gig();
    await run();
    const {
      ownerReferences: _,
      annotations: __,
      ...metadata
    } = kube.find('Deployment', 'top-clients')!.metadata;
    const { apiVersion, kind, spec } = kube.find('Deployment', 'top-clients')!;
    kube.remove('Deployment', 'top-clients');
    kube.put({ apiVersion, kind, metadata, spec: { ...spec, replicas: 9 } });
    restart();
    await run();
    expect(replicas('top-clients')).toBe(2);
  });

  test('of projectors is left without an autoscaler, follows the scale of the page, and is the scaler’s where it is on', async () => {
    platform();
    gig({ replicas: 2, autoscaling: { mode: 'none' } });
    await run();
    kube.scale(PROJECTOR, 4);
    await run();
    expect(replicas(PROJECTOR)).toBe(4);
    expect(conditions('PageView', 'gig')['AutoscalingReady']).toBe('False ScaledByOthers');
    await kube.patch({ ...page(), ...page().metadata }, { spec: { replicas: 3 } }, 'scale');
    await run();
    expect(replicas(PROJECTOR)).toBe(3);
    gig({ replicas: 3, autoscaling: { mode: 'builtin' } });
    lag = 3_000;
    await run();
    kube.scale(PROJECTOR, 1);
    await run();
    expect(replicas(PROJECTOR)).toBe(3);
  });
});

describe('a service that scales itself', () => {
  const replicas = (name: string) => kube.find('Deployment', name)?.spec.replicas;
  const cpu = { autoscaling: { mode: 'cpu' } };
  const says = (name: string, ...conditions: object[]) =>
    kube.put(kube.find('HorizontalPodAutoscaler', name)!, { conditions, currentReplicas: 3 });
  const able = { type: 'AbleToScale', status: 'True' };

  test('keeps the number of its autoscaler, whose own words are told', async () => {
    platform({ source: cpu });
    gig({ server: cpu });
    await run();
    expect(conditions('TopClients', 'top-clients')['AutoscalingReady']).toBe('False AutoscalerNotReady');
    says('top-clients', able, {
      type: 'ScalingActive',
      status: 'False',
      reason: 'FailedGetContainerResourceMetric',
      message: 'the server could not find the requested resource (get pods.metrics.k8s.io)',
    });
    says('top-clients-page-gig', able, { type: 'ScalingActive', status: 'True' });
    kube.scale('top-clients-page-gig', 3, 'kube-controller-manager');
    await run();
    expect(conditions('TopClients', 'top-clients')).toMatchObject({
      AutoscalingReady: 'False MetricsMissing',
      Ready: 'True Available',
    });
    expect(message('TopClients', 'top-clients', 'AutoscalingReady')).toMatch(
      /^top-clients: its use of CPU cannot be read; metrics-server brings it: .*pods.metrics.k8s.io/,
    );
    expect(conditions('PageView', 'gig')['ServersAutoscalingReady']).toBe('True Autoscaled');
    expect(replicas('top-clients-page-gig')).toBe(3);
    says(
      'top-clients-page-gig',
      able,
      { type: 'ScalingActive', status: 'True' },
      { type: 'ScalingLimited', status: 'True', reason: 'TooManyReplicas' },
    );
    await run();
    expect(conditions('PageView', 'gig')['ServersAutoscalingReady']).toBe('True AtMost');
  });

  test('keeps its number when autoscaling begins, and gets that of the spec when it ends', async () => {
    platform({ source: { replicas: 4 } });
    gig();
    await run();
    platform({ source: { replicas: 4, ...cpu } });
    await run();
    expect(replicas('top-clients')).toBe(4);
    kube.scale('top-clients', 6, 'kube-controller-manager');
    await run();
    expect(replicas('top-clients')).toBe(6);
    kube.writes.length = 0;
    platform({ source: { replicas: 4 } });
    await run();
    expect(kube.names('HorizontalPodAutoscaler')).toEqual([]);
    expect(replicas('top-clients')).toBe(4);
    const at = (write: string) => kube.writes.indexOf(write);
    expect(at('delete HorizontalPodAutoscaler top-clients')).toBeLessThan(at('apply Deployment top-clients'));
  });

  test('by requests says what is missing, and is left at the number of the spec until it is there', async () => {
    platform();
    gig({ server: { autoscaling: { mode: 'requests' } } });
    await run();
    expect(conditions('PageView', 'gig')['ServersAutoscalingReady']).toBe('False KedaMissing');
    expect(replicas('top-clients-page-gig')).toBe(2);
    for (const { apiVersion, kind } of OF_OTHERS)
      if (apiVersion.startsWith('keda')) kube.served.add(`${apiVersion} ${kind}`);
    await run();
    expect(conditions('PageView', 'gig')['ServersAutoscalingReady']).toBe('False PrometheusMissing');
    platform({ monitoring: { prometheusUrl: 'http://prometheus:9090' } });
    await run();
    kube.put(kube.find(SCALED_OBJECT.kind, 'top-clients-page-gig')!, {
      conditions: [{ type: 'Ready', status: 'True' }],
    });
    await run();
    expect(conditions('PageView', 'gig')['ServersAutoscalingReady']).toBe('True Keda');
    expect(replicas('top-clients-page-gig')).toBe(2);
  });
});

describe('projectors by lag', () => {
  const replicas = () => kube.find('Deployment', 'top-clients-projector-gig-asynchronous-v1')?.spec.replicas;

  test('are scaled by the operator where KEDA is not, through the scale subresource', async () => {
    platform();
    gig({ replicas: 1, autoscaling: { scaleDownStabilizationSeconds: 60 } });
    await run();
    lag = 3_500;
    await run(2);
    expect(page().spec.replicas).toBe(4);
    expect(kube.writes).toContain('patch scale PageView gig');
    expect(replicas()).toBe(4);
    lag = 0;
    await run(3, 15_000);
    expect(replicas()).toBe(4);
    await run(3, 15_000);
    expect(replicas()).toBe(1);
    expect(told).toContain('gig Normal Scaled');
  });

  test('are left as they are while the lag is not known', async () => {
    platform();
    gig({ replicas: 3 });
    await run();
    lag = { unknown: 'nobody answers' };
    await run(8, 60_000);
    expect(page().spec.replicas).toBe(3);
    expect(conditions('PageView', 'gig')['AutoscalingReady']).toBe('False LagUnknown');
    expect(message('PageView', 'gig', 'AutoscalingReady')).toContain('nobody answers');
  });

  test('stay as the spec says without an autoscaler', async () => {
    platform();
    gig({ replicas: 2, autoscaling: { mode: 'none' } });
    lag = 100_000;
    await run();
    expect(replicas()).toBe(2);
    expect(conditions('PageView', 'gig')['AutoscalingReady']).toBe('False Off');
  });

  test('are KEDA’s where KEDA is, and what it says is told', async () => {
    for (const { apiVersion, kind } of OF_OTHERS)
      if (apiVersion.startsWith('keda')) kube.served.add(`${apiVersion} ${kind}`);
    platform();
    gig();
    await run();
    const name = 'top-clients-projector-gig-asynchronous-v1';
    expect(conditions('PageView', 'gig')['AutoscalingReady']).toBe('False KedaNotReady');
    expect(kube.find('Deployment', name)?.spec).not.toHaveProperty('replicas');
    const scaled = kube.find(SCALED_OBJECT.kind, name)!;
    kube.put(scaled, { conditions: [{ type: 'Ready', status: 'True' }] });
    await both();
    expect(conditions('PageView', 'gig')['AutoscalingReady']).toBe('True Keda');
    kube.put(scaled, { conditions: [{ type: 'Ready', status: 'False', message: 'no such topic' }] });
    await both();
    expect(message('PageView', 'gig', 'AutoscalingReady')).toBe('KEDA cannot scale: no such topic');
  });

  test('say what to do when KEDA is asked for and not there', async () => {
    platform();
    gig({ autoscaling: { mode: 'keda' } });
    await run();
    expect(conditions('PageView', 'gig')).toMatchObject({
      AutoscalingReady: 'False KedaMissing',
      Degraded: 'False AsWanted',
      Ready: 'True Available',
    });
    expect(message('PageView', 'gig', 'AutoscalingReady')).toContain('install KEDA, or set autoscaling.mode');
  });
});

describe('stores of others', () => {
  test('are asked for when their operator is not there', async () => {
    platform({ kafka: { mode: 'strimzi', replication: 3 } });
    await both();
    expect(conditions('TopClients', 'top-clients')).toMatchObject({ Degraded: 'True StoreApiMissing' });
    expect(message('TopClients', 'top-clients', 'Degraded')).toContain('kafka.strimzi.io/v1 Kafka');
  });

  test('are waited for until their operators say that they are ready', async () => {
    for (const { apiVersion, kind } of OF_OTHERS) kube.served.add(`${apiVersion} ${kind}`);
    platform({ kafka: { mode: 'strimzi', replication: 3 }, postgres: { mode: 'cnpg' } });
    await run(3);
    expect(conditions('TopClients', 'top-clients')['Progressing']).toBe('True StoresNotReady');
    expect(kube.names('Job')).toEqual([]);
    storesOfOthersReady();
    await run(4);
    expect(conditions('TopClients', 'top-clients')).toMatchObject({
      Ready: 'True Available',
      Progressing: 'False Settled',
    });
  });
});

describe('partitions that are raised', () => {
  const raise = (partitions: number, metadata: object = {}) => {
    const before = kube.find('TopClients', 'top-clients')!;
    const spec = { ...before.spec, kafka: { ...before.spec.kafka, partitions } };
    kube.put({ ...before, metadata: { ...before.metadata, ...metadata }, spec });
  };
  const jobs = () => kube.names('Job').filter((name) => name.includes('republish'));
  const job = () => kube.find('Job', jobs()[0]!)!;
  const status = () => kube.find('TopClients', 'top-clients')!.status!;
  const settled = () => [
    conditions('TopClients', 'top-clients')['PartitionsSettled'],
    message('TopClients', 'top-clients', 'PartitionsSettled'),
  ];
  const envOf = (name: string) =>
    job().spec.template.spec.containers[0].env.find((one: { name: string }) => one.name === name)?.value;

  beforeEach(async () => {
    fate = () => ({});
    platform();
    gig({ replicas: 2 });
    await run();
  });

  test('are what the topic gets by a job, with its progress told, while all goes on', async () => {
    expect(status()['partitions']).toBe(12);
    fate = ({ metadata }) => (metadata.name.includes('republish') ? null : {});
    raise(24);
    await run(2);
    expect(jobs()).toHaveLength(1);
    expect([envOf('TC_REASON'), envOf('TC_PARTITIONS'), envOf('TC_GROW_TOPIC')]).toEqual([
      'growth',
      '24',
      'true',
    ]);
    expect(settled()).toEqual([
      'False TopicGrows',
      'the topic gets 24 partitions; messages are still divided among 12',
    ]);
    layout = { partitions: 24, movedFrom: 12, sellersDone: 40, sellers: 100 };
    await run(2);
    expect(settled()).toEqual(['False Growing', '12 → 24 partitions: 40 % of sellers published again']);
    expect(status()['growth']).toEqual({ from: 12, to: 24, sellersDone: 40, sellers: 100 });
    expect(conditions('TopClients', 'top-clients')).toMatchObject({
      Ready: 'True Available',
      Degraded: 'False AsWanted',
    });
    expect(jobs()).toHaveLength(1);
    layout = { partitions: 24, movedFrom: null, sellersDone: 0, sellers: 0 };
    fate = () => ({});
    await run();
    expect(settled()[0]).toBe('True Settled');
    expect(status()).toMatchObject({ partitions: 24 });
    expect(status()).not.toHaveProperty('growth');
    expect(jobs()).toEqual([]);
  });

  test('limit projectors, and are asked for their lag, only once messages are divided among them', async () => {
    const most = () => message('PageView', 'gig', 'AutoscalingReady');
    own('PageView', 'gig', { autoscaling: { maxReplicas: 20 }, projector: { maxDatabaseConnections: 90 } });
    raise(24);
    await run(2);
    expect(most()).toContain('and 12 projectors (the partitions of the topic)');
    layout = { partitions: 24, movedFrom: 12, sellersDone: 0, sellers: 100 };
    await run(2);
    expect(most()).toContain('and 20 projectors (autoscaling.maxReplicas)');
  });

  test('of a topic that is not ours are asked for in words, with what the last try said', async () => {
    const before = kube.find('TopClients', 'top-clients')!;
    const external = {
      mode: 'external',
      external: { brokers: ['a:9092'], createTopic: false },
      partitions: 24,
    };
    kube.put({ ...before, spec: { ...before.spec, kafka: external } });
    fate = ({ metadata }) => (metadata.name.includes('republish') ? null : {});
    await run(2);
    expect(envOf('TC_GROW_TOPIC')).toBe('false');
    kube.put(
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name: `${jobs()[0]}-y`,
          labels: { 'app.kubernetes.io/name': 'top-clients', 'batch.kubernetes.io/job-name': jobs()[0]! },
        },
      },
      { containerStatuses: [{ state: { terminated: { message: 'the topic has 12 partitions' } } }] },
    );
    await reconcile(PLATFORM_KEY);
    expect(settled()).toEqual([
      'False TopicGrows',
      'the topic is yours: give it 24 partitions; messages are still divided among 12; the last try ended with: the topic has 12 partitions',
    ]);
  });

  test('wait for relays of an earlier version, which would follow the topic at once', async () => {
    const relay = kube.find('Deployment', 'top-clients-relay')!;
    kube.put(relay, { ...relay.status, updatedReplicas: 1 });
    raise(24);
    await reconcile(PLATFORM_KEY);
    expect(jobs()).toEqual([]);
    expect(settled()[0]).toBe('False WaitingForRelays');
    layout = null;
    await reconcile(PLATFORM_KEY);
    expect(settled()[0]).toBe('Unknown LayoutUnknown');
  });

  test('that are taken back before anything moved leave nothing to do', async () => {
    fate = ({ metadata }) => (metadata.name.includes('republish') ? null : {});
    raise(24);
    await run(2);
    raise(12);
    await run(3);
    expect(settled()[0]).toBe('True Settled');
    expect(jobs()).toEqual([]);
  });

  test('that have begun to move are ended first, whatever is wanted meanwhile', async () => {
    fate = ({ metadata }) => (metadata.name.includes('republish') ? null : {});
    layout = { partitions: 24, movedFrom: 12, sellersDone: 1, sellers: 100 };
    await run(2);
    expect(envOf('TC_PARTITIONS')).toBe('24');
  });

  test('that are fewer than there are say what to do', async () => {
    layout = { partitions: 24, movedFrom: null, sellersDone: 0, sellers: 0 };
    await run(2);
    expect(conditions('TopClients', 'top-clients')).toMatchObject({
      Ready: 'True Available',
      Degraded: 'True MorePartitionsThanWanted',
      PartitionsSettled: 'False MoreThanWanted',
    });
    expect(message('TopClients', 'top-clients', 'Degraded')).toContain('set kafka.partitions to 24');
    expect(jobs()).toEqual([]);
  });

  test('whose job fails are told, and tried again', async () => {
    const words = 'the topic has 12 partitions; give it 24, and start this again';
    fate = ({ metadata }) => (metadata.name.includes('republish') ? { failed: true, words } : {});
    raise(24);
    await run(2);
    expect(conditions('TopClients', 'top-clients')['Degraded']).toBe('True RepublishFailed');
    expect(message('TopClients', 'top-clients', 'Degraded')).toContain(words);
    const first = job().metadata.uid;
    now += 60_000;
    await run(2);
    expect(job().metadata.uid).not.toBe(first);
  });

  test('are given to a topic of Strimzi’s when every relay follows the layout, and never taken from it', () => {
    const topic = (partitions: number) =>
      ({
        apiVersion: 'kafka.strimzi.io/v1',
        kind: 'KafkaTopic',
        metadata: { name: 'top-clients.seller.v1', namespace: NAMESPACE },
        spec: { partitions },
      }) as never;
    const held = (live: number | null, wanted: number, relaysRolledOut: boolean) =>
      (
        heldTopic(topic(wanted), {
          snapshot: new ClusterSnapshot(live === null ? [] : [topic(live)], [], OF_OTHERS),
          layout,
          relaysRolledOut,
        }) as unknown as { spec: { partitions: number } }
      ).spec.partitions;
    expect(held(null, 24, false)).toBe(24);
    expect(held(12, 24, false)).toBe(12);
    expect(held(12, 24, true)).toBe(24);
    expect(held(24, 12, true)).toBe(24);
    layout = null;
    expect(held(12, 24, true)).toBe(12);
  });

  test('an annotation has every seller published again, once for each value', async () => {
    const ask = (value: string) => raise(12, { annotations: { 'topclients.dev/republish': value } });
    fate = ({ metadata }) => (metadata.name.includes('republish') ? null : {});
    ask('after the loss');
    await run(2);
    expect(envOf('TC_REQUEST')).toBe('after the loss');
    expect(status()['republish']).toEqual({ request: 'after the loss', startedAt: expect.any(String) });
    layout = { partitions: 12, movedFrom: null, sellersDone: 30, sellers: 60 };
    await run(2);
    expect(status()['republish']).toMatchObject({ sellersDone: 30, sellers: 60 });
    fate = () => ({});
    await run();
    expect(status()['republish']).toMatchObject({
      request: 'after the loss',
      finishedAt: expect.any(String),
    });
    expect(told).toContain('top-clients Normal Republished');
    expect(jobs()).toEqual([]);
    restart();
    await run(3);
    expect(jobs()).toEqual([]);
    fate = ({ metadata }) => (metadata.name.includes('republish') ? null : {});
    ask('once more');
    await run(2);
    expect(envOf('TC_REQUEST')).toBe('once more');
  });

  test('an annotation has a restored source follow what it had published, once for each value', async () => {
    const ask = (value: string) => raise(12, { annotations: { 'topclients.dev/restored': value } });
    fate = ({ metadata }) => (metadata.name.includes('republish') ? null : {});
    ask('to noon');
    await run(2);
    expect(job().metadata.name).toContain('restored');
    expect(status()['restored']).toEqual({ request: 'to noon', startedAt: expect.any(String) });
    fate = () => ({});
    await run();
    expect(status()['restored']).toMatchObject({ request: 'to noon', finishedAt: expect.any(String) });
    expect(told).toContain('top-clients Normal RestoreFollowed');
    restart();
    await run(3);
    expect(jobs()).toEqual([]);
    fate = ({ metadata }) => (metadata.name.includes('republish') ? null : {});
    ask('to one');
    await run(2);
    expect(job().metadata.name).toContain('restored');
  });
});

test('an operator that would work here as well is named beside the one that does, and harms nothing', async () => {
  platform();
  gig();
  await run();
  rivals = ['ops/top-clients-operator'];
  await run();
  expect(conditions('TopClients', 'top-clients')).toMatchObject({
    Ready: 'True Available',
    Degraded: 'True OperatorsOverlap',
  });
  expect(message('TopClients', 'top-clients', 'Degraded')).toMatch(
    /^the operator shop\/top-clients-operator works in this namespace, and ops\/top-clients-operator would as well/,
  );
  rivals = [];
  await run();
  expect(conditions('TopClients', 'top-clients')).toMatchObject({ Degraded: 'False AsWanted' });
});
