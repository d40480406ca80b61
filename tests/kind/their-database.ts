/** A PostgreSQL that no part of Top Clients runs: in another namespace, as the team of a page would have it. */
import { type Cluster, until } from './cluster.ts';

const NAME = 'database';
const PASSWORDS = { top_clients: 'theirs', shop: 'readers' } as const;
/** May make schemas, and nothing else: no superuser, and not the owner of the database. */
const SETUP = `
  create role top_clients login password '${PASSWORDS.top_clients}';
  create role shop login password '${PASSWORDS.shop}';
  grant create on database shop to top_clients;
  create table public.orders (id bigint);`;

export class TheirDatabase {
  readonly #cluster: Cluster;
  /** @param cluster in the namespace where it is to be */
  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** @param user `top_clients`, who makes the views, or `shop`, who reads them */
  address(user: keyof typeof PASSWORDS, password: string = PASSWORDS[user]): string {
    return `postgresql://${user}:${password}@${NAME}.${this.#cluster.namespace}.svc:5432/shop`;
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
            terminationGracePeriodSeconds: 20,
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
                // After SIGTERM alone it would wait until the last client has left by itself.
                // After SIGTERM alone it would wait until the last client has left by itself.
                lifecycle: { preStop: { exec: { command: ['pg_ctl', 'stop', '--mode=fast'] } } },
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
    const pods = () => this.#cluster.list('pods', `app=${NAME}`);
    await until('their database is gone', async () => (await pods()).length === 0, 60_000);
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
