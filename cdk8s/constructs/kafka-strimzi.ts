import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { replicationOf } from '../api/top-clients.ts';
import { names, type Platform } from '../platform.ts';
import { EVERY_FAMILY } from './http-service.ts';
import { type KafkaUserName, kafkaUserOf } from './kafka-access.ts';
import { metadataOf } from './labels.ts';
import { kafkaCallers } from './network-policies.ts';
import { RESTRICTED_CONTAINER } from './role-pod.ts';
import { strimziTemplates } from './store-pods.ts';

const component = 'kafka';
const apiVersion = 'kafka.strimzi.io/v1';
/** The prefix of all our consumer groups; `consumerGroup` builds on it. */
const GROUPS = 'top-clients.projector.';

/** A Kafka cluster run by Strimzi: its nodes, the topic, and an account for each role with only the rights it needs. */
export function kafkaStrimzi(scope: Construct, platform: Platform): void {
  const { partitions, strimzi } = platform.spec.kafka;
  const replication = replicationOf(platform.spec.kafka);
  const metadata = metadataOf(platform, names.kafka, component);
  const member = (name: string) => {
    const plain = metadataOf(platform, name, component);
    return { ...plain, labels: { ...plain.labels, 'strimzi.io/cluster': names.kafka } };
  };
  // An acknowledged message is on at least this many replicas, and there are never more than `replication`.
  const minInsyncReplicas = Math.min(strimzi.minInsyncReplicas, replication);
  const internalCopies = Math.min(3, strimzi.replicas);
  const templates = strimziTemplates(platform, strimzi.pod, names.kafka);
  const pod = { ...templates.pod, securityContext: SECURITY };
  const jvmOptions = {
    ...(strimzi.heapSize ? { '-Xms': strimzi.heapSize, '-Xmx': strimzi.heapSize } : {}),
    ...(Object.keys(strimzi.jvmFlags).length > 0 ? { '-XX': strimzi.jvmFlags } : {}),
  };

  new ApiObject(scope, 'kafka-nodes', {
    apiVersion,
    kind: 'KafkaNodePool',
    metadata: member(NODES),
    spec: {
      replicas: strimzi.replicas,
      roles: ['controller', 'broker'],
      resources: strimzi.resources,
      ...(Object.keys(jvmOptions).length > 0 ? { jvmOptions } : {}),
      storage: {
        type: 'jbod',
        volumes: [
          {
            id: 0,
            type: 'persistent-claim',
            kraftMetadata: 'shared',
            size: strimzi.storage.size,
            ...(strimzi.storage.className ? { class: strimzi.storage.className } : {}),
            deleteClaim: false,
          },
        ],
      },
      template: {
        pod: apart(pod, strimzi.spread),
        kafkaContainer: { ...templates.container, securityContext: RESTRICTED_CONTAINER },
      },
    },
  });
  new ApiObject(scope, 'kafka', {
    apiVersion,
    kind: 'Kafka',
    metadata,
    spec: {
      kafka: {
        ...(strimzi.version ? { version: strimzi.version } : {}),
        listeners: [
          {
            name: 'tls',
            port: 9093,
            type: 'internal',
            tls: true,
            authentication: { type: 'scram-sha-512' },
            ...(platform.spec.networkPolicies.enabled ? { networkPolicyPeers: kafkaCallers(platform) } : {}),
          },
          ...strimzi.listeners.map(({ authentication, ...listener }) => ({
            ...listener,
            authentication: { type: authentication },
          })),
        ],
        ...(strimzi.rackTopologyKey ? { rack: { topologyKey: strimzi.rackTopologyKey } } : {}),
        authorization: { type: 'simple' },
        // Not where the Prometheus operator is alone: brokers would restart whenever it comes or goes.
        ...(platform.spec.monitoring.enabled === 'never'
          ? {}
          : { metricsConfig: { type: 'strimziMetricsReporter' } }),
        template: { bootstrapService: EVERY_FAMILY, brokersService: EVERY_FAMILY, ...templates.account },
        config: {
          ...strimzi.config,
          'auto.create.topics.enable': false,
          'default.replication.factor': internalCopies,
          'min.insync.replicas': Math.min(strimzi.minInsyncReplicas, internalCopies),
          'offsets.topic.replication.factor': internalCopies,
          'transaction.state.log.replication.factor': internalCopies,
          'transaction.state.log.min.isr': Math.min(strimzi.minInsyncReplicas, internalCopies),
          'share.coordinator.state.topic.replication.factor': internalCopies,
          'share.coordinator.state.topic.min.isr': Math.min(strimzi.minInsyncReplicas, internalCopies),
        },
      },
      entityOperator: {
        topicOperator: { resources: strimzi.entityOperator.resources },
        userOperator: { resources: strimzi.entityOperator.resources },
        template: {
          pod,
          topicOperatorContainer: {
            securityContext: RESTRICTED_CONTAINER,
            // Its finalizer would keep a topic, and with it the namespace, once the topic operator has gone first.
            env: [{ name: 'STRIMZI_USE_FINALIZERS', value: 'false' }],
          },
          userOperatorContainer: { securityContext: RESTRICTED_CONTAINER },
          ...templates.account,
        },
      },
    },
  });
  new ApiObject(scope, 'seller-events', {
    apiVersion,
    kind: 'KafkaTopic',
    metadata: member(SELLER_EVENTS.topic),
    spec: {
      topicName: SELLER_EVENTS.topic,
      partitions,
      replicas: replication,
      config: { ...topicConfig(), 'min.insync.replicas': minInsyncReplicas },
    },
  });
  for (const [user, acls] of Object.entries(rightsOf(platform))) {
    new ApiObject(scope, `user-${user}`, {
      apiVersion,
      kind: 'KafkaUser',
      metadata: member(kafkaUserOf(user as KafkaUserName)),
      spec: { authentication: { type: 'scram-sha-512' }, authorization: { type: 'simple', acls } },
    });
  }
}

const NODES = 'top-clients-kafka-nodes';
const BROKERS = { matchLabels: { 'strimzi.io/cluster': names.kafka, 'strimzi.io/pool-name': NODES } };

type Named = Readonly<Record<string, unknown>>;

/**
 * Brokers on nodes and in zones of their own: copies that share one are lost together. Who says so otherwise, in the
 * settings of the pods, is followed.
 */
function apart(pod: Named, spread: 'preferred' | 'required'): Named {
  const { affinity, topologySpreadConstraints } = pod as Readonly<Record<string, Named | undefined>>;
  const node = { topologyKey: 'kubernetes.io/hostname', labelSelector: BROKERS };
  const podAntiAffinity =
    spread === 'required'
      ? { requiredDuringSchedulingIgnoredDuringExecution: [node] }
      : { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: node }] };
  return {
    ...pod,
    affinity: { podAntiAffinity, ...affinity },
    topologySpreadConstraints: topologySpreadConstraints ?? [
      {
        maxSkew: 1,
        topologyKey: 'topology.kubernetes.io/zone',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: BROKERS,
      },
    ],
  };
}

/**
 * Strimzi undoes a setting of the topic that is not in its KafkaTopic. So an administrator raises `max.message.bytes`,
 * the cure for a held seller, in this resource, and our field manager must not own that field. It starts at the
 * broker's default, which is the value we want.
 */
function topicConfig(): Readonly<Record<string, string>> {
  const { 'max.message.bytes': _theirs, ...config } = SELLER_EVENTS.settings;
  return config;
}

/** Strimzi sets the users of its pods itself. */
const SECURITY = { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } };

const onTopic = (...operations: string[]) => ({
  resource: { type: 'topic', name: SELLER_EVENTS.topic, patternType: 'literal' },
  operations,
});
const onGroups = (...operations: string[]) => ({
  resource: { type: 'group', name: GROUPS, patternType: 'prefix' },
  operations,
});

const rightsOf = ({ capabilities }: Platform) => ({
  // Since Kafka 3 the right to write includes idempotent producing.
  'outbox-relay': [onTopic('Describe', 'Write')],
  projector: [onTopic('Describe', 'Read'), onGroups('Read')],
  'compare-views': [onTopic('Describe')],
  // It reads whether compaction has removed what was erased. Its repairs go through the source's outbox.
  'watch-view': [onTopic('Describe', 'Read')],
  // The topic is a `KafkaTopic`, and Strimzi changes its partitions. After a restore it reads what was published.
  republish: [onTopic('Describe', 'Read')],
  // The group of a dropped view is deleted with it.
  'drop-view': [onGroups('Describe', 'Delete')],
  ...(capabilities.keda ? { autoscaler: [onTopic('Describe'), onGroups('Describe')] } : {}),
});
