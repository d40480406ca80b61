/** Grafana as a process on this machine, set up by files: everybody may look, without signing in. */
import { access, constants, mkdir, realpath, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { withFreePort } from './ports.ts';
import { type ServerProcess, startProcess, withMembers } from './process.ts';
import { firstExecutable } from './prometheus.ts';

export type GrafanaOptions = {
  /** Made when absent; holds `provisioning/`, `data/`, `grafana.log`. */
  readonly dataDir: string;
  /** Where it listens, default 127.0.0.1. */
  readonly host?: string;
  /** Absent or 0: a free one. */
  readonly port?: number;
  /** The address of Prometheus for this machine. */
  readonly prometheusUrl: string;
  /** How often Prometheus scrapes, in ms: Grafana computes rates over at least four of these. */
  readonly scrapedEveryMs: number;
  /** Absolute path of a folder of dashboards, as JSON. */
  readonly dashboards: string;
  /** The dashboard that the start page shows: a file in that folder. */
  readonly home: string;
  readonly onSpawn?: (pid: number) => Promise<void>;
  readonly log?: (message: string) => void;
};

export type LocalGrafana = ServerProcess & { readonly url: string };

/** Grafana is not installed on this machine; the message says how to get it. */
export class GrafanaMissing extends Error {
  override readonly name = 'GrafanaMissing';
}

/**
 * The files that Grafana reads at its start, by path below its provisioning folder. They are JSON, a part of YAML.
 * @param options as for {@link startGrafana}
 */
export function provisioning({
  prometheusUrl,
  scrapedEveryMs,
  dashboards,
}: Pick<GrafanaOptions, 'prometheusUrl' | 'scrapedEveryMs' | 'dashboards'>): Readonly<
  Record<string, string>
> {
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  return {
    'datasources/prometheus.yaml': json({
      apiVersion: 1,
      datasources: [
        {
          name: 'Prometheus',
          uid: 'prometheus',
          type: 'prometheus',
          access: 'proxy',
          url: prometheusUrl,
          // Dashboards begin with this data source.
          isDefault: true,
          editable: false,
          jsonData: { timeInterval: `${scrapedEveryMs}ms`, httpMethod: 'POST' },
        },
      ],
    }),
    'dashboards/top-clients.yaml': json({
      apiVersion: 1,
      providers: [
        {
          name: 'top-clients',
          type: 'file',
          folder: 'Top Clients',
          disableDeletion: true,
          allowUiUpdates: false,
          updateIntervalSeconds: 10,
          options: { path: dashboards },
        },
      ],
    }),
  };
}

/**
 * Starts Grafana and resolves when it answers.
 * @throws GrafanaMissing when it is not installed on this machine
 * @throws PortTaken when the wanted port is in use
 * @throws StartFailed with Grafana's own message
 */
export async function startGrafana(options: GrafanaOptions): Promise<LocalGrafana> {
  const { host = '127.0.0.1', onSpawn, log = () => {} } = options;
  const { command, home } = await findGrafana();
  await mkdir(options.dataDir, { recursive: true });
  const dataDir = await realpath(options.dataDir);
  for (const [path, text] of Object.entries(provisioning(options))) {
    const file = join(dataDir, 'provisioning', path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  return withFreePort(options.port, async (port) => {
    const url = `http://127.0.0.1:${port}`;
    const running = await startProcess({
      name: 'grafana',
      command,
      args: ['--homepath', home],
      cwd: dataDir,
      env: {
        GF_SERVER_HTTP_ADDR: host,
        GF_SERVER_HTTP_PORT: String(port),
        GF_PATHS_DATA: join(dataDir, 'data'),
        GF_PATHS_LOGS: join(dataDir, 'logs'),
        GF_PATHS_PLUGINS: join(dataDir, 'plugins'),
        GF_PATHS_PROVISIONING: join(dataDir, 'provisioning'),
        GF_AUTH_ANONYMOUS_ENABLED: 'true',
        GF_AUTH_ANONYMOUS_ORG_ROLE: 'Viewer',
        GF_AUTH_DISABLE_LOGIN_FORM: 'true',
        GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: join(options.dashboards, options.home),
        // Otherwise it would ask its maker for updates and send usage statistics.
        GF_ANALYTICS_REPORTING_ENABLED: 'false',
        GF_ANALYTICS_CHECK_FOR_UPDATES: 'false',
        GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES: 'false',
      },
      logFile: join(dataDir, 'grafana.log'),
      ...(onSpawn ? { ready: onSpawn } : {}),
      readyUrl: `${url}/api/health`,
      // At its first start it creates its own database.
      readyTimeoutMs: 90_000,
      log,
    });
    return withMembers(running, { url });
  });
}

/**
 * Finds the program, and its home folder, which it does not find by itself.
 * @throws GrafanaMissing
 */
export async function findGrafana(
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<{ command: string; home: string }> {
  const folders = (env['PATH'] ?? '').split(delimiter);
  const command = await firstExecutable(folders.map((folder) => join(folder, 'grafana-server')));
  if (command === undefined) {
    throw new GrafanaMissing(
      'grafana-server is not on the PATH: install Grafana (grafana.com/grafana/download). Or load the files of dashboards/generated by hand into one that you have (Dashboards, New, Import), with a Prometheus data source',
    );
  }
  const homes = [
    env['GRAFANA_HOME'],
    '/usr/share/grafana',
    join(dirname(command), '..', 'share', 'grafana'),
    join(dirname(command), '..'),
  ].filter((home) => home !== undefined);
  for (const home of homes) {
    if (await isReadable(join(home, 'conf', 'defaults.ini'))) return { command, home };
  }
  throw new GrafanaMissing(
    `${command} is there, and the folder with its conf/defaults.ini is not where packages put it: set GRAFANA_HOME to it`,
  );
}

const isReadable = (path: string): Promise<boolean> =>
  access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
