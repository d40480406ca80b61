import { beforeEach, expect, test } from '@jest/globals';
import { API_VERSION } from '#cdk8s/api/shared.ts';
import { DEMO } from '#cdk8s/testing/platforms.ts';
import type { StoredObject } from '../../runtime/kube.ts';
import { PLATFORM_KEY, pageKey } from '../keys.ts';
import type { reconciler } from '../reconcile.ts';
import { settle } from '../testing/controllers.ts';
import { InMemoryKube } from '../testing/in-memory-kube.ts';
import { reconcilerIn } from '../testing/reconciler.ts';

let kube: InMemoryKube;
let now: number;
let reconcile: ReturnType<typeof reconciler>;

const own = (kind: string, name: string, spec: object) =>
  kube.put({ apiVersion: API_VERSION, kind, metadata: { name, namespace: 'shop' }, spec });
const both = async () => ({
  platform: await reconcile(PLATFORM_KEY),
  page: await reconcile(pageKey('gig')),
});
const conditions = (kind: string, name: string): Record<string, string> =>
  Object.fromEntries(
    kube
      .find(kind, name)!
      .status.conditions.map(({ type, status, reason }: Record<string, string>) => [
        type,
        `${status} ${reason}`,
      ]),
  );
const deployment = (name: string): StoredObject => kube.find('Deployment', name)!;
/** A Deployment none of whose pods runs, for this reason. */
const stops = (name: string, state: object, phase = 'Running') => {
  const live = deployment(name);
  kube.put(live, {
    ...live.status,
    readyReplicas: 0,
    availableReplicas: 0,
    conditions: [{ type: 'Available', status: 'False' }],
  });
  for (const pod of kube.names('Pod').filter((one) => one.startsWith(`${name}-`) && /-\d$/.test(one))) {
    kube.put(kube.find('Pod', pod)!, {
      phase,
      conditions: [{ type: 'PodScheduled', status: 'True', lastTransitionTime: new Date(now).toISOString() }],
      containerStatuses: [{ name: 'x', ready: false, restartCount: 3, ...state }],
    });
  }
};

beforeEach(async () => {
  kube = new InMemoryKube();
  now = Date.parse('2026-11-23T12:00:00Z');
  reconcile = reconcilerIn({ kube, now: () => now });
  own('TopClients', 'top-clients', DEMO.topClients);
  own('PageView', 'gig', {});
  for (let i = 0; i < 6; i++) {
    await both();
    settle(kube, now);
    now += 2_000;
  }
  await both();
  expect(conditions('PageView', 'gig')).toMatchObject({
    Ready: 'True Available',
    Degraded: 'False AsWanted',
  });
});

test('a page whose servers crash says why, and says so no more once they run', async () => {
  stops('top-clients-page-gig', {
    state: { waiting: { reason: 'CrashLoopBackOff' } },
    lastState: {
      terminated: { exitCode: 1, message: 'no database', finishedAt: new Date(now).toISOString() },
    },
  });
  await both();
  expect(conditions('PageView', 'gig')).toMatchObject({
    Ready: 'False CrashLoopBackOff',
    Degraded: 'True CrashLoopBackOff',
  });
  expect(conditions('TopClients', 'top-clients')).toMatchObject({ Degraded: 'False AsWanted' });
  settle(kube, now);
  await both();
  expect(conditions('PageView', 'gig')).toMatchObject({
    Ready: 'True Available',
    Degraded: 'False AsWanted',
  });
});

test('the platform says why a workload of its own, or its PostgreSQL, does not run', async () => {
  const image = { waiting: { reason: 'ImagePullBackOff', message: 'not found' } };
  stops('top-clients-relay', { state: image });
  await both();
  expect(conditions('TopClients', 'top-clients')).toMatchObject({
    Ready: 'False ErrImagePull',
    Degraded: 'True ErrImagePull',
  });
  settle(kube, now);
  const set = kube
    .names('StatefulSet')
    .map((name) => kube.find('StatefulSet', name)!)
    .find(({ metadata }) => metadata.name.startsWith('top-clients-postgres'))!;
  kube.put(set, { ...set.status, readyReplicas: 0 });
  kube.put(
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `${set.metadata.name}-0`, labels: set.spec.template.metadata.labels },
    },
    { phase: 'Pending', containerStatuses: [{ name: 'postgres', ready: false, state: image }] },
  );
  await both();
  expect(conditions('TopClients', 'top-clients')).toMatchObject({
    Ready: 'False ErrImagePull',
    Degraded: 'True ErrImagePull',
  });
});

test('a volume that does not mount is asked of the Events, within half a minute', async () => {
  stops('top-clients-relay', { state: { waiting: { reason: 'ContainerCreating' } } }, 'Pending');
  const pod = kube.names('Pod').find((name) => name.startsWith('top-clients-relay-'))!;
  kube.put({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'e' },
    involvedObject: { kind: 'Pod', name: pod },
    reason: 'FailedMount',
    message: 'secret "ca" not found',
    type: 'Warning',
    lastTimestamp: new Date(now).toISOString(),
  } as never);
  const { platform } = await both();
  expect(conditions('TopClients', 'top-clients')['Degraded']).toBe('False AsWanted');
  expect(platform?.requeueAfterMs).toBeLessThanOrEqual(15_000);
  now += 15_000;
  await both();
  expect(conditions('TopClients', 'top-clients')['Degraded']).toBe('True FailedMount');
});

test('a page without any projector is not ready, though Kubernetes calls its Deployment available', async () => {
  const live = deployment('top-clients-projector-gig-asynchronous-v1');
  kube.put(live, { ...live.status, replicas: 0, readyReplicas: 0, availableReplicas: 0, updatedReplicas: 0 });
  await both();
  expect(conditions('PageView', 'gig')['Ready']).toBe('False NotProjected');
});

test('a page whose platform was deleted is not ready, and is again with a new one', async () => {
  kube.remove('TopClients', 'top-clients');
  await both();
  expect(conditions('PageView', 'gig')).toMatchObject({
    Ready: 'False PlatformMissing',
    Degraded: 'True PlatformMissing',
  });
  own('TopClients', 'top-clients', DEMO.topClients);
  await both();
  settle(kube, now);
  await both();
  expect(conditions('PageView', 'gig')['Degraded']).toBe('False AsWanted');
});

test("a page in whose Service's place somebody else's stands is not ready", async () => {
  kube.remove('Service', 'top-clients-page-gig');
  kube.put({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'top-clients-page-gig' }, spec: {} });
  await both();
  expect(conditions('PageView', 'gig')).toMatchObject({
    Ready: 'False ForeignObject',
    Degraded: 'True ForeignObject',
  });
  kube.remove('Service', 'top-clients-page-gig');
  await both();
  expect(conditions('PageView', 'gig')).toMatchObject({ Ready: 'True Available' });
});
