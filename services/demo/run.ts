import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { userName } from '#contracts/database-users.ts';
import { openIssuer } from '../issuer/issuer.ts';
import { GrafanaMissing } from '../local-stack/grafana.ts';
import { PrometheusMissing } from '../local-stack/prometheus.ts';
import { describeSeed, type System } from '../local-stack/system.ts';
import { together } from '../local-stack/together.ts';
import { type Ports, portsFrom, publicUrl, serverOf } from './addresses.ts';
import type { Report } from './background.ts';
import { openConsole, seconds, withCommas } from './console.ts';
import { openDataFolder } from './data-folder.ts';
import { openDelayProxy } from './delay-proxy.ts';
import { allExamples, startExamples } from './examples.ts';
import type { MetricsState } from './lab/prometheus-api.ts';
import { openLab } from './lab/server.ts';
import type { DemoOptions } from './options.ts';
import { preflight } from './preflight.ts';
import { addressesIn, describeDemo, OWN_VIEWS, type Surroundings } from './roles.ts';
import { Supervisor } from './supervisor.ts';
import { startTraffic } from './traffic.ts';
import { untilViewsEqualSource } from './views.ts';

/**
 * Runs a demo until a signal: starts everything, seeds, checks that the views equal the source, and stops everything in
 * reverse order.
 * @param compileCache folder where Node keeps compiled code
 * @throws UsageError when it cannot start on this machine or with this folder; nothing was started then
 */
export async function runDemo(options: DemoOptions, compileCache: string): Promise<void> {
  const begin = performance.now();
  const report = process.send?.bind(process) as ((report: Report) => void) | undefined;
  const { say, progress } = openConsole(report && ((line) => process.connected && report({ line })));
  const stopping = new AbortController();
  const ports = portsFrom(options.portBase);

  const folder = await openDataFolder(options.data, options.sellers, say);
  try {
    await preflight(ports, folder.path);
    await folder.mark();
  } catch (err) {
    await folder.close();
    throw err;
  }
  mkdirSync(join(folder.path, 'logs'), { recursive: true });
  const eventLog = join(folder.path, 'logs', 'supervisor.log');
  const log = (line: string) => appendFileSync(eventLog, `${new Date().toISOString()} ${line}\n`);
  const supervisor = new Supervisor(folder, compileCache, log, stopping.signal);

  const stop = async (code: number) => {
    stopping.abort();
    const since = performance.now();
    await supervisor.stop();
    await folder.close();
    if (code === 0) say(`All stopped (${seconds(since)}). The data stays in ${folder.path}`);
    process.exit(code);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (stopping.signal.aborted) return void endAtOnce(supervisor, folder.living);
      say('Stopping …');
      void stop(0);
    });
  }

  // No fault here may leave twenty processes without a parent.
  process.on('uncaughtException', (err) => {
    log(`the demo itself failed: ${err.stack}`);
    if (!stopping.signal.aborted) void stop(1);
  });

  try {
    say(
      folder.reused
        ? `Using the data in ${folder.path}`
        : `Making a demo with ${withCommas(folder.sellers)} sellers in ${folder.path}`,
    );
    const metrics = await start();
    printAddresses(say, ports, options, seconds(begin), metrics);
    report?.({ ready: true });
  } catch (err) {
    if (stopping.signal.aborted) return;
    say('');
    say(`The demo could not start: ${(err as Error).message}`);
    say(`Logs are in ${join(folder.path, 'logs')}`);
    await stop(1);
  }

  async function start(): Promise<MetricsState> {
    const { signal } = stopping;
    const step = async <T>(what: string, work: Promise<T>): Promise<T> => {
      const since = performance.now();
      progress(`  … ${what}`);
      const result = await work;
      signal.throwIfAborted();
      say(`  ✓ ${what} (${seconds(since)})`);
      return result;
    };
    const [ofSource, ofPages, kafka] = await step(
      'PostgreSQL of the source and of the pages, Kafka',
      together([
        supervisor.postgres('postgres-source', ports['postgres-source']),
        supervisor.postgres('postgres-pages', ports['postgres-pages']),
        supervisor.kafka(ports.kafka, ports['kafka-controller']),
      ] as const),
    );
    const around: Surroundings = {
      ports,
      host: options.host,
      brokers: kafka.bootstrap,
      otlp: options.otlp,
      callerKey: randomBytes(32).toString('base64url'),
      database: (name, user) => {
        const server = serverOf(name) === 'postgres-source' ? ofSource : ofPages;
        return server.url(name, user && userName(user, name));
      },
    };
    const system = describeDemo(around);

    supervisor.nextGroup();
    const examples = allExamples(
      options.examples ? { state: 'preparing' } : { state: 'absent', why: '--no-examples left it out.' },
    );
    let metrics: MetricsState = { state: 'starting' };
    // In parallel with everything else: nothing waits for it, and the demo works without it.
    const metricsUp = startMetrics(system).then((state) => {
      metrics = state;
      return state;
    });
    const issuer = await openIssuer(join(folder.path, 'issuer-key.json'), publicUrl(ports.lab));
    const proxy = await openDelayProxy(ports['delay-proxy'], ports['top-clients']);
    supervisor.push(proxy.close);
    const lab = await openLab({
      host: options.host,
      ports,
      sellers: folder.sellers,
      issuer,
      keepers: supervisor.keepers,
      proxy,
      metrics: () => metrics,
      examples,
    });
    supervisor.push(lab.close);

    supervisor.nextGroup();
    await step(
      'schemas and topic',
      // Two migrations of one database wait for each other; the others are short.
      together(system.migrations.map((one) => supervisor.task(one))),
    );
    const [pipeline, pages, watchers] = system.roles;
    supervisor.nextGroup();
    const seeding = step(
      folder.reused ? 'sellers are there' : 'sellers, gigs and clients',
      supervisor.task(describeSeed(folder.sellers, addressesIn(around)), (line) => {
        if (line['msg'] === 'seeding') {
          progress(`  … ${withCommas(line['done'] as number)} of ${withCommas(folder.sellers)} sellers`);
        }
      }),
    );
    const pipelineUp = step('source of truth, relay, projectors', supervisor.roles(pipeline!));
    supervisor.nextGroup();
    const pagesUp = step('pages', supervisor.roles(pages!));
    await together([seeding, pipelineUp, pagesUp]);
    const sum = await step(
      'views equal the source',
      untilViewsEqualSource(
        around.database,
        OWN_VIEWS,
        (share) => progress(`  … views have ${Math.floor(share * 100)} % of the events`),
        signal,
      ),
    );
    say(
      `    ${withCommas(sum.sellers)} sellers with clients, ${withCommas(sum.versions)} events, in four views`,
    );
    const collected = await metricsUp;
    if (collected.state === 'absent') say(`  ! no metrics: ${collected.why}`);
    supervisor.nextGroup();
    // Nobody waits for the watchers. They start last, because a view that is still being filled has nothing to compare.
    void supervisor.roles(watchers!).catch((err: unknown) => {
      if (!stopping.signal.aborted) log(`a view is not watched: ${err}`);
    });
    lab.measure(around.database('source'));
    if (options.traffic) supervisor.push(startTraffic(ports, folder.sellers, issuer));
    if (options.examples) {
      supervisor.nextGroup();
      const starting = startExamples(around, ofPages, supervisor, examples, { say, log, signal });
      supervisor.push(() => starting);
    }
    return collected;
  }

  /** Starts Prometheus, and Grafana when wanted; says what is not available, and never fails. */
  async function startMetrics(system: System): Promise<MetricsState> {
    const { host } = options;
    const absent = (err: unknown): MetricsState => {
      const known = err instanceof PrometheusMissing;
      if (!known) log(`Prometheus could not be started: ${err instanceof Error ? err.stack : err}`);
      return { state: 'absent', why: known ? err.message : `${firstLine(err)}; ${eventLog} tells more` };
    };
    let url: string;
    try {
      ({ url } = await supervisor.prometheus(host, ports.prometheus, system.roles.flat()));
    } catch (err) {
      return absent(err);
    }
    if (options.grafana) {
      // Its first start takes longer than the demo's, so nothing waits for it.
      void supervisor.grafana(host, ports.grafana, url).then(
        () => say(`  ✓ Grafana: ${publicUrl(ports.grafana)}`),
        (err: unknown) => {
          if (stopping.signal.aborted) return;
          say(`  ! no Grafana: ${err instanceof GrafanaMissing ? err.message : firstLine(err)}`);
        },
      );
    }
    return { state: 'running', url };
  }
}

const firstLine = (err: unknown): string => String(err instanceof Error ? err.message : err).split('\n')[0]!;

/** Ends everything at once, at the second Ctrl-C. */
async function endAtOnce(supervisor: Supervisor, living: () => Promise<number[]>): Promise<void> {
  const pids = new Set([...[...supervisor.keepers.values()].map(({ pid }) => pid), ...(await living())]);
  for (const pid of pids) {
    for (const target of [-pid, pid]) {
      try {
        process.kill(target, 'SIGKILL');
      } catch {
        // The process has ended already.
      }
    }
  }
  process.exit(1);
}

function printAddresses(
  say: (line: string) => void,
  ports: Ports,
  options: DemoOptions,
  took: string,
  metrics: MetricsState,
): void {
  const url = (port: number, path = '') => `${publicUrl(port)}${path}`;
  for (const line of [
    '',
    `Top Clients is ready (${took})${options.traffic ? ', with some visitors' : ''}.`,
    '',
    `  Lab and index    ${url(ports.lab, '/')}`,
    `  Metrics          ${url(ports.lab, '/metrics-lab')}`,
    `  Gig              ${url(ports.gig, '/gigs/1')}`,
    `  User             ${url(ports.user, '/users/1')}`,
    `  Search           ${url(ports.search, '/search?q=logo')}`,
    `  Self-view        ${url(ports['self-view'], '/sellers/1')}`,
    `  Source of truth  ${url(ports['top-clients'], '/v1/openapi.json')}`,
    `  A token          curl '${url(ports.lab, '/token?seller=1')}'`,
    `  PostgreSQL       psql -h 127.0.0.1 -p ${ports['postgres-pages']} -U postgres gig`,
    `    of the source  psql -h 127.0.0.1 -p ${ports['postgres-source']} -U postgres source`,
    `  Kafka            127.0.0.1:${ports.kafka}`,
    ...(metrics.state === 'running' ? [`  Prometheus       ${url(ports.prometheus)}`] : []),
    '',
    '  Try: open the lab, press "Write now", then "Kill it"; edit the list in the self-view and reload the gig.',
    `  Logs: ${join(options.data, 'logs')}. ${process.send ? '' : 'Ctrl-C stops everything; the data stays.'}`,
  ]) {
    say(line);
  }
}
