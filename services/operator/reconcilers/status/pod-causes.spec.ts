import { expect, test } from '@jest/globals';
import { selectorOf } from '#cdk8s/constructs/labels.ts';
import { ClusterSnapshot } from '../../runtime/cluster-snapshot.ts';
import type { StoredObject } from '../../runtime/kube.ts';
import { isMute, lastWarning, podCauses } from './pod-causes.ts';

const NOW = Date.parse('2026-11-23T12:00:00Z');
const ago = (seconds: number) => new Date(NOW - seconds * 1_000).toISOString();
const object = (kind: string, name: string, more: object): StoredObject => ({
  apiVersion: kind === 'Job' ? 'batch/v1' : 'apps/v1',
  kind,
  metadata: {
    name,
    labels: selectorOf('relay'),
    uid: name,
    resourceVersion: '1',
    creationTimestamp: ago(600),
  },
  ...more,
});
const relay = object('Deployment', 'relay', { spec: { replicas: 2 }, status: { readyReplicas: 1 } });
const pod = (status: object, name = 'relay-x', more: object = {}): StoredObject => ({
  ...object('Pod', name, { spec: { nodeName: 'n1' }, status }),
  ...more,
});
const container = (state: object, more: object = {}) => ({
  phase: 'Running',
  containerStatuses: [{ name: 'relay', ready: false, restartCount: 0, state, ...more }],
});
const scheduled = (seconds: number, status = 'True', more: object = {}) => ({
  type: 'PodScheduled',
  status,
  lastTransitionTime: ago(seconds),
  ...more,
});
const causes = (pods: readonly StoredObject[], workload = relay, warnings = new Map()) =>
  podCauses([workload], new ClusterSnapshot([workload], pods, [], warnings), NOW);
const terminated = (exitCode: number, message = '', more: object = {}) => ({
  terminated: { exitCode, message, finishedAt: ago(5), ...more },
});

test.each([
  ['runs', { phase: 'Running', containerStatuses: [{ name: 'relay', ready: true, state: { running: {} } }] }],
  ['is being made', container({ waiting: { reason: 'ContainerCreating' } })],
  ['crashed once and runs again', container({ running: {} }, { restartCount: 1, lastState: terminated(1) })],
  [
    'crashed long ago and waits for something else',
    container({ running: {} }, { restartCount: 9, lastState: terminated(1, '', { finishedAt: ago(3_600) }) }),
  ],
])('nothing is said of a pod that %s', (_, status) => {
  expect(causes([pod(status)]).troubles).toEqual([]);
});

test.each([
  [
    'whose image is not there',
    container({ waiting: { reason: 'ErrImagePull', message: 'x:1: not found' } }),
    'ErrImagePull',
    'relay: x:1: not found',
  ],
  [
    'whose image is tried again',
    container({ waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image "x:1"' } }),
    'ErrImagePull',
    'Back-off pulling image "x:1"',
  ],
  [
    'whose secret lacks a key',
    container({
      waiting: { reason: 'CreateContainerConfigError', message: "couldn't find key url in Secret a/b" },
    }),
    'CreateContainerConfigError',
    "couldn't find key url in Secret a/b",
  ],
  [
    'that no node can have',
    {
      phase: 'Pending',
      conditions: [scheduled(30, 'False', { reason: 'Unschedulable', message: '0/3 nodes' })],
    },
    'Unschedulable',
    '0/3 nodes',
  ],
  [
    'that was killed for its memory and waits',
    container(
      { waiting: { reason: 'CrashLoopBackOff', message: 'back-off' } },
      { restartCount: 3, lastState: terminated(137, '', { reason: 'OOMKilled' }) },
    ),
    'OOMKilled',
    'more memory than its limit and was killed, 3 restarts so far',
  ],
  [
    'that crashes, with the last line it wrote',
    container(
      { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s' } },
      { restartCount: 2, lastState: terminated(2, 'one\nTC_X is not set\n') },
    ),
    'CrashLoopBackOff',
    'relay ended with exit code 2: TC_X is not set',
  ],
  [
    'that crashes, with what a line of its log says',
    container(
      { running: {} },
      {
        restartCount: 2,
        lastState: terminated(1, '{"level":"fatal","err":{"message":"no route"},"msg":"ends"}'),
      },
    ),
    'CrashLoopBackOff',
    'exit code 1: ends: no route',
  ],
  [
    'that was evicted',
    { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: memory.' },
    'Evicted',
    'The node was low on resource: memory.',
  ],
  [
    'whose node is away',
    {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: ago(60) }],
      containerStatuses: [{ name: 'relay', ready: true, state: { running: {} } }],
    },
    'NodeLost',
    'its node n1 does not answer',
  ],
])('of a pod %s', (_, status, reason, words) => {
  const [trouble, ...others] = causes([pod(status)]).troubles;
  expect(others).toEqual([]);
  expect(trouble).toMatchObject({ reason, workload: 'relay' });
  expect(trouble?.message).toMatch(/^Deployment relay: relay-x: /);
  expect(trouble?.message).toContain(words);
});

test('pods in the same trouble are told once, with how many there are', () => {
  const status = container({ waiting: { reason: 'ErrImagePull', message: 'not found' } });
  const { troubles } = causes([pod(status), pod(status, 'relay-y'), pod(status, 'relay-z')]);
  expect(troubles.map(({ message }) => message)).toEqual([
    'Deployment relay: relay-x, and 2 more: relay: not found',
  ]);
});

test('the sentence about an image stays the same while the kubelet tries and waits', () => {
  const [tries, waits] = [
    { reason: 'ErrImagePull', message: 'failed to pull x:1' },
    { reason: 'ImagePullBackOff', message: 'Back-off pulling image "x:1": ErrImagePull: failed to pull x:1' },
  ].map((waiting) => causes([pod(container({ waiting }))]));
  expect(waits).toEqual(tries);
});

test('a pod that no node can have yet is told after a while, and looked at then', () => {
  const young = pod({ phase: 'Pending', conditions: [scheduled(4, 'False', { reason: 'Unschedulable' })] });
  expect(causes([young])).toEqual({ troubles: [], lookAgainInMs: 6_000 });
});

test('a kill for memory is told for a while after the container runs again, and ends by itself', () => {
  const again = (seconds: number) =>
    container(
      { running: {} },
      { ready: true, lastState: terminated(137, '', { reason: 'OOMKilled', finishedAt: ago(seconds) }) },
    );
  expect(causes([pod(again(100))])).toMatchObject({
    troubles: [{ reason: 'OOMKilled' }],
    lookAgainInMs: 200_000,
  });
  expect(causes([pod(again(301))])).toEqual({ troubles: [], lookAgainInMs: null });
});

test('what ended is no trouble once the workload has its pods, nor is a pod on its way out', () => {
  const evicted = pod({ phase: 'Failed', reason: 'Evicted', message: 'x' });
  const complete = { ...relay, status: { readyReplicas: 2 } };
  expect(causes([evicted], complete).troubles).toEqual([]);
  const status = container({ waiting: { reason: 'ErrImagePull', message: 'not found' } });
  const leaving = pod(status);
  const gone = { ...leaving, metadata: { ...leaving.metadata, deletionTimestamp: ago(1) } };
  expect(causes([gone]).troubles).toEqual([]);
});

test("a volume that does not mount is told in the words of the pod's Events", () => {
  const mute = pod({
    phase: 'Pending',
    conditions: [scheduled(30)],
    containerStatuses: [{ name: 'relay', state: { waiting: { reason: 'ContainerCreating' } } }],
  });
  expect(isMute(mute, NOW)).toBe(true);
  expect(isMute(mute, NOW - 25_000)).toBe(false);
  const event = (reason: string, message: string, seconds: number) =>
    ({ ...object('Event', 'e', {}), reason, message, lastTimestamp: ago(seconds) }) as StoredObject;
  const warning = lastWarning([
    event('FailedMount', 'secret "ca" not found', 2),
    event('FailedScheduling', 'x', 30),
  ]);
  expect(lastWarning([])).toBeNull();
  expect(causes([mute], relay, new Map([['relay-x', warning]])).troubles).toMatchObject([
    { reason: 'FailedMount', message: 'Deployment relay: relay-x: secret "ca" not found' },
  ]);
});

test('pods that the API server refuses are told by their Deployment', () => {
  const refused = {
    ...relay,
    status: {
      readyReplicas: 0,
      conditions: [
        { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'exceeded quota' },
      ],
    },
  };
  expect(causes([], refused).troubles).toMatchObject([
    { reason: 'FailedCreate', message: 'Deployment relay: pods are refused: exceeded quota' },
  ]);
});

test('a job that failed twice says so, and one that is over leaves it to others', () => {
  const job = object('Job', 'migrate', { spec: {} });
  const labels = { 'batch.kubernetes.io/job-name': 'migrate' };
  const tries = ['a', 'b'].map((name, i) => {
    const one = pod(
      {
        phase: 'Failed',
        containerStatuses: [{ name: 'm', state: terminated(1, `no ${name}`, { finishedAt: ago(20 - i) }) }],
      },
      name,
    );
    return { ...one, metadata: { ...one.metadata, labels } };
  });
  expect(causes(tries.slice(0, 1), job).troubles).toEqual([]);
  expect(causes(tries, job).troubles).toMatchObject([
    { reason: 'JobFailing', message: 'Job migrate: b: 2 tries have failed, the last with exit code 1: no b' },
  ]);
  const failed = { ...job, status: { conditions: [{ type: 'Failed', status: 'True' }] } };
  expect(causes(tries, failed).troubles).toEqual([]);
});
