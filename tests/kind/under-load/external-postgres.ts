/** A PostgreSQL that Top Clients does not run, with the five databases, in the namespace of the platform. */
import { type Cluster, until } from '../cluster.ts';

const NAME = 'external-postgres';
const DATABASES = ['source', 'gig', 'user', 'search', 'self_view'] as const;
/** The key of a database's address in the secrets. */
const keyOf = (database: string) => `${database.replaceAll('_', '-')}-url`;
const SHOWN = `${NAME}-certificate`;
const TLS = '/certificate';
const OWNER = { name: 'owner', password: 'owners' };

interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

export class ExternalPostgres {
  readonly #cluster: Cluster;
  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  readonly host = NAME;

  /**
   * Starts it; the secret `databases` then has the addresses of the owner.
   * @param shown what it shows to who comes by TLS; it takes no TLS when absent
   */
  async start(shown?: Certificate): Promise<void> {
    const labels = { app: NAME };
    const metadata = { name: NAME, labels };
    const ports = [{ name: 'postgres', port: 5432 }];
    await this.#cluster.apply({
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector: labels, ports },
    });
    if (shown) await this.#keep(shown);
    const tls = ['ssl=on', `ssl_cert_file=${TLS}/tls.crt`, `ssl_key_file=${TLS}/tls.key`];
    const settings = ['max_connections=300', ...(shown ? tls : [])];
    await this.#cluster.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec: {
        terminationGracePeriodSeconds: 1,
        securityContext: { runAsUser: 999, fsGroup: 999 },
        containers: [
          {
            name: 'postgres',
            image: 'postgres:18',
            imagePullPolicy: 'IfNotPresent',
            args: settings.flatMap((one) => ['-c', one]),
            env: [
              { name: 'POSTGRES_PASSWORD', value: 'admin' },
              { name: 'LANG', value: 'C.UTF-8' },
              { name: 'PGDATA', value: '/data/pgdata' },
            ],
            // Without a share of its own it gets what all others leave: nothing, while they start.
            resources: { requests: { cpu: '200m', memory: '256Mi' } },
            readinessProbe: {
              exec: { command: ['pg_isready', '--quiet', '--host=localhost'] },
              periodSeconds: 1,
            },
            volumeMounts: [
              { name: 'data', mountPath: '/data' },
              ...(shown ? [{ name: 'tls', mountPath: TLS }] : []),
            ],
          },
        ],
        volumes: [
          { name: 'data', emptyDir: {} },
          ...(shown ? [{ name: 'tls', secret: { secretName: SHOWN, defaultMode: 0o440 } }] : []),
        ],
      },
    });
    // By its port alone: the server that makes the data is reached by its socket.
    await this.#cluster.kubectl(['wait', `pod/${NAME}`, '--for=condition=Ready', '--timeout=90s']);
    await this.query(
      [
        `create role ${OWNER.name} login createrole password '${OWNER.password}'`,
        ...DATABASES.map((database) => `create database "${database}" owner ${OWNER.name}`),
      ].join(';\n'),
    );
    await this.keepAddresses('databases', OWNER.name, OWNER.password);
  }

  /** From now on it shows another certificate to who comes, once the node has brought it. */
  async show(shown: Certificate): Promise<void> {
    await this.#keep(shown);
    await until(
      `${NAME} has its certificate`,
      async () =>
        (await this.#cluster.kubectl(['exec', NAME, '--', 'cat', `${TLS}/tls.crt`])) === shown.certificate,
      180_000,
      2_000,
    );
    await this.query('select pg_reload_conf()');
  }

  async #keep({ certificate, key }: Certificate): Promise<void> {
    await this.#cluster.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: SHOWN },
      stringData: { 'tls.crt': certificate, 'tls.key': key },
    });
  }

  /** Everybody signs in anew, whose statement is not under way. */
  async endSessions(): Promise<void> {
    await this.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where client_addr is not null and state = 'idle'",
    );
  }

  /** Puts the addresses of all databases with this user into a secret. */
  async keepAddresses(secret: string, user: string, password: string): Promise<void> {
    await this.#cluster.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: secret },
      stringData: Object.fromEntries(
        DATABASES.map((database) => [
          keyOf(database),
          `postgresql://${user}:${password}@${NAME}:5432/${database}`,
        ]),
      ),
    });
  }

  /** As its superuser. */
  query(statements: string, database = 'postgres'): Promise<string> {
    return this.#cluster.kubectl(
      [
        ...['exec', '--stdin', NAME, '--', 'psql', '--quiet', '--tuples-only', '--no-align'],
        ...['--set', 'ON_ERROR_STOP=1', '--username', 'postgres', '--dbname', database],
      ],
      { input: `${statements};\n` },
    );
  }

  /** Who has a session, each once. */
  async signedIn(): Promise<readonly string[]> {
    const users = await this.query(
      'select distinct usename from pg_stat_activity where client_addr is not null order by 1',
    );
    return users.trim().split('\n');
  }
}
