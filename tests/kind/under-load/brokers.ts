/**
 * Brokers of Kafka that no part of Top Clients runs, three as the team of a platform would have them: each its own
 * controller, with a volume, in a rack of its own that stands for a zone.
 */
import { run } from '../../support/run.ts';
import { type Cluster, until } from '../cluster.ts';

const NAME = 'broker';
const IMAGE = 'apache/kafka:4.3.1';
const PORT = 9092;
const QUORUM_PORT = 9094;
const GUARDED_PORT = 9096;
const SHOWN = `${NAME}-certificate`;
const KAFKA = '/opt/kafka/bin';

// The first process of a container cannot be stopped from within, so the broker is not the first.
const START = `
set -eu
n=\${HOSTNAME##*-}
{ cat /settings/server.properties; echo "node.id=$n"; echo "broker.rack=zone-$n"
  echo "advertised.listeners=BROKER://$HOSTNAME.$DOMAIN:${PORT}\${GUARDED:+,GUARDED://$HOSTNAME.$DOMAIN:${GUARDED_PORT}}"; } >/tmp/server.properties
${KAFKA}/kafka-storage.sh format --ignore-formatted --cluster-id=3Db5QLSqSZieL3rJBUUegA --config=/tmp/server.properties
${KAFKA}/kafka-server-start.sh /tmp/server.properties &
server=$!
trap 'kill -TERM $server' TERM
wait $server || true
wait $server
`;

/** What only those get to see who come by TLS and sign in. */
const GUARD = {
  'sasl.enabled.mechanisms': 'SCRAM-SHA-512',
  'listener.name.guarded.scram-sha-512.sasl.jaas.config':
    'org.apache.kafka.common.security.scram.ScramLoginModule required;',
  'listener.name.guarded.ssl.keystore.type': 'PEM',
  'listener.name.guarded.ssl.keystore.location': '/certificate/server.pem',
};

export class Brokers {
  readonly #cluster: Cluster;
  readonly #isGuarded: boolean;
  readonly pods: readonly string[];
  /** @param isGuarded whether clients come by TLS and sign in: `show` and `admit` then come before `start` and after it */
  constructor(cluster: Cluster, { count = 3, isGuarded = false } = {}) {
    this.#cluster = cluster;
    this.#isGuarded = isGuarded;
    this.pods = Array.from({ length: count }, (_, n) => `${NAME}-${n}`);
  }
  get #count(): number {
    return this.pods.length;
  }
  get #domain(): string {
    return `${NAME}.${this.#cluster.namespace}.svc`;
  }
  get hosts(): readonly string[] {
    return this.pods.map((pod) => `${pod}.${this.#domain}`);
  }
  /** Where clients begin. */
  get addresses(): readonly string[] {
    const port = this.#isGuarded ? GUARDED_PORT : PORT;
    return this.pods.map((pod) => `${pod}.${this.#domain}:${port}`);
  }

  async start(): Promise<void> {
    const labels = { app: NAME };
    const metadata = { name: NAME, labels };
    const ports = [
      { name: 'kafka', port: PORT },
      { name: 'quorum', port: QUORUM_PORT },
      { name: 'guarded', port: GUARDED_PORT },
    ];
    await this.#cluster.apply({
      apiVersion: 'v1',
      kind: 'List',
      items: [
        {
          apiVersion: 'v1',
          kind: 'Service',
          metadata,
          // They look for each other before they are ready.
          spec: { clusterIP: 'None', publishNotReadyAddresses: true, selector: labels, ports },
        },
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata,
          data: { 'server.properties': this.#settings(), 'start.sh': START },
        },
        {
          apiVersion: 'apps/v1',
          kind: 'StatefulSet',
          metadata,
          spec: {
            replicas: this.#count,
            serviceName: NAME,
            podManagementPolicy: 'Parallel',
            // One goes once the last one is in sync again, which a probe does not know.
            updateStrategy: { type: 'OnDelete' },
            selector: { matchLabels: labels },
            template: { metadata: { labels }, spec: this.#pod() },
            volumeClaimTemplates: [
              {
                metadata: { name: 'data' },
                spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
              },
            ],
          },
        },
      ],
    });
    for (const pod of this.pods) await this.ready(pod);
  }

  #pod() {
    return {
      terminationGracePeriodSeconds: 60,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 1000,
        runAsGroup: 1000,
        fsGroup: 1000,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: NAME,
          image: IMAGE,
          imagePullPolicy: 'IfNotPresent',
          command: ['bash', '/settings/start.sh'],
          env: [
            { name: 'DOMAIN', value: this.#domain },
            ...(this.#isGuarded ? [{ name: 'GUARDED', value: 'yes' }] : []),
            { name: 'KAFKA_HEAP_OPTS', value: '-Xms128m -Xmx320m' },
            { name: 'LOG_DIR', value: '/tmp/logs' },
            { name: 'EXTRA_ARGS', value: '-name kafkaServer' },
          ],
          ports: [PORT, QUORUM_PORT, GUARDED_PORT].map((containerPort) => ({ containerPort })),
          resources: { requests: { cpu: '100m', memory: '400Mi' } },
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
          readinessProbe: { tcpSocket: { port: PORT }, periodSeconds: 2, failureThreshold: 2 },
          volumeMounts: [
            { name: 'data', mountPath: '/data' },
            { name: 'settings', mountPath: '/settings' },
            { name: 'tmp', mountPath: '/tmp' },
            ...(this.#isGuarded ? [{ name: 'certificate', mountPath: '/certificate' }] : []),
          ],
        },
      ],
      volumes: [
        { name: 'settings', configMap: { name: NAME } },
        { name: 'tmp', emptyDir: {} },
        ...(this.#isGuarded ? [{ name: 'certificate', secret: { secretName: SHOWN } }] : []),
      ],
    };
  }

  #settings(): string {
    const inSync = Math.min(2, this.#count);
    return Object.entries({
      'process.roles': 'broker,controller',
      'controller.quorum.voters': this.pods
        .map((pod, n) => `${n}@${pod}.${this.#domain}:${QUORUM_PORT}`)
        .join(','),
      listeners: `BROKER://:${PORT},CONTROLLER://:${QUORUM_PORT}${this.#isGuarded ? `,GUARDED://:${GUARDED_PORT}` : ''}`,
      'listener.security.protocol.map': 'BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_SSL',
      ...(this.#isGuarded ? GUARD : {}),
      'inter.broker.listener.name': 'BROKER',
      'controller.listener.names': 'CONTROLLER',
      'log.dirs': '/data/log',
      'auto.create.topics.enable': false,
      'default.replication.factor': this.#count,
      'min.insync.replicas': inSync,
      'offsets.topic.replication.factor': this.#count,
      'offsets.topic.num.partitions': 4,
      'transaction.state.log.replication.factor': this.#count,
      'transaction.state.log.min.isr': inSync,
      'share.coordinator.state.topic.replication.factor': this.#count,
      'share.coordinator.state.topic.min.isr': inSync,
      'group.initial.rebalance.delay.ms': 0,
    })
      .map(([name, value]) => `${name}=${value}\n`)
      .join('');
  }

  /** What a broker that starts from now on shows to its clients. */
  async show({ certificate, key }: { certificate: string; key: string }): Promise<void> {
    await this.#cluster.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: SHOWN },
      stringData: { 'server.pem': `${key}${certificate}` },
    });
  }
  /** Whoever is called that may sign in with this password, and with no other. */
  async admit(user: string, password: string): Promise<void> {
    await this.#tool(
      ...[this.pods[0]!, 'kafka-configs.sh', '--alter', '--entity-type', 'users', '--entity-name', user],
      ...['--add-config', `SCRAM-SHA-512=[password=${password}]`],
    );
  }

  ready(pod: string): Promise<unknown> {
    return until(
      `${pod} is ready`,
      async () => {
        const { metadata, status } = await this.#cluster.get('pods', pod);
        const ready = status.conditions?.find(({ type }: { type: string }) => type === 'Ready');
        return !metadata.deletionTimestamp && ready?.status === 'True';
      },
      180_000,
    );
  }

  /** Whether every copy of every partition is in sync, once it is. */
  inSync(asked: string = this.pods[0]!): Promise<unknown> {
    return until(
      'every partition is in sync',
      async () => {
        const description = await this.#tool(asked, 'kafka-topics.sh', '--describe');
        const inSync = [...description.matchAll(/\tIsr: ([\d,]*)/g)].map(([, ids]) => ids!.split(',').length);
        return inSync.length > 0 && inSync.every((copies) => copies === this.#count);
      },
      180_000,
      2_000,
    );
  }

  /** Who leads the most partitions of a topic. */
  async leaderOf(topic: string): Promise<string> {
    const description = await this.#tool(this.pods[0]!, 'kafka-topics.sh', '--describe', '--topic', topic);
    const leaders = [...description.matchAll(/\tLeader: (\d+)/g)].map(([, id]) => Number(id));
    const led = this.pods.map((_, n) => leaders.filter((id) => id === n).length);
    return this.pods[led.indexOf(Math.max(...led))]!;
  }

  /** Ends a broker without a word to anybody. The next of its name finds its data. */
  async kill(pod: string): Promise<void> {
    await this.#cluster.kubectl(['delete', 'pod', pod, '--force', '--grace-period=0']);
  }
  /** Ends a broker in order: it hands over what it leads first. */
  async restart(pod: string): Promise<void> {
    await this.#cluster.kubectl(['delete', 'pod', pod], { timeoutMs: 120_000 });
  }
  /** From now on it says nothing, and closes no connection: as if its zone were out of reach. */
  async silence(pod: string): Promise<void> {
    await this.#signal(pod, 'STOP');
  }
  async resume(pod: string): Promise<void> {
    await this.#signal(pod, 'CONT');
  }
  async #signal(pod: string, signal: 'STOP' | 'CONT'): Promise<void> {
    await this.#cluster.kubectl(['exec', pod, '--', 'bash', '-c', `kill -${signal} -1`]);
  }

  /** The values of all messages that the topic has when this is asked, in order within a key. */
  async messages(topic: string): Promise<readonly string[]> {
    const [pod] = this.pods;
    const ends = await this.#tool(pod!, 'kafka-get-offsets.sh', '--topic', topic);
    const all: string[] = [];
    for (const [, partition, count] of ends.trim().matchAll(/:(\d+):(\d+)$/gm)) {
      if (count === '0') continue;
      const values = await this.#tool(
        ...[pod!, 'kafka-console-consumer.sh', '--topic', topic, '--partition', partition!],
        ...['--offset', 'earliest', '--max-messages', count!, '--timeout-ms', '60000'],
      );
      const lines = values.trim().split('\n');
      if (lines.length < Number(count))
        throw new Error(`partition ${partition}: read ${lines.length} messages of ${count}`);
      all.push(...lines);
    }
    return all;
  }

  async #tool(pod: string, tool: string, ...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await run('kubectl', [
      ...['--namespace', this.#cluster.namespace, 'exec', pod, '--'],
      ...['env', 'KAFKA_HEAP_OPTS=-Xmx128m', `${KAFKA}/${tool}`],
      ...['--bootstrap-server', `${pod}.${this.#domain}:${PORT}`, ...args],
    ]);
    if (code !== 0) throw new Error(`${tool} in ${pod}: ${stderr}`);
    return stdout;
  }
}
