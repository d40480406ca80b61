import { expect, test } from '@jest/globals';
import { object, stored } from '../testing/objects.ts';
import { podsOf, storeNotReady } from './readiness.ts';

const ready = (status: string, message?: string) => ({ conditions: [{ type: 'Ready', status, message }] });
const set = object('apps/v1', 'StatefulSet', { replicas: 1 });
const deployment = object('apps/v1', 'Deployment', { replicas: 2 });

test.each([
  ['nothing', set, undefined, 'StatefulSet x is not there yet'],
  ['a set without its pod', set, { observedGeneration: 2 }, 'StatefulSet x has 0 of 1 pods ready'],
  [
    'a set whose controller has not seen the change',
    set,
    { observedGeneration: 1, readyReplicas: 1, updatedReplicas: 1 },
    '1 of 1',
  ],
  [
    'a set whose pod is one of before',
    set,
    { observedGeneration: 2, readyReplicas: 1, updatedReplicas: 0 },
    '0 of 1 pods ready',
  ],
  ['a set with its pod', set, { observedGeneration: 2, readyReplicas: 1, updatedReplicas: 1 }, null],
  ['a service', object('v1', 'Service'), {}, null],
  ['a Kafka of Strimzi that says nothing', object('kafka.strimzi.io/v1', 'Kafka'), {}, 'not said anything'],
  [
    'a Kafka of Strimzi with a problem',
    object('kafka.strimzi.io/v1', 'Kafka'),
    ready('False', 'no node'),
    'no node',
  ],
  ['a Kafka of Strimzi that is ready', object('kafka.strimzi.io/v1', 'Kafka'), ready('True'), null],
  ['a node pool, of which its Kafka speaks', object('kafka.strimzi.io/v1', 'KafkaNodePool'), {}, null],
  [
    'a database that is not applied',
    object('postgresql.cnpg.io/v1', 'Database'),
    { message: 'no owner' },
    'no owner',
  ],
  [
    'a schedule of backups that is not there yet',
    object('postgresql.cnpg.io/v1', 'ScheduledBackup'),
    undefined,
    null,
  ],
  ['a database that is', object('postgresql.cnpg.io/v1', 'Database'), { applied: true }, null],
])('%s as a store', (_, wanted, status, expected) => {
  const because = storeNotReady(wanted, status && stored(wanted, status));
  if (expected === null) expect(because).toBeNull();
  else expect(because).toContain(expected);
});

const complete = { observedGeneration: 2, replicas: 2, updatedReplicas: 2, availableReplicas: 2 };
test.each([
  ['complete', complete, true],
  ['with pods of an older kind left', { ...complete, replicas: 3 }, false],
  ['with a pod that is not available', { ...complete, availableReplicas: 1 }, false],
  ['whose controller has not seen the change', { ...complete, observedGeneration: 1 }, false],
  ['without a status', undefined, false],
])('a Deployment %s is rolled out: %#', (_, status, expected) => {
  expect(podsOf(deployment, stored(deployment, status)).rolledOut).toBe(expected);
});

test('a Deployment that does not get its pods running is stuck, in the words of its controller', () => {
  const conditions = [
    { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message: 'timed out' },
    { type: 'Available', status: 'True' },
  ];
  const pods = podsOf(deployment, stored(deployment, { ...complete, conditions }));
  expect(pods).toMatchObject({ available: true, stuck: 'x does not get its pods running: timed out' });
  const since = podsOf(deployment, stored(deployment, { ...complete, conditions, observedGeneration: 1 }));
  expect(since.stuck).toBeNull();
});
