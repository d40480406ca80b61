import { statSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pause } from '#platform/lifecycle.ts';
import { DATABASES, makeUsers } from '../local-stack/database-users.ts';
import type { ExampleProgram } from '../local-stack/example-pages.ts';
import { type LocalGrafana, startGrafana } from '../local-stack/grafana.ts';
import { type LocalKafka, startKafka } from '../local-stack/kafka.ts';
import { type LocalPostgres, startPostgres } from '../local-stack/postgres.ts';
import { commandLine, startProcess } from '../local-stack/process.ts';
import { type LocalPrometheus, startPrometheus } from '../local-stack/prometheus.ts';
import { type RunOptions, runRole, runTask } from '../local-stack/run-role.ts';
import type { Environment, RoleProcess, RoleTask } from '../local-stack/system.ts';
import { innerUrl, type ServerName, serverOf } from './addresses.ts';
import type { DataFolder } from './data-folder.ts';
import { type Keepable, Keeper } from './keeper.ts';
import { DASHBOARDS, SCRAPED_EVERY_MS, type Scraped, scraping } from './scraping.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
// Many processes on one machine: each is limited to the memory and threads of its own pod.
const HEAP = { oldSpaceMiB: 192, semiSpaceMiB: 4 };
const READY_MS = 60_000;
/** A role drains in milliseconds; one that needs longer than this hangs. */
const STOP_MS = 6_000;

/** Starts, keeps and stops the processes of one demo. */
export class Supervisor {
  /** By name: postgres-source, postgres-pages, kafka, prometheus and grafana if they run, and the roles by their names in `roles.ts`. */
  readonly keepers = new Map<string, Keeper>();
  readonly #folder: DataFolder;
  readonly #compileCache: string;
  readonly #log: (line: string) => void;
  readonly #signal: AbortSignal;
  /** How to stop what was started, by group, first to last; also for starts in progress. */
  readonly #stops: (() => Promise<unknown>)[][] = [[]];
  readonly #scraped: Scraped[] = [];
  #prometheus: LocalPrometheus | undefined;

  /**
   * @param log receives messages about processes, for the demo's own log
   * @param signal aborts starts in progress
   */
  constructor(folder: DataFolder, compileCache: string, log: (line: string) => void, signal: AbortSignal) {
    this.#folder = folder;
    this.#compileCache = compileCache;
    this.#log = log;
    this.#signal = signal;
  }

  get logs(): string {
    return join(this.#folder.path, 'logs');
  }

  /** What is started from here on is stopped before what was started earlier. */
  nextGroup(): void {
    this.#stops.push([]);
  }

  /** Registers a release of something that is not a process; it runs with its group. */
  push(release: () => Promise<unknown>): void {
    this.#stops.at(-1)!.push(release);
  }

  /** Starts a server with these databases. */
  async postgres(name: ServerName, port: number): Promise<LocalPostgres> {
    const postgres = await this.#own(name, () =>
      startPostgres({
        dataDir: join(this.#folder.path, name),
        port,
        log: this.#log,
        // Eight processes with a few connections each, and a hundred megabytes of data.
        settings: {
          shared_buffers: '48MB',
          work_mem: '4MB',
          maintenance_work_mem: '32MB',
          min_wal_size: '128MB',
          max_wal_size: '512MB',
          wal_keep_size: 0,
        },
      }),
    );
    const databases = DATABASES.filter((database) => serverOf(database) === name);
    for (const database of databases) await postgres.createDatabase(database);
    await makeUsers(postgres, databases);
    return postgres;
  }

  kafka(port: number, controllerPort: number): Promise<LocalKafka> {
    return this.#own('kafka', () =>
      startKafka({
        dataDir: join(this.#folder.path, 'kafka'),
        port,
        controllerPort,
        heapMb: 256,
        log: this.#log,
      }),
    );
  }

  /**
   * Starts Prometheus, to scrape these processes and those that are told of by {@link scrape}.
   * @throws PrometheusMissing when it is not installed on this machine
   */
  async prometheus(host: string, port: number, processes: readonly Scraped[]): Promise<LocalPrometheus> {
    this.#scraped.push(...processes);
    this.#prometheus = await this.#own('prometheus', () =>
      startPrometheus({
        dataDir: join(this.#folder.path, 'prometheus'),
        host,
        port,
        scrape: scraping(this.#scraped),
        onSpawn: (pid) => this.#folder.record('prometheus', pid),
        log: this.#log,
      }),
    );
    return this.#prometheus;
  }

  /** Has Prometheus, if it runs, scrape these as well. */
  async scrape(processes: readonly Scraped[]): Promise<void> {
    this.#scraped.push(...processes);
    await this.#prometheus?.scrape(scraping(this.#scraped));
  }

  /** @throws GrafanaMissing when it is not installed on this machine */
  grafana(host: string, port: number, prometheusUrl: string): Promise<LocalGrafana> {
    return this.#own('grafana', () =>
      startGrafana({
        dataDir: join(this.#folder.path, 'grafana'),
        host,
        port,
        prometheusUrl,
        scrapedEveryMs: SCRAPED_EVERY_MS,
        dashboards: DASHBOARDS,
        home: 'topclients-overview.json',
        onSpawn: (pid) => this.#folder.record('grafana', pid),
        log: this.#log,
      }),
    );
  }

  /** Starts those of the roles at once that it does not keep yet; resolves when each is alive and, once its dependencies are there, ready. */
  async roles(processes: readonly RoleProcess[]): Promise<void> {
    await Promise.all(
      processes.map(async (one) => {
        await this.#keep(one.name, () => runRole(one, this.#howToRun(one)));
        await this.#untilReady(one);
      }),
    );
  }

  /** Starts a page that is no role of ours, unless it keeps it already; resolves when it is ready. */
  async page(name: string, program: ExampleProgram, env: Environment, healthPort: number): Promise<void> {
    await this.#keep(name, () =>
      startProcess({
        name,
        ...program,
        env,
        logFile: join(this.logs, `${name}.log`),
        readyUrl: `${innerUrl(healthPort)}/livez`,
        readyTimeoutMs: READY_MS,
        stopTimeoutMs: STOP_MS,
        ready: (pid) => this.#folder.record(name, pid),
        log: this.#log,
      }),
    );
    await this.#untilReady({ name, healthPort });
  }

  /**
   * Runs a role to its end.
   * @param onLine receives each line it writes, parsed
   * @throws Error with its last lines when it fails
   */
  async task(one: RoleTask, onLine: (line: Record<string, unknown>) => void = () => {}): Promise<void> {
    this.#signal.throwIfAborted();
    const { name } = one;
    const logFile = join(this.logs, `${name}.log`);
    const from = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
    const starting = runTask(one, { ...this.#howToRun(one), log: () => {} });
    const stop = async () => (await starting.catch(() => undefined))?.stop();
    this.push(stop);
    const running = await starting;
    const ended = new AbortController();
    const following = follow(logFile, from, onLine, ended.signal);
    const { code } = await running.exited;
    ended.abort();
    await following;
    if (code === 0 || this.#signal.aborted) return;
    throw new Error(`${name} failed; its log is ${logFile}\n${await lastLines(logFile, from)}`);
  }

  /** Stops everything, the last group first. */
  async stop(): Promise<void> {
    // A process that is still starting would otherwise become ready first and only then be stopped.
    const kept = new Set([...this.keepers.values()].map(({ pid }) => pid));
    const kafka = Number(
      await readFile(join(this.#folder.path, 'kafka', 'kafka.pid'), 'utf8').catch(() => '0'),
    );
    // The file may be of an earlier run, and its pid may belong to another process by now.
    const broker = commandLine(kafka)?.includes(this.#folder.path) ? [kafka] : [];
    for (const pid of [...broker, ...(await this.#folder.living())]) {
      if (!kept.has(pid)) process.kill(pid, 'SIGTERM');
    }
    for (let group = this.#stops.pop(); group; group = this.#stops.pop()) {
      const results = await Promise.allSettled(group.map((stop) => stop()));
      for (const result of results) {
        if (result.status === 'rejected') this.#log(`while stopping: ${result.reason}`);
      }
    }
  }

  /** Starts what is not kept yet. */
  async #keep(name: string, start: () => Promise<Keepable>): Promise<void> {
    if (!this.keepers.has(name)) await this.#own(name, start);
  }

  async #own<T extends Keepable>(name: string, start: () => Promise<T>): Promise<T> {
    this.#signal.throwIfAborted();
    const starting = start();
    let keeper: Keeper | undefined;
    this.push(async () => (keeper ? keeper.stop() : (await starting.catch(() => undefined))?.stop()));
    const running = await starting;
    this.#signal.throwIfAborted();
    keeper = new Keeper(name, running, this.#log);
    this.keepers.set(name, keeper);
    return running;
  }

  #howToRun({ name }: RoleTask): RunOptions {
    return {
      logs: this.logs,
      cwd: ROOT,
      heap: HEAP,
      compileCache: this.#compileCache,
      ready: (pid) => this.#folder.record(name, pid),
      until: 'alive',
      stopTimeoutMs: STOP_MS,
      log: this.#log,
    };
  }

  async #untilReady({ name, healthPort }: Pick<RoleProcess, 'name' | 'healthPort'>): Promise<void> {
    const deadline = Date.now() + READY_MS;
    for (;;) {
      this.#signal.throwIfAborted();
      const why = await fetch(`${innerUrl(healthPort)}/readyz`, { signal: AbortSignal.timeout(2_000) }).then(
        async (answer) => (answer.ok ? null : (await answer.text()).trim()),
        (err: Error) => err.message,
      );
      if (why === null) return;
      if (Date.now() > deadline) {
        throw new Error(
          `${name} is not ready after ${READY_MS / 1_000} s: ${why}; its log is ${join(this.logs, `${name}.log`)}`,
        );
      }
      await pause(100, this.#signal);
    }
  }
}

/** Passes on the lines appended to a file, until the signal aborts and the file is read to its end. */
async function follow(
  file: string,
  from: number,
  onLine: (line: Record<string, unknown>) => void,
  ended: AbortSignal,
): Promise<void> {
  const handle = await open(file, 'r');
  const buffer = Buffer.alloc(64 * 1024);
  let position = from;
  let rest = '';
  try {
    for (;;) {
      const over = ended.aborted;
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
      position += bytesRead;
      const lines = (rest + buffer.toString('utf8', 0, bytesRead)).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        if (line.startsWith('{')) onLine(JSON.parse(line) as Record<string, unknown>);
      }
      if (bytesRead > 0) continue;
      if (over) return;
      await pause(100, ended);
    }
  } finally {
    await handle.close();
  }
}

/** @param from where what is of interest begins: before it are earlier runs */
async function lastLines(file: string, from: number): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const { bytesRead, buffer } = await handle.read(
      Buffer.alloc(4_096),
      0,
      4_096,
      Math.max(from, size - 4_096),
    );
    return buffer
      .toString('utf8', 0, bytesRead)
      .trim()
      .split('\n')
      .slice(-8)
      .map((line) => `  | ${line}`)
      .join('\n');
  } finally {
    await handle.close();
  }
}
