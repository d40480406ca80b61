/** A Prometheus of this machine as a process of ours: the binary alone, never the service that a package may bring. */
import { execFile } from 'node:child_process';
import { access, constants, mkdir, realpath, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { withFreePort } from './ports.ts';
import { type Exit, startProcess } from './process.ts';

/** What is scraped, at `/metrics` of an address. */
export type ScrapeTarget = {
  /** `host:port` */
  readonly address: string;
  /** Added to every series of it. */
  readonly labels: Readonly<Record<string, string>>;
};

export type ScrapeSettings = {
  /** The label `job` of every series. */
  readonly job: string;
  readonly targets: readonly ScrapeTarget[];
  /** Between two looks at a target, in ms; also the most that a look may take. */
  readonly everyMs: number;
  /** Absolute paths of rule files. */
  readonly ruleFiles?: readonly string[];
};

export type PrometheusOptions = {
  /** Made when absent; holds `prometheus.yaml`, `tsdb/`, `prometheus.log`. An earlier start's data is used again. */
  readonly dataDir: string;
  readonly scrape: ScrapeSettings;
  /** Where it listens, default 127.0.0.1. It answers whoever reaches it, read only. */
  readonly host?: string;
  /** Absent or 0: a free one. */
  readonly port?: number;
  /** Told the process id of every process spawned, before it is ready. */
  readonly onSpawn?: (pid: number) => Promise<void>;
  /** Told in words what happens. */
  readonly log?: (message: string) => void;
};

export type LocalPrometheus = {
  /** Where this machine reaches it, without a slash at its end. */
  readonly url: string;
  readonly pid: number;
  readonly logFile: string;
  readonly exited: Promise<Exit>;
  kill(signal: NodeJS.Signals): void;
  /** Starts it again on the same port and data. */
  restart(): Promise<void>;
  stop(): Promise<Exit>;
};

/** There is none on this machine, or it is too old; the message says how to get one. */
export class PrometheusMissing extends Error {
  override readonly name = 'PrometheusMissing';
}

/** Older ones lack what the rules use: `keep_firing_for` and the lint of promtool came with it. */
const OLDEST = [2, 42] as const;
const ADVICE = `install ${OLDEST.join('.')} or newer (apt-get install prometheus, brew install prometheus), or set PROMETHEUS to its path`;
const KNOWN_PLACES = ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin', '/opt/prometheus'];
/** What a person looks at on a machine of their own, and no more than a small part of its disk. */
const KEPT = { time: '6h', size: '256MB' } as const;

/** As the configuration file says it; Prometheus reads YAML, of which JSON is a part. */
export function prometheusConfig({ job, targets, everyMs, ruleFiles = [] }: ScrapeSettings): string {
  const every = `${everyMs}ms`;
  return JSON.stringify(
    {
      global: { scrape_interval: every, scrape_timeout: every, evaluation_interval: '5s' },
      rule_files: ruleFiles,
      scrape_configs: [
        {
          job_name: job,
          static_configs: targets.map(({ address, labels }) => ({ targets: [address], labels })),
        },
      ],
    },
    null,
    2,
  );
}

/**
 * Starts Prometheus and resolves when it answers. A target that is killed and comes back is scraped again by itself.
 * @throws PrometheusMissing when there is none on this machine
 * @throws PortTaken when the wanted port is in use
 * @throws StartFailed with its own words, which name what is wrong with a rule file, say
 */
export async function startPrometheus(options: PrometheusOptions): Promise<LocalPrometheus> {
  const { host = '127.0.0.1', onSpawn, log = () => {} } = options;
  const command = await findPrometheus();
  await mkdir(options.dataDir, { recursive: true });
  const dataDir = await realpath(options.dataDir);
  const config = join(dataDir, 'prometheus.yaml');
  await writeFile(config, prometheusConfig(options.scrape));
  return withFreePort(options.port, async (port) => {
    const url = `http://${bracketed(host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host)}:${port}`;
    const running = await startProcess({
      name: 'prometheus',
      command,
      args: [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(dataDir, 'tsdb')}`,
        `--storage.tsdb.retention.time=${KEPT.time}`,
        `--storage.tsdb.retention.size=${KEPT.size}`,
        `--web.listen-address=${bracketed(host)}:${port}`,
        '--query.timeout=5s',
        '--query.max-concurrency=8',
        '--log.level=warn',
      ],
      cwd: dataDir,
      // The heap of a fresh one doubles before it is first swept; this sweeps earlier.
      env: { GOMEMLIMIT: '192MiB', GOGC: '50' },
      logFile: join(dataDir, 'prometheus.log'),
      ...(onSpawn ? { ready: onSpawn } : {}),
      readyUrl: `${url}/-/ready`,
      readyTimeoutMs: 60_000,
      stopTimeoutMs: 10_000,
      log,
    });
    return {
      url,
      logFile: running.logFile,
      get pid() {
        return running.pid;
      },
      get exited() {
        return running.exited;
      },
      kill: (signal) => running.kill(signal),
      restart: () => running.restart(),
      stop: () => running.stop(),
    };
  });
}

const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host);

/**
 * The Prometheus to run: that of PROMETHEUS, else the first one on the PATH or where packages put it.
 * @throws PrometheusMissing
 */
export async function findPrometheus(
  env: Readonly<Record<string, string | undefined>> = process.env,
  knownPlaces: readonly string[] = KNOWN_PLACES,
): Promise<string> {
  const wanted = env['PROMETHEUS'];
  const candidates = wanted
    ? [wanted]
    : [...(env['PATH'] ?? '').split(delimiter), ...knownPlaces].map((folder) => join(folder, 'prometheus'));
  const found = await firstExecutable(candidates);
  if (found === undefined) {
    throw new PrometheusMissing(
      wanted
        ? `PROMETHEUS names ${wanted}, which cannot be run: ${ADVICE}`
        : `there is no Prometheus on this machine: ${ADVICE}`,
    );
  }
  // "prometheus, version 2.42.0+ds (branch: …"; builds differ in whether they tell it on stdout or stderr.
  const told = await promisify(execFile)(found, ['--version'], { timeout: 10_000 }).then(
    ({ stdout, stderr }) => `${stdout}${stderr}`,
    () => '',
  );
  const [, major = 0, minor = 0] = /version (\d+)\.(\d+)/.exec(told)?.map(Number) ?? [];
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    throw new PrometheusMissing(
      `${found} ${major === 0 ? 'does not tell its version' : `is Prometheus ${major}.${minor}`}: ${ADVICE}`,
    );
  }
  return found;
}

/** The first of these paths that can be run. */
export async function firstExecutable(candidates: readonly string[]): Promise<string | undefined> {
  for (const path of candidates) {
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return path;
  }
  return undefined;
}
