import { createHash } from 'node:crypto';
import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { names, type Platform } from '../platform.ts';
import { fingerprint } from './fingerprint.ts';
import { EVERY_FAMILY } from './http-service.ts';
import { brokersOf } from './kafka-access.ts';
import { labelsOf, metadataOf, podLabelsOf, selectorOf } from './labels.ts';
import { podSettingsOf, withPodSettings } from './pod-settings.ts';
import { claimRetention } from './retention.ts';
import { podGround, RESTRICTED_CONTAINER, restrictedPod } from './role-pod.ts';

const component = 'kafka';
/** The user of the public image. */
const USER = 1000;
const CONFIG_FOLDER = '/etc/top-clients-kafka';
const DATA_FOLDER = '/var/lib/kafka/data';

/** One broker that is its own controller, on a volume. For development: while it restarts there is no other. */
export function kafkaEmbedded(scope: Construct, platform: Platform): void {
  const { embedded } = platform.spec.kafka;
  const metadata = metadataOf(platform, names.kafka, component);
  const files = { 'server.properties': serverProperties(platform), 'log4j2.yaml': LOG4J };
  new ApiObject(scope, 'kafka-config', { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: files });
  new ApiObject(scope, 'kafka-service', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: {
      ...EVERY_FAMILY,
      selector: selectorOf(component),
      ports: [{ name: 'kafka', port: 9092, targetPort: 'kafka', protocol: 'TCP' }],
    },
  });
  const container = (name: string, command: readonly string[]) => ({
    name,
    image: embedded.image,
    imagePullPolicy: 'IfNotPresent',
    command,
    env: [
      { name: 'KAFKA_HEAP_OPTS', value: '-XX:InitialRAMPercentage=25 -XX:MaxRAMPercentage=50' },
      { name: 'KAFKA_LOG4J_OPTS', value: `-Dlog4j2.configurationFile=${CONFIG_FOLDER}/log4j2.yaml` },
      // Otherwise the image's scripts write garbage collection logs below their own folder.
      { name: 'LOG_DIR', value: '/tmp/logs' },
      { name: 'EXTRA_ARGS', value: '-name kafkaServer' },
    ],
    resources: embedded.resources,
    securityContext: RESTRICTED_CONTAINER,
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: 'data', mountPath: DATA_FOLDER },
      { name: 'config', mountPath: CONFIG_FOLDER, readOnly: true },
      { name: 'tmp', mountPath: '/tmp' },
    ],
  });
  const listening = { tcpSocket: { port: 'kafka' }, timeoutSeconds: 3 };
  new ApiObject(scope, 'kafka', {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata,
    spec: {
      replicas: embedded.replicas,
      serviceName: names.kafka,
      persistentVolumeClaimRetentionPolicy: claimRetention(platform),
      selector: { matchLabels: selectorOf(component) },
      template: withPodSettings(platform, podSettingsOf(platform, embedded.pod), selectorOf(component), {
        metadata: {
          labels: podLabelsOf(component),
          // The broker reads its settings only at its start, so a change must restart it.
          annotations: { 'topclients.dev/configuration': fingerprint(files) },
        },
        spec: {
          ...podGround(component),
          securityContext: restrictedPod(USER),
          // If it is killed while it writes, it checks all its segments at the next start.
          terminationGracePeriodSeconds: 60,
          initContainers: [
            container('format', [
              '/opt/kafka/bin/kafka-storage.sh',
              'format',
              '--ignore-formatted',
              `--cluster-id=${clusterId(platform.namespace)}`,
              `--config=${CONFIG_FOLDER}/server.properties`,
            ]),
          ],
          containers: [
            {
              ...container(component, [
                '/opt/kafka/bin/kafka-server-start.sh',
                `${CONFIG_FOLDER}/server.properties`,
              ]),
              ports: [{ name: 'kafka', containerPort: 9092 }],
              startupProbe: { ...listening, periodSeconds: 2, failureThreshold: 150 },
              livenessProbe: { ...listening, periodSeconds: 10, failureThreshold: 6 },
              readinessProbe: { ...listening, periodSeconds: 5, failureThreshold: 2 },
            },
          ],
          volumes: [
            { name: 'config', configMap: { name: names.kafka } },
            { name: 'tmp', emptyDir: { sizeLimit: '256Mi' } },
          ],
        },
      }),
      volumeClaimTemplates: [
        {
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          // A claim's template can never change, so it has no labels that do.
          metadata: { name: 'data', labels: labelsOf(component) },
          spec: {
            accessModes: ['ReadWriteOnce'],
            ...(embedded.storage.className ? { storageClassName: embedded.storage.className } : {}),
            resources: { requests: { storage: embedded.storage.size } },
          },
        },
      ],
    },
  });
}

/** 16 bytes in Kafka's notation; the same at every build, different for each namespace. */
const clusterId = (namespace: string) =>
  createHash('sha256').update(`top-clients ${namespace}`).digest().subarray(0, 16).toString('base64url');

const serverProperties = (platform: Platform) =>
  `${Object.entries({
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': '1@localhost:9094',
    listeners: 'BROKER://:9092,CONTROLLER://localhost:9094',
    // The address that clients connect to after bootstrapping, also from another namespace.
    'advertised.listeners': `BROKER://${brokersOf(platform)[0]}`,
    'listener.security.protocol.map': 'BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'BROKER',
    'controller.listener.names': 'CONTROLLER',
    // A subfolder: a new volume may have a lost+found, which Kafka takes for a broken partition.
    'log.dirs': `${DATA_FOLDER}/log`,
    // A client that connects before the topic exists must not create it with other settings.
    'auto.create.topics.enable': 'false',
    // One broker holds one replica of everything.
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    // The default is fifty, each with files of its own; a few groups need only these.
    'offsets.topic.num.partitions': '4',
    'group.initial.rebalance.delay.ms': '0',
  })
    .map(([name, value]) => `${name}=${value}`)
    .join('\n')}\n`;

/** Only to the console: the root file system is read-only, and the kubelet keeps the container's output. */
const LOG4J = `Configuration:
  status: warn
  Appenders:
    Console:
      name: console
      PatternLayout:
        pattern: "%d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %p %m (%c)%n"
  Loggers:
    Root:
      level: info
      AppenderRef:
        ref: console
`;
