/** Prometheus as a process on this machine: only the binary, never the service that a package may install. */
import { execFile } from 'node:child_process';
import { access, constants, mkdir, realpath, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { withFreePort } from './ports.ts';
import { type ServerProcess, startProcess, withMembers } from './process.ts';

/** A target that is scraped at `/metrics`. */
export type ScrapeTarget = {
  /** `host:port` */
  readonly address: string;
  /** Added to each of its series. */
  readonly labels: Readonly<Record<string, string>>;
};

export type ScrapeSettings = {
  /** The label `job` of every series. */
  readonly job: string;
  readonly targets: readonly ScrapeTarget[];
  /** Between two scrapes of a target, in ms; also the timeout of a scrape. */
  readonly everyMs: number;
  /** Absolute paths of rule files. */
  readonly ruleFiles?: readonly string[];
};

export type PrometheusOptions = {
  /** Created when absent; holds `prometheus.yaml`, `tsdb/`, `prometheus.log`. An earlier start's data is used again. */
  readonly dataDir: string;
  readonly scrape: ScrapeSettings;
  /** The address it listens on, default 127.0.0.1. Everybody who reaches it may read. */
  readonly host?: string;
  /** Absent or 0: a free one. */
  readonly port?: number;
  /** Called with the pid of every spawned process, before it is ready. */
  readonly onSpawn?: (pid: number) => Promise<void>;
  /** Called with messages about what happens. */
  readonly log?: (message: string) => void;
};

export type LocalPrometheus = ServerProcess & {
  /** The address for this machine, without a slash at its end. */
  readonly url: string;
  /** From now on it scrapes this; what it has stays. */
  scrape(settings: ScrapeSettings): Promise<void>;
};

/** Prometheus is not installed on this machine, or is too old; the message says how to get it. */
export class PrometheusMissing extends Error {
  override readonly name = 'PrometheusMissing';
}

/** Older versions lack what the rules use: `keep_firing_for`, and the lint of promtool. */
const OLDEST = [2, 42] as const;
const ADVICE = `install ${OLDEST.join('.')} or newer (apt-get install prometheus, brew install prometheus), or set PROMETHEUS to its path`;
const KNOWN_PLACES = ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin', '/opt/prometheus'];
/** Enough for a person at their own machine, and only a small part of its disk. */
const KEPT = { time: '6h', size: '256MB' } as const;

/** The configuration file as JSON, which is a part of the YAML that Prometheus reads. */
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
 * Starts Prometheus and resolves when it answers. A target that was killed and comes back is scraped again by itself.
 * @throws PrometheusMissing when it is not installed on this machine
 * @throws PortTaken when the wanted port is in use
 * @throws StartFailed with Prometheus' own message, which names a fault in a rule file, for example
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
      // The heap of a new process doubles before its first collection; this collects earlier.
      env: { GOMEMLIMIT: '192MiB', GOGC: '50' },
      logFile: join(dataDir, 'prometheus.log'),
      ...(onSpawn ? { ready: onSpawn } : {}),
      readyUrl: `${url}/-/ready`,
      readyTimeoutMs: 60_000,
      stopTimeoutMs: 10_000,
      log,
    });
    return withMembers(running, {
      url,
      async scrape(settings: ScrapeSettings) {
        await writeFile(config, prometheusConfig(settings));
        running.kill('SIGHUP');
      },
    });
  });
}

const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host);

/**
 * The Prometheus to run: that of PROMETHEUS, else the first one on the PATH or in the packages' folders.
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
  // "prometheus, version 2.42.0+ds (branch: …"; some builds write it to stdout, others to stderr.
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

/** The first of these paths that is executable. */
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
