/**
 * A double of CloudNativePG's operator, for tests in a cluster that cannot have the real one: it plays what the real one
 * was seen to do with a `Cluster` and a `Database`, with real PostgreSQL servers. Labels, Services, secrets, statuses, the
 * order of a failover and its waiting times are those of version 1.30.
 *
 * Not played: volumes (an instance that ends is copied anew), backups, hibernation, replica clusters, pooling.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type Authority, makeAuthority } from '../../../support/authority.ts';
import { run } from '../../../support/run.ts';
import type { Cluster } from '../../cluster.ts';

const INSTANCE = readFileSync(new URL('./instance.sh', import.meta.url), 'utf8');
const API = 'postgresql.cnpg.io/v1';
const KINDS = 'clusters.postgresql.cnpg.io,databases.postgresql.cnpg.io,pods,secrets';
const IMAGE = 'postgres:18';
const LOOK_EVERY_MS = 400;
const CONTROL = "set synchronous_commit = 'local'; ";

// biome-ignore lint/suspicious/noExplicitAny: an object is what the API server says
type Kube = any;

export interface DoubleOptions {
  /** How long a primary that is gone without a word is waited for: the operator's lease of the primary, in ms. */
  readonly leaseMs?: number;
  readonly image?: string;
  readonly log?: (message: string) => void;
}

export interface CnpgDouble {
  /** The pod that is the primary now. */
  primaryOf(cluster: string): string;
  /** How often a standby was promoted. */
  readonly failovers: number;
  stop(): Promise<void>;
}

/** Plays the operator in one namespace until it is stopped. The definitions must be there. */
export function playCnpg(cluster: Cluster, options: DoubleOptions = {}): CnpgDouble {
  const { leaseMs = 16_000, image = IMAGE, log = () => {} } = options;
  const known = new Map<string, PlayedCluster>();
  const stopping = new AbortController();
  const state = { failovers: 0 };
  const authorities: Authority[] = [];
  const look = async () => {
    const { items } = (await cluster.get(KINDS)) as { items: Kube[] };
    const of = (kind: string) => items.filter((one) => one.kind === kind);
    for (const object of of('Cluster')) {
      const { name } = object.metadata;
      let played = known.get(name);
      if (!played) {
        const authority = await makeAuthority(name);
        authorities.push(authority);
        played = new PlayedCluster(cluster, name, { leaseMs, image, log, authority, state });
        known.set(name, played);
      }
      await played.reconcile(
        object,
        of('Pod').filter((pod) => pod.metadata.labels?.['cnpg.io/cluster'] === name),
        of('Secret'),
        of('Database').filter((one) => one.spec.cluster.name === name),
      );
    }
  };
  const playing = (async () => {
    while (!stopping.signal.aborted) {
      await look().catch((err) => log(`the double: ${(err as Error).message.slice(0, 300)}`));
      await delay(LOOK_EVERY_MS);
    }
  })();
  return {
    primaryOf: (name) => known.get(name)?.primary ?? '',
    get failovers() {
      return state.failovers;
    },
    async stop() {
      stopping.abort();
      await playing;
      for (const one of authorities) await one.close();
    },
  };
}

interface Surroundings extends Required<Omit<DoubleOptions, 'log'>> {
  readonly log: (message: string) => void;
  readonly authority: Authority;
  readonly state: { failovers: number };
}

class PlayedCluster {
  primary = '';
  readonly #cluster: Cluster;
  readonly #name: string;
  readonly #with: Surroundings;
  #last = 0;
  #isPrepared = false;
  #lostSince: number | null = null;
  /** The primary was asked to end, and does so in its own time. */
  #isEnding = false;
  /** It has answered since it took its place. */
  #hasAnswered = false;
  /** The standby that somebody wants in its place. */
  #target = '';
  #synchronous = '';
  readonly #done = new Map<string, string>();

  constructor(cluster: Cluster, name: string, surroundings: Surroundings) {
    this.#cluster = cluster;
    this.#name = name;
    this.#with = surroundings;
  }

  async reconcile(object: Kube, pods: Kube[], secrets: Kube[], databases: Kube[]): Promise<void> {
    if (object.metadata.deletionTimestamp) return;
    if (!this.#isPrepared) await this.#prepare(object);
    await this.#switchOver(object, pods);
    await this.#keepPrimary(object, pods);
    await this.#keepInstances(object, pods);
    const ready = pods.filter(isReady);
    if (ready.some((pod) => pod.metadata.name === this.primary)) {
      await this.#keepSynchronous(object, pods);
      await this.#keepRoles(object, secrets);
      for (const one of databases) await this.#keepDatabase(one);
    }
    await this.#tell(object, ready.length);
  }

  /** Secrets, certificates and Services: once, and owned by the Cluster. */
  async #prepare(object: Kube): Promise<void> {
    const { namespace } = object.metadata;
    const { database, owner } = object.spec.bootstrap.initdb;
    const hosts = ['rw', 'ro', 'r'].flatMap((kind) =>
      ['', `.${namespace}`, `.${namespace}.svc`].map((rest) => `DNS:${this.#name}-${kind}${rest}`),
    );
    const { certificate, key } = await this.#with.authority.sign(...hosts);
    const password = randomBytes(16).toString('hex');
    const host = `${this.#name}-rw`;
    const secret = (name: string, stringData: Record<string, string>, type = 'Opaque') =>
      this.#owned(object, { apiVersion: 'v1', kind: 'Secret', type, stringData }, `${this.#name}-${name}`);
    const service = (kind: string, selector: Record<string, string>) =>
      this.#owned(
        object,
        {
          apiVersion: 'v1',
          kind: 'Service',
          spec: {
            selector: { 'cnpg.io/cluster': this.#name, ...selector },
            ports: [{ name: 'postgres', port: 5432, targetPort: 5432 }],
          },
        },
        `${this.#name}-${kind}`,
      );
    await this.#cluster.apply({
      apiVersion: 'v1',
      kind: 'List',
      items: [
        secret('ca', { 'ca.crt': readFileSync(this.#with.authority.caFile, 'utf8') }),
        secret('server', { 'tls.crt': certificate, 'tls.key': key }, 'kubernetes.io/tls'),
        secret(
          'app',
          {
            username: owner,
            password,
            dbname: database,
            host,
            port: '5432',
            uri: `postgresql://${owner}:${password}@${host}.${namespace}:5432/${database}`,
          },
          'kubernetes.io/basic-auth',
        ),
        secret('replication', { password: randomBytes(16).toString('hex') }),
        service('rw', { 'cnpg.io/instanceRole': 'primary' }),
        service('ro', { 'cnpg.io/instanceRole': 'replica' }),
        service('r', { 'cnpg.io/podRole': 'instance' }),
        this.#owned(
          object,
          { apiVersion: 'v1', kind: 'ConfigMap', data: { 'instance.sh': INSTANCE } },
          `${this.#name}-instance`,
        ),
      ],
    });
    this.#isPrepared = true;
  }

  #owned(object: Kube, rest: object, name: string, labels: Record<string, string> = {}) {
    const { uid } = object.metadata;
    return {
      ...rest,
      metadata: {
        name,
        labels: { 'cnpg.io/cluster': this.#name, ...labels },
        ownerReferences: [{ apiVersion: API, kind: 'Cluster', name: this.#name, uid, controller: true }],
      },
    };
  }

  /** Promotes the standby that is ahead once the primary is gone; first nobody may write to the old one. */
  async #keepPrimary(object: Kube, pods: Kube[]): Promise<void> {
    if (this.primary === '') return this.#bootstrap(object);
    const pod = pods.find((one) => one.metadata.name === this.primary);
    const isLeft = pod !== undefined && !isOver(pod);
    if (isLeft) {
      this.#hasAnswered ||= isReady(pod);
      this.#isEnding = pod.metadata.deletionGracePeriodSeconds > 0;
      if (!this.#hasAnswered || this.#isEnding || isReady(pod)) {
        this.#lostSince = null;
        return;
      }
    }
    this.#lostSince ??= Date.now();
    // Ended by itself, it has given its lease back.
    const isClean = (pod !== undefined && !isLeft) || this.#isEnding;
    if (!isClean && Date.now() - this.#lostSince < this.#with.leaseMs) return;
    const standbys = pods.filter((one) => isReady(one) && one.metadata.name !== this.primary);
    const received = new Map<string, bigint>();
    for (const { metadata } of standbys) {
      const lsn = await this.#ask(metadata.name, "select pg_last_wal_receive_lsn() - '0/0'::pg_lsn").catch(
        () => '',
      );
      if (/^\d+$/.test(lsn)) received.set(metadata.name, BigInt(lsn));
    }
    const [ahead] = [...received].sort(([, a], [, b]) => (a < b ? 1 : a > b ? -1 : 0));
    if (!ahead) return;
    const next = received.get(this.#target) === ahead[1] ? this.#target : ahead[0];
    this.#with.log(`${this.#name}: ${this.primary} is ${isLeft ? 'silent' : 'gone'}, ${next} is the primary`);
    const old = this.primary;
    // Nobody is led to it, should it wake up.
    if (isLeft) await this.#label(old, 'replica');
    await this.#ask(next, 'select pg_promote(true, 30)');
    this.primary = next;
    this.#synchronous = '';
    this.#lostSince = null;
    this.#isEnding = false;
    this.#hasAnswered = false;
    this.#target = '';
    this.#with.state.failovers += 1;
    await this.#label(next, 'primary');
    // One that is silent is told to end, and does when it wakes up: its lease is over.
    if (pod) await this.#cluster.kubectl(['delete', 'pod', old, '--wait=false', '--ignore-not-found']);
  }

  async #label(pod: string, role: 'primary' | 'replica'): Promise<void> {
    const labels = [`cnpg.io/instanceRole=${role}`, `role=${role}`];
    await this.#cluster.kubectl(['label', 'pod', pod, '--overwrite', ...labels]);
  }

  /** By command: the primary ends, once it has written all to disk, and its clients at once. */
  async #switchOver(object: Kube, pods: Kube[]): Promise<void> {
    const target = object.status?.targetPrimary ?? '';
    const isThere = pods.some((pod) => pod.metadata.name === target && isReady(pod));
    if (!isThere || target === this.primary || target === this.#target) return;
    this.#target = target;
    this.#with.log(`${this.#name}: ${target} is to take the place of ${this.primary}`);
    await this.#ask(this.primary, 'checkpoint');
    // Ends with the container.
    await run('kubectl', [
      ...['--namespace', this.#cluster.namespace, 'exec', this.primary, '--'],
      ...['pg_ctl', 'stop', '--mode=fast'],
    ]);
  }

  async #bootstrap(object: Kube): Promise<void> {
    this.primary = await this.#create(object, '');
  }

  async #keepInstances(object: Kube, pods: Kube[]): Promise<void> {
    for (const pod of pods) {
      // A standby that ended is made anew.
      if (isOver(pod) && !pod.metadata.deletionTimestamp && pod.metadata.name !== this.primary)
        await this.#cluster.kubectl([
          'delete',
          'pod',
          pod.metadata.name,
          '--wait=false',
          '--ignore-not-found',
        ]);
    }
    const primary = pods.find((pod) => pod.metadata.name === this.primary);
    // One joins after the other, from a primary that answers.
    if (!primary || !isReady(primary) || pods.some((pod) => !isReady(pod) && !pod.metadata.deletionTimestamp))
      return;
    const living = pods.filter((pod) => !pod.metadata.deletionTimestamp).length;
    if (living < object.spec.instances) await this.#create(object, `${this.#name}-rw`);
  }

  async #create(object: Kube, primaryHost: string): Promise<string> {
    this.#last += 1;
    const name = `${this.#name}-${this.#last}`;
    const { database, owner } = object.spec.bootstrap.initdb;
    const { parameters = {} } = object.spec.postgresql ?? {};
    const from = (secret: string, key: string) => ({
      valueFrom: { secretKeyRef: { name: `${this.#name}-${secret}`, key } },
    });
    const role = primaryHost === '' ? 'primary' : 'replica';
    await this.#cluster.apply(
      this.#owned(
        object,
        {
          apiVersion: 'v1',
          kind: 'Pod',
          spec: {
            hostname: name,
            automountServiceAccountToken: false,
            terminationGracePeriodSeconds: 1800,
            restartPolicy: 'Never',
            ...(object.spec.affinity?.nodeAffinity
              ? { affinity: { nodeAffinity: object.spec.affinity.nodeAffinity } }
              : {}),
            securityContext: {
              runAsNonRoot: true,
              runAsUser: 999,
              fsGroup: 999,
              seccompProfile: { type: 'RuntimeDefault' },
            },
            containers: [
              {
                name: 'postgres',
                image: this.#with.image,
                imagePullPolicy: 'IfNotPresent',
                command: ['bash', '/instance/instance.sh'],
                env: [
                  { name: 'PRIMARY_HOST', value: primaryHost },
                  { name: 'FOLLOWED', value: `${this.#name}-rw` },
                  { name: 'OWNER', value: owner },
                  { name: 'DATABASE', value: database },
                  { name: 'OWNER_PASSWORD', ...from('app', 'password') },
                  { name: 'REPLICA_PASSWORD', ...from('replication', 'password') },
                  { name: 'SMART_SECONDS', value: String(object.spec.smartShutdownTimeout ?? 180) },
                  {
                    name: 'PARAMETERS',
                    value: Object.entries(parameters)
                      .map(([setting, value]) => `-c ${setting}=${value}`)
                      .join(' '),
                  },
                  { name: 'PGDATA', value: '/data/pgdata' },
                  { name: 'LANG', value: 'C.UTF-8' },
                ],
                ports: [{ name: 'postgresql', containerPort: 5432 }],
                resources: { requests: { cpu: '10m', memory: '64Mi' } },
                securityContext: {
                  allowPrivilegeEscalation: false,
                  readOnlyRootFilesystem: true,
                  capabilities: { drop: ['ALL'] },
                },
                readinessProbe: {
                  exec: { command: ['pg_isready', '--quiet', '--host=localhost'] },
                  periodSeconds: 2,
                  timeoutSeconds: 5,
                  failureThreshold: 3,
                },
                volumeMounts: [
                  { name: 'data', mountPath: '/data' },
                  { name: 'instance', mountPath: '/instance' },
                  { name: 'certificates', mountPath: '/certificates' },
                  { name: 'socket', mountPath: '/var/run/postgresql' },
                  { name: 'tmp', mountPath: '/tmp' },
                ],
              },
            ],
            volumes: [
              { name: 'data', emptyDir: {} },
              { name: 'instance', configMap: { name: `${this.#name}-instance` } },
              { name: 'certificates', secret: { secretName: `${this.#name}-server`, defaultMode: 0o440 } },
              { name: 'socket', emptyDir: {} },
              { name: 'tmp', emptyDir: {} },
            ],
          },
        },
        name,
        { 'cnpg.io/instanceName': name, 'cnpg.io/instanceRole': role, 'cnpg.io/podRole': 'instance', role },
      ),
    );
    return name;
  }

  /** Which standbys a commit waits for: all by name where durability is required, those who are there where preferred. */
  async #keepSynchronous(object: Kube, pods: Kube[]): Promise<void> {
    const wanted = object.spec.postgresql?.synchronous;
    const standbys = pods.filter(
      ({ metadata }) => metadata.name !== this.primary && !metadata.deletionTimestamp,
    );
    const required = (wanted?.dataDurability ?? 'required') === 'required';
    const names = (required ? standbys : standbys.filter(isReady))
      .map(({ metadata }) => `"${metadata.name}"`)
      .sort();
    const number = wanted ? Math.min(wanted.number, Math.max(names.length, required ? 1 : 0)) : 0;
    // Without any instance beside it, nobody could follow: the first one is made before anything is promised.
    const setting =
      wanted && number > 0 && names.length > 0
        ? `${String(wanted.method).toUpperCase()} ${number} (${names.join(',')})`
        : '';
    if (setting === this.#synchronous || (wanted && required && setting === '')) return;
    await this.#ask(
      this.primary,
      `alter system set synchronous_standby_names = ${literal(setting)}; select pg_reload_conf()`,
    );
    this.#synchronous = setting;
  }

  async #keepRoles(object: Kube, secrets: Kube[]): Promise<void> {
    for (const { name, passwordSecret, login = false } of object.spec.managed?.roles ?? []) {
      const data = secrets.find(({ metadata }) => metadata.name === passwordSecret?.name)?.data;
      if (!data) continue;
      const password = Buffer.from(data.password, 'base64').toString();
      await this.#once(`role ${name}`, password, () =>
        this.#ask(
          this.primary,
          `${CONTROL}do $$ begin create role ${identifier(name)}; exception when duplicate_object then null; end $$;
          alter role ${identifier(name)} ${login ? 'login' : 'nologin'} password ${literal(password)}`,
        ),
      );
    }
  }

  async #keepDatabase(object: Kube): Promise<void> {
    const { name, owner } = object.spec;
    await this.#once(`database ${name}`, owner, async () => {
      const exists = await this.#ask(
        this.primary,
        `select 1 from pg_database where datname = ${literal(name)}`,
      );
      if (exists === '')
        await this.#ask(
          this.primary,
          `create database ${identifier(name)} owner ${identifier(owner)}`,
          CONTROL,
        );
    });
    const { generation } = object.metadata;
    if (object.status?.observedGeneration === generation) return;
    await this.#patchStatus(`databases.postgresql.cnpg.io/${object.metadata.name}`, {
      applied: true,
      observedGeneration: generation,
    });
  }

  async #once(what: string, how: string, work: () => Promise<unknown>): Promise<void> {
    if (this.#done.get(what) === how) return;
    await work();
    this.#done.set(what, how);
  }

  async #tell(object: Kube, readyInstances: number): Promise<void> {
    const { instances } = object.spec;
    const isHealthy = readyInstances === instances;
    const phase = isHealthy
      ? 'Cluster in healthy state'
      : this.#lostSince
        ? 'Failing over'
        : 'Waiting for the instances';
    const told = JSON.stringify([phase, readyInstances, this.primary]);
    await this.#once('status', told, () =>
      this.#patchStatus(`clusters.postgresql.cnpg.io/${this.#name}`, {
        phase,
        instances,
        readyInstances,
        currentPrimary: this.primary,
        targetPrimary: this.primary,
        conditions: [
          {
            type: 'Ready',
            status: isHealthy ? 'True' : 'False',
            reason: isHealthy ? 'ClusterIsReady' : 'ClusterIsNotReady',
            message: isHealthy ? 'Cluster is Ready' : 'Cluster Is Not Ready',
            lastTransitionTime: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
          },
        ],
      }),
    );
  }

  async #patchStatus(what: string, status: object): Promise<void> {
    const patch = JSON.stringify({ status });
    await this.#cluster.kubectl(['patch', what, '--subresource=status', '--type=merge', '--patch', patch]);
  }

  /** Asks an instance as its superuser, who is let in by the socket alone. */
  async #ask(pod: string, statement: string, before = ''): Promise<string> {
    const psql = [
      'psql',
      '--quiet',
      '--tuples-only',
      '--no-align',
      '--set=ON_ERROR_STOP=1',
      '--username=postgres',
    ];
    const { code, stdout, stderr } = await run(
      'kubectl',
      [
        ...['--namespace', this.#cluster.namespace, 'exec', '--stdin', pod, '--'],
        ...[...psql, '--dbname=postgres'],
      ],
      { input: `${before}\n${statement};\n`, timeoutMs: 40_000 },
    );
    if (code !== 0) throw new Error(`${pod}: ${stderr}`);
    return stdout.trim();
  }
}

const isReady = (pod: Kube): boolean =>
  !pod.metadata.deletionTimestamp &&
  (pod.status?.conditions ?? []).some((one: Kube) => one.type === 'Ready' && one.status === 'True');
/** Its server has ended. One that is being ended may still run, and nobody else may be the primary until it has. */
const isOver = (pod: Kube): boolean =>
  ['Failed', 'Succeeded'].includes(pod.status?.phase) ||
  (pod.status?.containerStatuses ?? []).some((one: Kube) => one.state?.terminated);

const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;
const identifier = (text: string) => `"${text.replaceAll('"', '""')}"`;
