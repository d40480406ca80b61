/** A PostgreSQL that no part of Top Clients runs: in another namespace, as the team of a page would have it. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { type Cluster, until } from './cluster.ts';

const NAME = 'database';
/** May make schemas, and nothing else: no superuser, and not the owner of the database. */
const SETUP = `
  create role top_clients login password 'theirs';
  create role shop login password 'readers';
  grant create on database shop to top_clients;
  create table public.orders (id bigint);`;

export class TheirDatabase {
  readonly #cluster: Cluster;
  /** @param cluster in the namespace where it is to be */
  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** The address for the user that the views are made by. */
  address(password = 'theirs'): string {
    return `postgresql://top_clients:${password}@${NAME}.${this.#cluster.namespace}.svc:5432/shop`;
  }

  async start(): Promise<void> {
    const labels = { app: NAME };
    const metadata = { name: NAME, labels };
    const ports = [{ name: 'postgres', port: 5432 }];
    await this.#cluster.apply({
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector: labels, ports },
    });
    await this.#cluster.apply({
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata,
      spec: {
        replicas: 1,
        serviceName: NAME,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            containers: [
              {
                name: 'postgres',
                image: 'postgres:18',
                imagePullPolicy: 'IfNotPresent',
                env: [
                  { name: 'POSTGRES_PASSWORD', value: 'admin' },
                  { name: 'POSTGRES_DB', value: 'shop' },
                  // Of the databases: names are UTF-8.
                  { name: 'LANG', value: 'C.UTF-8' },
                  { name: 'PGDATA', value: '/var/lib/postgresql/pgdata' },
                ],
                readinessProbe: {
                  exec: { command: ['pg_isready', '--quiet', '--host=localhost'] },
                  periodSeconds: 1,
                },
                lifecycle: { preStop: { exec: { command: ['pg_ctl', 'stop', '--mode=immediate'] } } },
                volumeMounts: [{ name: 'data', mountPath: '/var/lib/postgresql' }],
              },
            ],
          },
        },
        volumeClaimTemplates: [
          {
            metadata: { name: 'data' },
            spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
          },
        ],
      },
    });
    await this.accepts();
    await this.query(SETUP);
  }

  async stop(): Promise<void> {
    await this.#scale(0);
    await until(
      'their database is gone',
      async () => (await this.#cluster.list('pods')).length === 0,
      60_000,
    );
  }
  async resume(): Promise<void> {
    await this.#scale(1);
    await this.accepts();
  }
  accepts(): Promise<string> {
    return until('their database accepts connections', () => this.query('select 1'), 90_000);
  }
  #scale(replicas: number): Promise<string> {
    return this.#cluster.kubectl(['scale', `statefulset/${NAME}`, `--replicas=${replicas}`]);
  }

  query(statement: string, user = 'postgres'): Promise<string> {
    return this.#cluster.kubectl(['exec', '--stdin', `${NAME}-0`, '--', ...psql(user)], {
      input: `${statement};\n`,
    });
  }

  /** Everything in it but what PostgreSQL itself has. */
  schemas(): Promise<string> {
    return this.query(
      "select nspname from pg_namespace where nspname !~ '^(pg_|information_schema)' order by 1",
    );
  }

  /**
   * Reads as a page does, over one session with a prepared statement, until the returned function is called.
   * @returns what was read, each answer once, and every complaint
   */
  read(
    prepared: string,
  ): () => Promise<{ readonly answers: readonly string[]; readonly complaints: string }> {
    const answers = new Set<string>();
    let complaints = '';
    let isOver = false;
    const session = spawn('kubectl', [
      ...['--namespace', this.#cluster.namespace, 'exec', '--stdin', `${NAME}-0`, '--', ...psql('shop')],
    ]);
    const closed = new Promise<void>((resolve) => session.once('close', () => resolve()));
    session.stderr.on('data', (chunk) => {
      complaints += chunk;
    });
    createInterface(session.stdout).on('line', (line) => {
      answers.add(line);
      if (isOver) session.stdin.end();
      else session.stdin.write('execute shown;\n');
    });
    session.stdin.write(`prepare shown as ${prepared};\nexecute shown;\n`);
    return async () => {
      isOver = true;
      await closed;
      return { answers: [...answers], complaints };
    };
  }
}

const psql = (user: string) => [
  'psql',
  ...[
    '--quiet',
    '--tuples-only',
    '--no-align',
    '--set',
    'ON_ERROR_STOP=1',
    '--username',
    user,
    '--dbname',
    'shop',
  ],
];
