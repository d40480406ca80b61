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

/** A kind's spec, as deep as it is. */
const specOf = (strimzi: object, kind: string, topClients: object = {}) => {
  const platform = platformOf({ kafka: { ...kafka, strimzi }, ...topClients });
  // biome-ignore lint/suspicious/noExplicitAny: it is another operator's
  return build((scope) => kafkaStrimzi(scope, platform)).find((one) => one.kind === kind)!['spec'] as any;
};

test('brokers keep away from each other: by preference, or at any price', () => {
  const podOf = (strimzi: object, topClients?: object) =>
    specOf(strimzi, 'KafkaNodePool', topClients).template.pod;
  const brokers = {
    'strimzi.io/cluster': 'top-clients-kafka',
    'strimzi.io/pool-name': 'top-clients-kafka-nodes',
  };
  const node = { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: brokers } };
  expect(podOf({}).affinity.podAntiAffinity).toEqual({
    preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: node }],
  });
  expect(podOf({ spread: 'required' }).affinity.podAntiAffinity).toEqual({
    requiredDuringSchedulingIgnoredDuringExecution: [node],
  });
  expect(podOf({}).topologySpreadConstraints).toMatchObject([
    { topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'ScheduleAnyway' },
  ]);
  // Who says it otherwise is followed, and what is said of nodes stays beside it.
  const own = podOf({}, { pods: { affinity: { podAntiAffinity: {} }, nodeSelector: { disk: 'ssd' } } });
  expect(own.affinity.podAntiAffinity).toEqual({});
  expect(own.affinity.nodeAffinity).toBeDefined();
});

test('copies are in different zones where a label names them', () => {
  expect(specOf({}, 'Kafka').kafka.rack).toBeUndefined();
  expect(specOf({ rackTopologyKey: 'topology.kubernetes.io/zone' }, 'Kafka').kafka.rack).toEqual({
    topologyKey: 'topology.kubernetes.io/zone',
  });
});

test('heap, flags, settings and listeners are the user’s, but not what the platform promises by', () => {
  const strimzi = {
    heapSize: '3g',
    jvmFlags: { MaxGCPauseMillis: '20' },
    config: { 'num.io.threads': '16', 'min.insync.replicas': '1' },
    listeners: [{ name: 'readers', port: 9094, type: 'loadbalancer' }],
  };
  expect(specOf(strimzi, 'KafkaNodePool').jvmOptions).toEqual({
    '-Xms': '3g',
    '-Xmx': '3g',
    '-XX': { MaxGCPauseMillis: '20' },
  });
  const { listeners, config } = specOf(strimzi, 'Kafka').kafka;
  expect(config).toMatchObject({ 'num.io.threads': '16', 'min.insync.replicas': 2 });
  expect(listeners.slice(1)).toEqual([
    {
      name: 'readers',
      port: 9094,
      type: 'loadbalancer',
      tls: true,
      authentication: { type: 'scram-sha-512' },
    },
  ]);
  expect(specOf({}, 'KafkaNodePool').jvmOptions).toBeUndefined();
});

test('the entity operator has requests and limits', () => {
  const { topicOperator, userOperator } = specOf({}, 'Kafka').entityOperator;
  for (const { resources } of [topicOperator, userOperator])
    expect(resources).toMatchObject({ requests: { cpu: '50m' }, limits: { memory: '512Mi' } });
});
