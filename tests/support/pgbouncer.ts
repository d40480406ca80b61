/** A real PgBouncer before a local PostgreSQL, set up as by Debian and others: it ignores no parameter. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../services/local-stack/ports.ts';
import type { LocalPostgres } from '../../services/local-stack/postgres.ts';
import { until } from '../../services/local-stack/until.ts';

export const PGBOUNCER_IS_INSTALLED = spawnSync('pgbouncer', ['--version']).status === 0;

export type PoolMode = 'session' | 'transaction' | 'statement';

export interface Poolers {
  /**
   * @param size server sessions for each database
   * @returns the address of a database behind its own pooler, which listens
   */
  url(database: string, mode: PoolMode, size?: number): Promise<string>;
  stop(): Promise<void>;
}

export function openPoolers(postgres: () => LocalPostgres): Poolers {
  const ports = new Map<string, Promise<number>>();
  const processes: ChildProcess[] = [];
  const folders: string[] = [];

  async function start(mode: PoolMode, size: number): Promise<number> {
    const port = await freePort();
    const folder = await mkdtemp(join(tmpdir(), 'pgbouncer-'));
    folders.push(folder);
    const file = join(folder, 'pgbouncer.ini');
    await writeFile(
      file,
      `[databases]
* = host=127.0.0.1 port=${postgres().port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = ${size}
`,
    );
    const nobody = { uid: 65_534, gid: 65_534 };
    const asRoot = process.getuid?.() === 0;
    if (asRoot) {
      await chown(folder, nobody.uid, nobody.gid);
      await chown(file, nobody.uid, nobody.gid);
    }
    processes.push(spawn('pgbouncer', [file], { stdio: 'ignore', ...(asRoot ? nobody : {}) }));
    await until('the pooler listens', () => listens(port));
    return port;
  }

  return {
    async url(database, mode, size = 10) {
      const key = `${mode} ${size}`;
      if (!ports.has(key)) ports.set(key, start(mode, size));
      return `postgres://postgres@127.0.0.1:${await ports.get(key)}/${database}`;
    },
    async stop() {
      await Promise.all(
        processes.map((one) => {
          const ended = new Promise((resolve) => one.once('exit', resolve));
          one.kill('SIGKILL');
          return ended;
        }),
      );
      await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
    },
  };
}

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
