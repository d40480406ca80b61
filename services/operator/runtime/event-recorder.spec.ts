import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { pause } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import { openEventRecorder, type RecorderSettings, type RunningRecorder } from './event-recorder.ts';
import { KubeError, type Ref, type StoredObject } from './kube.ts';

const page = (name: string, namespace?: string): StoredObject => ({
  apiVersion: 'topclients.dev/v1alpha1',
  kind: 'PageView',
  metadata: {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    uid: `uid of ${name}`,
    resourceVersion: '7',
    creationTimestamp: '2026-11-01T10:00:00Z',
  },
});
const GIG = page('gig', 'shop');

let created: KubeObject[];
let patched: { ref: Ref; patch: unknown }[];
let refuse: (() => KubeError | null) | undefined;
let recorder: RunningRecorder;
const start = (timing: RecorderSettings['timing'] = {}) => {
  recorder = openEventRecorder({
    kube: {
      async create(object) {
        const err = refuse?.();
        if (err) throw err;
        created.push(object);
        return object as StoredObject;
      },
      async patch(ref, patch) {
        const err = refuse?.();
        if (err) throw err;
        patched.push({ ref, patch });
        return {} as StoredObject;
      },
    },
    instance: 'operator-0',
    log: silentLog,
    timing: { countEveryMs: 20, ...timing },
  });
};
async function until(holds: () => boolean): Promise<void> {
  for (const began = performance.now(); !holds(); await pause(2)) {
    if (performance.now() - began > 5_000) throw new Error(`never: ${holds}`);
  }
}

beforeEach(() => {
  created = [];
  patched = [];
  refuse = undefined;
});
afterEach(() => recorder.close());

test('an Event says what happened to what, and who says so', async () => {
  start();
  recorder.event(GIG, 'Warning', 'ViewDiffers', '12 sellers differ');
  await until(() => created.length === 1);
  expect(created[0]).toMatchObject({
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: expect.stringMatching(/^gig\.[0-9a-f]{16}$/), namespace: 'shop' },
    eventTime: expect.stringMatching(/\.\d{6}Z$/),
    type: 'Warning',
    reason: 'ViewDiffers',
    action: 'ViewDiffers',
    note: '12 sellers differ',
    reportingController: 'topclients.dev/top-clients-operator',
    reportingInstance: 'operator-0',
    regarding: { kind: 'PageView', name: 'gig', namespace: 'shop', uid: 'uid of gig', resourceVersion: '7' },
  });
});

test('repeats are counted in the first, and the count is written now and then', async () => {
  start();
  for (let i = 0; i < 500; i++) recorder.event(GIG, 'Normal', 'Applied', 'applied 3 objects');
  await until(() => patched.length === 1);
  expect(created).toHaveLength(1);
  expect(patched[0]).toMatchObject({
    ref: { kind: 'Event', namespace: 'shop', name: created[0]!.metadata.name },
    patch: { series: { count: 500, lastObservedTime: expect.stringMatching(/\.\d{6}Z$/) } },
  });
  await pause(60);
  // Nothing new, nothing written.
  expect(patched).toHaveLength(1);
});

test('another sentence is another Event, and so is the same after a while', async () => {
  start({ seriesMs: 50 });
  recorder.event(GIG, 'Normal', 'Applied', 'applied 3 objects');
  recorder.event(GIG, 'Normal', 'Applied', 'applied 4 objects');
  recorder.event(page('user', 'shop'), 'Normal', 'Applied', 'applied 3 objects');
  await pause(80);
  recorder.event(GIG, 'Normal', 'Applied', 'applied 3 objects');
  await until(() => created.length === 4);
});

test('of too many different ones about an object the rest is dropped, and other objects do not suffer', async () => {
  start({ burst: 5, refillMs: 60_000 });
  for (let i = 0; i < 100; i++) recorder.event(GIG, 'Warning', 'Failed', `attempt ${i}`);
  recorder.event(page('user', 'shop'), 'Normal', 'Applied', 'applied');
  await until(() => created.length === 6);
  await pause(20);
  expect(created).toHaveLength(6);
});

test('however much went well, a warning is told', async () => {
  start({ burst: 5, refillMs: 60_000 });
  for (let i = 0; i < 100; i++) recorder.event(GIG, 'Normal', 'Progressing', `step ${i}`);
  recorder.event(GIG, 'Warning', 'ViewDiffers', '7 sellers differ');
  await until(() => created.some(({ reason }) => reason === 'ViewDiffers'));
  expect(created).toHaveLength(6);
});

test('the allowance comes back with time', async () => {
  start({ burst: 1, refillMs: 40 });
  recorder.event(GIG, 'Normal', 'One', 'one');
  recorder.event(GIG, 'Normal', 'Two', 'two');
  await pause(60);
  recorder.event(GIG, 'Normal', 'Three', 'three');
  await until(() => created.length === 2);
  expect(created.map(({ reason }) => reason)).toEqual(['One', 'Three']);
});

test('a server that is busy is asked again, one that refuses is not, and nothing throws', async () => {
  start();
  let turn = 0;
  refuse = () => {
    turn += 1;
    return turn < 3 ? new KubeError('slow down', 429, 'TooManyRequests', 5) : null;
  };
  recorder.event(GIG, 'Normal', 'Busy', 'busy');
  await until(() => created.length === 1);
  turn = 0;
  refuse = () => {
    turn += 1;
    return new KubeError('the namespace goes', 403, 'Forbidden');
  };
  recorder.event(GIG, 'Normal', 'Refused', 'refused');
  recorder.event({} as StoredObject, 'Normal', 'Broken', 'an object that is none');
  await until(() => turn === 1);
  await pause(30);
  expect(turn).toBe(1);
  refuse = undefined;
  recorder.event(GIG, 'Normal', 'After', 'after');
  await until(() => created.length === 2);
});

test('an Event that the server has forgotten is a first one again', async () => {
  start();
  recorder.event(GIG, 'Normal', 'Applied', 'applied');
  await until(() => created.length === 1);
  let asked = 0;
  refuse = () => {
    asked += 1;
    return new KubeError('gone', 404, 'NotFound');
  };
  recorder.event(GIG, 'Normal', 'Applied', 'applied');
  await until(() => asked === 1);
  await pause(5);
  refuse = undefined;
  recorder.event(GIG, 'Normal', 'Applied', 'applied');
  await until(() => created.length === 2);
});

test('long sentences and names are cut to what the server takes', async () => {
  start();
  recorder.event(page('n'.repeat(253)), 'Normal', 'Long', 'ä'.repeat(2_000));
  await until(() => created.length === 1);
  expect(created[0]!.metadata.name.length).toBeLessThanOrEqual(253);
  expect(created[0]!.metadata.namespace).toBe('default');
  // 1,024 bytes at most; a character has two here.
  expect(created[0]!['note']).toBe(`${'ä'.repeat(510)}...`);
});

test('closed, it writes the counts it has and takes no more', async () => {
  start({ countEveryMs: 60_000 });
  for (let i = 0; i < 3; i++) recorder.event(GIG, 'Normal', 'Applied', 'applied');
  await recorder.close();
  expect(patched).toMatchObject([{ patch: { series: { count: 3 } } }]);
  recorder.event(GIG, 'Normal', 'Late', 'late');
  await pause(10);
  expect(created).toHaveLength(1);
});

test('a server that never answers does not keep it from closing', async () => {
  recorder = openEventRecorder({
    kube: { create: () => new Promise(() => {}), patch: () => new Promise(() => {}) },
    instance: 'operator-0',
    log: silentLog,
  });
  recorder.event(GIG, 'Normal', 'Applied', 'applied');
  const began = performance.now();
  await recorder.close();
  expect(performance.now() - began).toBeLessThan(3_000);
});
