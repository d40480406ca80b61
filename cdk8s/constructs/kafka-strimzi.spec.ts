import { expect, test } from '@jest/globals';
import { build } from '../build.ts';
import { built, platformOf } from '../testing/platforms.ts';
import { kafkaStrimzi } from './kafka-strimzi.ts';

const kafka = { mode: 'strimzi', replication: 3, strimzi: { storage: { className: 'fast' } } };

test('nodes, cluster, topic, and an account a role with the rights it needs', () => {
  expect(built((scope) => kafkaStrimzi(scope, platformOf({ kafka }, { keda: true })))).toMatchSnapshot();
});

test('one node keeps one copy of everything, so that nothing waits for a second', () => {
  const one = { mode: 'strimzi', replication: 1, strimzi: { replicas: 1, minInsyncReplicas: 1 } };
  const objects = build((scope) => kafkaStrimzi(scope, platformOf({ kafka: one })));
  const config = (kind: string) =>
    JSON.stringify(objects.find((object) => object.kind === kind)).match(/"[\w.]*(replicas|factor|isr)":\d/g);
  for (const setting of [...config('Kafka')!, ...config('KafkaTopic')!]) expect(setting).toMatch(/":1$/);
});

test('pods stay on the nodes the platform names', () => {
  const platform = platformOf({ kafka, scheduling: { nodeSelector: { disk: 'ssd' } } });
  const yaml = built((scope) => kafkaStrimzi(scope, platform));
  expect(yaml.match(/key: disk/g)).toHaveLength(2);
});
