/** A real Kafka on this machine without a container engine, for the demo, the tests and the benches. */
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openKafka } from '#platform/kafka/client.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { openLog, silentLog } from '#platform/log.ts';
import { takeLock, underLock } from './folder-lock.ts';
import { freePort, PortTaken, withFreePort } from './ports.ts';
import {
  commandLine,
  type Exit,
  endProcess,
  isAlive,
  type RestartPolicy,
  runToEnd,
  StartFailed,
  startProcess,
  withMembers,
} from './process.ts';

export type KafkaOptions = {
  /** Created when absent; holds `data/`, `server.properties`, `kafka.log`. Data of an earlier start is used again. */
  readonly dataDir: string;
  /** The port for clients. Absent or 0: a free one, kept over restarts. */
  readonly port?: number;
  /** The port of the controller. Absent or 0: a free one, kept over restarts. */
  readonly controllerPort?: number;
  /** A second listener, for clients that use TLS and SCRAM-SHA-512. Its users are created with the data. */
  readonly secure?: {
    /** The broker's PEM: its certificate chain, and its key as PKCS #8. */
    readonly certificate: string;
    readonly key: string;
    /** The host name that clients use. */
    readonly host: string;
    /** Passwords by user. */
    readonly users: Readonly<Record<string, string>>;
  };
  /** Java heap in MB, fixed size; the process takes about 200 MB more. Default 320. */
  readonly heapMb?: number;
  /** Added to, or replacing, the properties chosen below. */
  readonly properties?: Readonly<Record<string, string | number | boolean>>;
  /** Replaces the JVM flags chosen below, the heap excepted. */
  readonly jvmFlags?: readonly string[];
  /** Absent: a broker that dies stays down until `restart()`. */
  readonly restart?: RestartPolicy;
  /** Called with messages about what happens. */
  readonly log?: (message: string) => void;
};

export type LocalKafka = {
  /** `127.0.0.1:<port>` */
  readonly bootstrap: string;
  /** The listener with TLS and SCRAM; null without one. */
  readonly secureBootstrap: string | null;
  readonly port: number;
  /** The Java process; another pid after a restart. */
  readonly pid: number;
  readonly logFile: string;
  /** Sends a signal to the broker: SIGKILL for a crash, SIGSTOP for a hang. */
  kill(signal: NodeJS.Signals): void;
  /** Starts it again on the same ports and data, after a graceful stop if it runs; resolves when it answers. */
  restart(): Promise<void>;
  /** Graceful stop, SIGKILL after 20 s. */
  stop(): Promise<Exit>;
  /** The end of the broker that runs now. Take it before `kill`: after a restart it is a new promise. */
  readonly exited: Promise<Exit>;
};

const VERSION = '4.3.1';
const HERE = dirname(fileURLToPath(import.meta.url));
const CACHE = join(HERE, '..', '..', '.cache');
const NODE_ID = 1;
const STOP_MS = 20_000;

/**
 * Produce to fetch through kafkajs, 1,000 messages a second of 600 bytes on 12 partitions, heap 320 MB, two cores
 * shared with other work (load 3 to 5), the first 10 s left out; medians of two to three runs of 15 s:
 *
 * | flags               | p50 ms | p99 ms | p99.9 ms | resident | CPU s in 25 s |
 * |---------------------|--------|--------|----------|----------|---------------|
 * | Serial              |    4.3 |     23 |       33 |   310 MB |            33 |
 * | Serial, only C1     |    5.9 |     29 |       46 |   251 MB |            24 |
 * | G1                  |    5.0 |     45 |       93 |   414 MB |            38 |
 * | Z (Java 17)         |    4.8 |     32 |       57 |   758 MB |            32 |
 *
 * Parallel was worst (p99 415 ms, one run), and G1 with a pause goal of 5 ms was no better than without. Serial wins:
 * so little survives a young collection here that one thread is done before several have started. Most of the CPU time
 * is the C2 compiler in the first half minute; `-XX:TieredStopAtLevel=1` saves it, at a higher median.
 */
const JVM_FLAGS: readonly string[] = ['-XX:+UseSerialGC'];

/** One broker, which is its own controller, small and quick to answer. */
const PROPERTIES: Readonly<Record<string, string | number | boolean>> = {
  'process.roles': 'broker,controller',
  'node.id': NODE_ID,
  'listener.security.protocol.map': 'CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT',
  'inter.broker.listener.name': 'CLIENT',
  'controller.listener.names': 'CONTROLLER',
  // One replica of everything. Kafka's durability comes from replicas, not from fsync. kill -9 loses nothing here,
  // because the page cache outlives the process; a power cut can lose the last seconds.
  'default.replication.factor': 1,
  'min.insync.replicas': 1,
  'offsets.topic.replication.factor': 1,
  'transaction.state.log.replication.factor': 1,
  'transaction.state.log.min.isr': 1,
  'share.coordinator.state.topic.replication.factor': 1,
  'share.coordinator.state.topic.min.isr': 1,
  'offsets.topic.num.partitions': 4,
  'transaction.state.log.num.partitions': 4,
  'share.coordinator.state.topic.num.partitions': 4,
  'auto.create.topics.enable': false,
  'group.min.session.timeout.ms': 1_000,
  'group.initial.rebalance.delay.ms': 0,
  // After kill -9 a broker can register again only once its old session has expired: 12 s with the default of 9 s. A
  // broker that hangs for longer than this is only fenced until its next heartbeat.
  'broker.session.timeout.ms': 1_500,
  'broker.heartbeat.interval.ms': 300,
  // Answer at once; do not collect the offset commits and metadata records of several requests.
  'group.coordinator.append.linger.ms': 0,
  'controller.quorum.append.linger.ms': 0,
  // For two cores.
  'num.network.threads': 2,
  'num.io.threads': 4,
  'background.threads': 2,
  'num.recovery.threads.per.data.dir': 2,
  'group.coordinator.threads': 1,
  'share.coordinator.threads': 1,
  'log.cleaner.threads': 1,
  'log.cleaner.dedupe.buffer.size': 16 * 1024 * 1024,
  'log.cleaner.io.buffer.size': 128 * 1024,
  'log.index.size.max.bytes': 1024 * 1024,
};

/**
 * Starts a broker on 127.0.0.1 (KRaft, one node, no authentication) and resolves when it answers a metadata
 * request. The jars come by Maven into `.cache/kafka-4.3.1` at the first start, 44 MB.
 *
 * A broker that a killed process left running on this data folder is stopped first, never reused.
 *
 * @throws Locked when a living process uses the data folder
 * @throws PortTaken when a wanted port is in use
 * @throws StartFailed, or an Error, with the broker's own words and what to do (Java or Maven missing, say)
 */
export async function startKafka(options: KafkaOptions): Promise<LocalKafka> {
  const { log = () => {} } = options;
  // A process that starts a broker is also its client, so it needs the codecs that production has.
  installKafkaCodecs(openLog('local-stack', 'error'));
  const java = findJava();
  await mkdir(options.dataDir, { recursive: true });
  const dataDir = await realpath(options.dataDir);
  const release = await takeLock(join(dataDir, 'lock'));
  try {
    const jars = await brokerJars(log);
    await endLeftoverKafka(dataDir, log);
    if (!existsSync(join(dataDir, 'data', 'meta.properties'))) {
      await format(java, jars, dataDir, options.secure?.users ?? {}, log);
    }
    const securePort = options.secure ? await freePort() : 0;
    const { broker, port } = await withFreePort(options.port, (port) =>
      withFreePort(options.controllerPort, async (controllerPort) => ({
        broker: await launch({ java, jars, dataDir, port, controllerPort, securePort, options, log }),
        port,
      })),
    );
    return withMembers(broker, {
      bootstrap: `127.0.0.1:${port}`,
      secureBootstrap: options.secure ? `${options.secure.host}:${securePort}` : null,
      port,
      async stop() {
        const exit = await broker.stop();
        await rm(join(dataDir, 'kafka.pid'), { force: true });
        await release();
        return exit;
      },
    });
  } catch (error) {
    await release();
    throw error;
  }
}

type Launch = {
  readonly java: string;
  readonly jars: string;
  readonly dataDir: string;
  readonly port: number;
  readonly controllerPort: number;
  readonly securePort: number;
  readonly options: KafkaOptions;
  readonly log: (message: string) => void;
};

async function launch({ java, jars, dataDir, port, controllerPort, securePort, options, log }: Launch) {
  const config = join(dataDir, 'server.properties');
  await writeProperties(config, {
    ...PROPERTIES,
    ...listeners(port, controllerPort),
    ...(options.secure
      ? await secureListener(dataDir, port, controllerPort, securePort, options.secure)
      : {}),
    'log.dirs': join(dataDir, 'data'),
    ...options.properties,
  });
  const heap = options.heapMb ?? 320;
  try {
    return await startProcess({
      name: 'kafka',
      command: java,
      args: [
        ...[`-Xms${heap}m`, `-Xmx${heap}m`, ...(options.jvmFlags ?? JVM_FLAGS)],
        ...['-Djava.awt.headless=true', '-XX:+ExitOnOutOfMemoryError', ...logging()],
        ...['-cp', join(jars, '*'), 'kafka.Kafka', config],
      ],
      cwd: dataDir,
      // JVM flags from the caller's environment would make the broker differ between machines.
      env: { JAVA_TOOL_OPTIONS: undefined, JDK_JAVA_OPTIONS: undefined, _JAVA_OPTIONS: undefined },
      logFile: join(dataDir, 'kafka.log'),
      ...(options.restart ? { restart: options.restart } : {}),
      stopTimeoutMs: STOP_MS,
      readyTimeoutMs: 60_000,
      ready: async (pid, aborted) => {
        await writeFile(join(dataDir, 'kafka.pid'), String(pid));
        await untilItAnswers(port, aborted);
      },
      beforeStart: () => endLeftoverKafka(dataDir, log),
      log,
    });
  } catch (error) {
    if (error instanceof StartFailed && error.output.includes('Address already in use')) {
      throw new PortTaken(`port ${port} or ${controllerPort} was taken while Kafka started`, {
        cause: error,
      });
    }
    throw error;
  }
}

function listeners(port: number, controllerPort: number) {
  return {
    listeners: `CLIENT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `CLIENT://127.0.0.1:${port}`,
    // The voters are configuration here, not data, so the port may change between two starts.
    'controller.quorum.voters': `${NODE_ID}@127.0.0.1:${controllerPort}`,
  };
}

async function secureListener(
  dataDir: string,
  port: number,
  controllerPort: number,
  securePort: number,
  { certificate, key, host }: NonNullable<KafkaOptions['secure']>,
) {
  const keystore = join(dataDir, 'keystore.pem');
  await writeFile(keystore, `${key.trim()}\n${certificate}`, { mode: 0o600 });
  const plain = listeners(port, controllerPort);
  return {
    listeners: `${plain.listeners},SECURE://127.0.0.1:${securePort}`,
    'advertised.listeners': `${plain['advertised.listeners']},SECURE://${host}:${securePort}`,
    'listener.security.protocol.map': `${PROPERTIES['listener.security.protocol.map']},SECURE:SASL_SSL`,
    'sasl.enabled.mechanisms': 'SCRAM-SHA-512',
    'listener.name.secure.scram-sha-512.sasl.jaas.config':
      'org.apache.kafka.common.security.scram.ScramLoginModule required;',
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': keystore,
  };
}

function logging(): string[] {
  return [
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
    '-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info',
    '-Dorg.slf4j.simpleLogger.showDateTime=true',
    '-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS',
  ];
}

async function writeProperties(file: string, properties: Record<string, string | number | boolean>) {
  // A backslash starts an escape in this format.
  const lines = Object.entries(properties).map(
    ([key, value]) => `${key}=${String(value).replaceAll('\\', '\\\\')}\n`,
  );
  await writeFile(file, lines.join(''));
}

/** Formats a folder beside, which is renamed when complete: a killed start leaves no half-made data. */
async function format(
  java: string,
  jars: string,
  dataDir: string,
  users: Readonly<Record<string, string>>,
  log: (message: string) => void,
): Promise<void> {
  log(`kafka: formatting ${join(dataDir, 'data')}`);
  const unfinished = join(dataDir, 'data.unfinished');
  await rm(unfinished, { recursive: true, force: true });
  await rm(join(dataDir, 'data'), { recursive: true, force: true });
  const config = join(dataDir, 'format.properties');
  await writeProperties(config, { ...PROPERTIES, ...listeners(9092, 9093), 'log.dirs': unfinished });
  const clusterId = Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url');
  await runToEnd(
    java,
    [
      ...['-Xmx128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', ...logging()],
      ...['-cp', join(jars, '*'), 'kafka.tools.StorageTool', 'format'],
      // One id in 64 begins with a dash, and as a separate argument it would be read as an option.
      ...[`--cluster-id=${clusterId}`, '-c', config],
      ...Object.entries(users).flatMap(([name, password]) => [
        '--add-scram',
        `SCRAM-SHA-512=[name=${name},password=${password}]`,
      ]),
    ],
    { env: { JAVA_TOOL_OPTIONS: undefined, JDK_JAVA_OPTIONS: undefined, _JAVA_OPTIONS: undefined } },
  );
  await rename(unfinished, join(dataDir, 'data'));
  await rm(config);
}

/** A client's own metadata request, retried until the deadline: an open port alone does not mean a broker. */
async function untilItAnswers(port: number, aborted: AbortSignal): Promise<void> {
  const settings = { brokers: [`127.0.0.1:${port}`], requestTimeoutMs: 2_000, retries: 0 };
  const client = openKafka('local-stack', settings, silentLog);
  for (;;) {
    aborted.throwIfAborted();
    const admin = client.admin();
    try {
      await admin.connect();
      const { brokers, controller } = await admin.describeCluster();
      // Without a controller no topic can be made yet.
      if (brokers.some(({ nodeId }) => nodeId === controller)) return;
    } catch {
      // Not listening yet, or not registered with its own controller yet.
    } finally {
      await admin.disconnect().catch(() => {});
    }
    await delay(50, undefined, { signal: aborted });
  }
}

/**
 * After kill -9 of the process that started it, a broker may still run on this data. {@link startKafka} calls this
 * itself; call it first if you check the ports before that.
 * @param dataDir without symbolic links
 */
export async function endLeftoverKafka(dataDir: string, log: (message: string) => void): Promise<void> {
  const pid = Number(await readFile(join(dataDir, 'kafka.pid'), 'utf8').catch(() => '0'));
  if (!(pid > 0) || !isAlive(pid)) return;
  // By now the pid may belong to any process.
  const command = commandLine(pid) ?? '';
  if (!command.endsWith(`kafka.Kafka ${join(dataDir, 'server.properties')}`)) return;
  log(`kafka: a broker from an earlier run still uses ${dataDir}, pid ${pid}: stopping it`);
  await endProcess(pid, 'SIGTERM', STOP_MS);
}

/**
 * The folder with the broker's jars, fetched at the first call on this machine. Several processes may call at once: one
 * fetches, the others wait. An interrupted fetch leaves nothing that looks complete.
 * @throws Error saying what to do when Maven is missing or fails
 */
export async function brokerJars(log: (message: string) => void = () => {}): Promise<string> {
  const jars = join(CACHE, `kafka-${VERSION}`);
  if (existsSync(jars)) return jars;
  await mkdir(CACHE, { recursive: true });
  await underLock(`${jars}.lock`, 10 * 60_000, async () => {
    if (existsSync(jars)) return;
    if (spawnSync('mvn', ['--version'], { stdio: 'ignore' }).error) {
      throw new Error(
        'Maven fetches the Kafka broker and is missing: install it (apt-get install maven, brew install maven)',
      );
    }
    log(`kafka: fetching Kafka ${VERSION} by Maven, once (44 MB)`);
    const unfinished = await mkdtemp(`${jars}.unfinished-`);
    try {
      await runToEnd('mvn', [
        ...['-q', '-B', '-f', join(HERE, 'pom.xml'), 'dependency:copy-dependencies'],
        ...['-DincludeScope=runtime', `-DoutputDirectory=${unfinished}`],
      ]);
      await rename(unfinished, jars);
    } catch (error) {
      await rm(unfinished, { recursive: true, force: true });
      throw error;
    }
  });
  return jars;
}

/**
 * The Java to run: that of JAVA_HOME, else the first one on the PATH.
 * @throws Error saying what to do when there is none, or when it is older than 17
 */
export function findJava(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const home = env['JAVA_HOME'];
  const candidates = [
    ...(home ? [join(home, 'bin', 'java')] : []),
    ...(env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'java')),
  ];
  const advice = 'install it (apt-get install openjdk-17-jre-headless, brew install openjdk@17)';
  const java = candidates.find((candidate) => existsSync(candidate));
  if (java === undefined) throw new Error(`Kafka 4 needs Java 17 or newer and there is none: ${advice}`);
  const answer = spawnSync(java, ['-version'], { encoding: 'utf8' });
  // 'openjdk version "17.0.15" 2025-04-15'; up to Java 8 it began with 1: "1.8.0_392".
  const version = /version "(?:1\.)?(\d+)/.exec(`${answer.stderr}${answer.stdout}`)?.[1];
  if (version === undefined || Number(version) < 17) {
    const found = version === undefined ? 'does not tell its version' : `is Java ${version}`;
    throw new Error(`Kafka 4 needs Java 17 or newer, and ${java} ${found}: ${advice}, or set JAVA_HOME`);
  }
  return java;
}
