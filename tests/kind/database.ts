/** The embedded PostgreSQL of a platform, by psql in its pod: for what no interface of ours would let one do. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Cluster } from './cluster.ts';

/** The server with a database: that of the source, with the self-view's, or that of the pages. */
const podOf = (name: string) =>
  ['gig', 'user', 'search'].includes(name) ? 'top-clients-postgres-pages-0' : 'top-clients-postgres-0';

export class Database {
  readonly #cluster: Cluster;
  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** @param name source, gig, user, search or self_view */
  query(name: string, statement: string): Promise<string> {
    return this.#cluster.kubectl(['exec', '--stdin', podOf(name), '--', ...psql(name)], {
      input: `${statement};\n`,
    });
  }

  /** What PostgreSQL says to a user of it that is refused. */
  refusal(user: string, name: string, statement: string): Promise<string> {
    return this.#cluster.refusal(
      ['exec', '--stdin', podOf(name), '--', ...psql(name, `"${user}" --host localhost`, passwordOf(user))],
      `${statement};\n`,
    );
  }

  /** Keeps everybody from writing to a table until the returned function is called. */
  async lock(name: string, table: string): Promise<() => Promise<void>> {
    const session = spawn('kubectl', [
      ...['--namespace', this.#cluster.namespace, 'exec', '--stdin', podOf(name), '--'],
      ...psql(name),
    ]);
    const closed = new Promise<void>((resolve) => session.once('close', () => resolve()));
    await new Promise<void>((resolve, reject) => {
      createInterface(session.stdout).on('line', (line) => line === 'locked' && resolve());
      session.once('close', () => reject(new Error(`could not lock ${table}`)));
      session.stdin.write(`begin; lock table ${table} in exclusive mode; select 'locked';\n`);
    });
    return async () => {
      session.stdin.end('rollback;\n');
      await closed;
    };
  }
}

/** The pod has it in its environment, to make the user by. */
const passwordOf = (user: string) => `export PGPASSWORD="$PASSWORD_OF_${user.toUpperCase()}";`;

const psql = (name: string, user = '"$POSTGRES_USER"', before = '') => [
  'sh',
  '-c',
  `${before} exec psql --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --username ${user} --dbname ${name}`,
];
