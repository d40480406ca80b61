/**
 * What dashboards and rules ask, asked of a live Prometheus after load and faults: the grammar and the catalogue say
 * that a query can have an answer, only this says that it has one.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { METRICS, type MetricName } from '#contracts/metrics.ts';
import { type PanelQuery, panelQueries } from '../../dashboards/expressions.ts';
import { substitute } from '../../dashboards/variables.ts';
import { Keeper } from '../../services/demo/keeper.ts';
import { NAMESPACE, RULES, scraping } from '../../services/demo/scraping.ts';
import { type LocalPrometheus, startPrometheus } from '../../services/local-stack/prometheus.ts';
import { until } from '../../services/local-stack/until.ts';
import { run } from '../support/run.ts';
import { type Stack, startStack } from '../support/stack.ts';

/** A process of ours costs a store this many series at most; the busiest, a page server, has about half of it. */
const MOST_SERIES = 800;

/** Panels and metrics that have nothing to show here although nothing is wrong, each with the reason. */
const NOTHING_HERE: Readonly<Record<string, string>> = {
  'Alerts that fire': 'every alert waits for a minute at least, which this run does not',
  topclients_consistency_kept_divergent_sellers: 'no view is kept for a rollback',
  'Age of what the replica has': 'the database of no page has a replica',
  kafka_server_: 'Kafka is not run by Strimzi',
  kafka_controller_: 'Kafka is not run by Strimzi',
  cnpg_: 'PostgreSQL is not run by CloudNativePG',
};
const nothingHere = ({ panel, expr }: PanelQuery) =>
  Object.keys(NOTHING_HERE).find((name) => name === panel || expr.includes(name));
/** The operator needs the API server of a cluster; its queries are held against the catalogue, and on clusters. */
const asksTheOperator = ({ expr }: PanelQuery) => expr.includes('topclients_operator_');

/** A rule that Prometheus takes and cannot evaluate: many on either side. */
const PLANTED = { record: 'planted', expr: 'up * on (job) up' };

let folder: string;
let stack: Stack;
let prometheus: LocalPrometheus;
let begin: number;
/** What ends unasked is started again, as in the demo and on a cluster. */
let keepers: readonly Keeper[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'observability-'));
  stack = await startStack({
    pages: ['gig', 'user', 'self-view'],
    deliveries: { user: 'hybrid' },
    watch: true,
    env: {
      'top-clients': { TC_CANARY_INTERVAL_MS: 1_000 },
      // Who visits is one client.
      gig: { TC_VERSION_CALLS_PER_MINUTE: 0 },
      'watch-gig': { TC_PAUSE_MS: 500 },
      'watch-user': { TC_PAUSE_MS: 500 },
    },
  });
  keepers = stack.roles.map(({ name }) => new Keeper(name, stack.process(name), () => {}));
  begin = Date.now() / 1_000;
  prometheus = await startPrometheus({
    dataDir: join(folder, 'prometheus'),
    scrape: scraping(stack.roles, await hastyRules()),
  });
  const stopping = new AbortController();
  const load = visitAndEdit(stopping.signal);
  try {
    await breakEachPart();
    await untilAllIsWell();
  } finally {
    stopping.abort();
    await load;
  }
}, 210_000);

afterAll(async () => {
  await prometheus?.stop();
  await Promise.all(keepers.map((keeper) => keeper.stop()));
  await stack?.stop();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

/** The rules as they are shipped, read each second in place of each half minute, and one that is broken. */
async function hastyRules(): Promise<string> {
  const { groups } = parse(await readFile(RULES, 'utf8')) as { groups: { interval: string }[] };
  const hasty = groups.map((group) => ({ ...group, interval: '1s' }));
  const file = join(folder, 'rules.yaml');
  await writeFile(
    file,
    stringify({ groups: [...hasty, { name: 'broken', interval: '1s', rules: [PLANTED] }] }),
  );
  return file;
}

/** Visitors of all pages, some of whom know of a newer version than there is, a seller who edits, and one who is erased. */
async function visitAndEdit(stopped: AbortSignal): Promise<void> {
  const token = await stack.issuer.token(1);
  const erasing = await stack.issuer.token(3, { scope: 'top-clients:erase' });
  const request = async (url: string, init: RequestInit = {}) => {
    const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(3_000) });
    await answer.body?.cancel();
  };
  const { gig, user, source } = stack.urls;
  for (let turn = 0; !stopped.aborted; turn++) {
    // What is down refuses; that is what the metrics are to tell.
    await Promise.allSettled([
      request(`${gig}/gigs/1`),
      request(`${user}/users/1`),
      request(`${gig}/gigs/1?minVersion=1000000`),
      request(`${stack.urls['self-view']}/sellers/1`, { headers: { authorization: `Bearer ${token}` } }),
      request(`${source}/v1/sellers/1/top-clients`),
      turn % 4 === 0
        ? request(`${source}/v1/sellers/1/clients`, {
            method: 'POST',
            headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
            body: JSON.stringify({ name: `Brand ${turn}` }),
          })
        : null,
      turn % 20 === 0
        ? request(`${source}/v1/sellers/3`, {
            method: 'DELETE',
            headers: { authorization: `Bearer ${erasing}` },
          })
        : null,
    ]);
    await delay(50);
  }
}

/** Long enough for two scrapes to see it. */
const AWAY_MS = 5_000;
async function breakEachPart(): Promise<void> {
  for (const name of ['outbox-relay', 'top-clients']) {
    const keeper = keepers.find((one) => one.name === name)!;
    keeper.holdDown();
    await delay(AWAY_MS);
    keeper.bringBack();
  }
  // It hangs: what a killed one does to each role is measured elsewhere, and takes longer to heal.
  stack.kafka.kill('SIGSTOP');
  await delay(AWAY_MS);
  stack.kafka.kill('SIGCONT');
}

/** Every process is scraped again, and the canary's changes made from now on arrive on each page. */
async function untilAllIsWell(): Promise<void> {
  const wellAt = Date.now() / 1_000;
  await until('all targets answer', async () => (await instant('up == 0')).length === 0, 30_000, 200);
  let seen: Result = [];
  await until(
    'the canary arrives again on both pages, and was timed by two scrapes',
    async () => {
      seen = await instant('topclients_canary_seen_timestamp_seconds');
      const late = await instant(`topclients_canary_seen_timestamp_seconds > ${wellAt + 4}`);
      return late.length === 2;
    },
    60_000,
    200,
  ).catch((cause: unknown) => {
    throw new Error(`since ${wellAt} the canary was seen at ${JSON.stringify(seen)}`, { cause });
  });
  await until(
    'both views were compared again, and two scrapes saw it',
    async () => {
      const compared = await instant(`topclients_consistency_compared_timestamp_seconds > ${wellAt + 4}`);
      return compared.length === 2;
    },
    60_000,
    200,
  );
}

async function ask<T>(what: string, parameters: Readonly<Record<string, string>> = {}): Promise<T> {
  const url = `${prometheus.url}/api/v1/${what}?${new URLSearchParams(parameters)}`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  const body = (await answer.json()) as { status: string; error?: string; data: T };
  if (body.status !== 'success') throw new Error(body.error);
  return body.data;
}

type Result = readonly unknown[];
const instant = async (query: string): Promise<Result> =>
  (await ask<{ result: Result }>('query', { query })).result;

/** Which queries had no value at any moment of the run, each with why if Prometheus said so. */
async function withoutData(queries: readonly PanelQuery[]): Promise<string[]> {
  const values = { namespace: NAMESPACE, page: '.+', interval: '15s', range: '5m' };
  const verdicts = await Promise.all(
    queries.map(async ({ board, panel, expr }) => {
      const where = `${board}, ${panel}: ${expr}`;
      try {
        const { result } = await ask<{ result: { values: [number, string][] }[] }>('query_range', {
          query: substitute(expr, values),
          start: String(begin),
          end: String(Date.now() / 1_000),
          step: '2',
        });
        return result.some(({ values }) => values.some(([, value]) => value !== 'NaN')) ? null : where;
      } catch (err) {
        return `${where}: ${(err as Error).message}`;
      }
    }),
  );
  return verdicts.filter((verdict) => verdict !== null);
}

describe('panels', () => {
  const isAsked = (query: PanelQuery) => !asksTheOperator(query) && !nothingHere(query);
  const asked = () => panelQueries().filter(isAsked);

  test('every query has data after load and faults', async () => {
    expect(asked().length).toBeGreaterThan(50);
    expect(await withoutData(asked())).toEqual([]);
  }, 30_000);

  test('what is left out is what the reasons name', () => {
    const left = panelQueries().filter((query) => !isAsked(query));
    const boards = new Set(left.filter(asksTheOperator).map(({ board }) => board));
    expect([...boards]).toEqual(['operator']);
    const named = new Set(left.filter((query) => !asksTheOperator(query)).map(nothingHere));
    expect(named).toEqual(new Set(Object.keys(NOTHING_HERE)));
  });

  test.each([
    ['of a misspelt metric', 'sum(rate(topclients_page_renderings_total[15s]))'],
    ['of a label that never has that value', 'topclients_page_breaker_open{page="basket"}'],
    ['that is no PromQL', 'sum by (page'],
  ])('a query %s is noticed', async (_what, expr) => {
    const planted: PanelQuery = { board: 'overview', panel: 'planted', expr, legend: '' };
    expect(await withoutData([planted])).toHaveLength(1);
  });
});

test('every rule was evaluated without an error, except the one that was planted to fail', async () => {
  interface Rule {
    readonly name: string;
    readonly health: 'ok' | 'err' | 'unknown';
    readonly lastError?: string;
  }
  const rules = async () =>
    (await ask<{ groups: { rules: Rule[] }[] }>('rules')).groups.flatMap(({ rules }) => rules);
  await until(
    'every rule was evaluated',
    async () => (await rules()).every(({ health }) => health !== 'unknown'),
    15_000,
    200,
  );
  const all = await rules();
  expect(all.length).toBeGreaterThan(20);
  const failing = all.filter(({ health, lastError }) => health !== 'ok' || lastError);
  expect(failing.map(({ name, lastError }) => `${name}: ${lastError}`)).toEqual([
    expect.stringMatching(/^planted: .*many-to-many/),
  ]);
});

/** Metrics that stay 0 through load and faults although nothing is wrong, each with the reason. */
const STAYS_ZERO: Readonly<Record<string, string>> = {
  topclients_kafka_undecodable_batches_total: 'every batch can be read',
  topclients_rate_limited_total: 'nobody asks too often',
  topclients_http_connections_ended_total: 'no client is slow',
  topclients_http_requests_refused_total: 'no client sends too many at once',
  topclients_http_unsent_bytes: 'every client takes its answers',
  topclients_page_min_version_refused_total: 'only the gig page is asked for a newer version than there is',
  topclients_outbox_missed_rows_total: 'no row is ever missed',
  topclients_relay_errors_total: 'Kafka may hang for less than the relay waits',
  topclients_relay_send_errors_total: 'Kafka may hang for less than the relay waits',
  topclients_relay_blocked: 'no seller is held',
  topclients_relay_held_sellers: 'no seller is held',
  topclients_partition_layout_moved_from: 'the topic does not grow',
  topclients_republish_sellers: 'nothing is published again',
  topclients_republish_done_sellers: 'nothing is published again',
  topclients_republish_progress_timestamp_seconds: 'nothing is published again',
  topclients_projector_redriven_total: 'nothing is parked',
  topclients_projector_parked_sellers: 'nothing is parked',
  topclients_projector_notification_outages_total: 'the queue of notifications is never full',
  topclients_projector_lag_records: 'changes are applied between two looks',
  topclients_projector_lag_seconds: 'changes are applied between two looks',
  topclients_projector_lag_unstable_records: 'no transaction is open on the topic',
  topclients_projector_stalled_total: 'partitions move',
  topclients_page_staleness_seconds_count: 'only the gig page is asked for a newer version than there is',
  topclients_page_replica_current_timestamp_seconds: 'pages have no replica here',
  topclients_page_notify_queue_used_ratio: 'the queue of notifications is read at once',
  topclients_page_breaker_open: 'the breaker may close again between two scrapes',
  topclients_page_shadow_reads_total: 'no page of somebody else is moved here',
  topclients_page_source_requests_resent_total: 'no read of a page need be on its way when the source dies',
  'topclients_page_view_version of self-view': 'it has no view',
  topclients_self_view_violations_total: 'the source never answers with an old list',
  topclients_consistency_divergent_sellers: 'the views are right',
  topclients_consistency_kept_divergent_sellers: 'no view is kept for a rollback',
  topclients_consistency_repairs_total: 'the views are right',
  topclients_consistency_unhealed_sellers: 'the views are right',
  topclients_consistency_errors_total: 'a comparison may fall between the faults',
  topclients_projector_rebalances_total: 'a projector that keeps its partitions counts none',
};

/** What never was anything but 0 while its role worked, `metric` or `metric of page`; a histogram is its count. */
async function alwaysZero(names: readonly string[]): Promise<string[]> {
  const range = Math.ceil(Date.now() / 1_000 - begin);
  const verdicts = await Promise.all(
    names.map(async (name) => {
      const found = (await instant(`max by (page) (max_over_time(${name}[${range}s]))`)) as {
        metric: { page?: string };
        value: [number, string];
      }[];
      if (found.length === 0) return [name];
      return found
        .filter(({ value }) => Number(value[1]) === 0)
        .map(({ metric }) => (metric.page ? `${name} of ${metric.page}` : name));
    }),
  );
  return verdicts.flat();
}

describe('what is counted', () => {
  const counted = (Object.keys(METRICS) as MetricName[])
    .filter((name) => METRICS[name].owner !== 'operator')
    .map((name) => (METRICS[name].type === 'histogram' ? `${name}_count` : name));

  test('every metric moves while what it counts happens, on each page that has it', async () => {
    expect(counted.length).toBeGreaterThan(50);
    const zero = await alwaysZero(counted);
    expect(zero.filter((one) => !(one in STAYS_ZERO) && !(one.split(' ')[0]! in STAYS_ZERO))).toEqual([]);
  }, 30_000);

  test('reasons are given for metrics there are', () => {
    expect(Object.keys(STAYS_ZERO).filter((one) => !counted.includes(one.split(' ')[0]!))).toEqual([]);
  });

  test('one that nobody counts is noticed', async () => {
    expect(await alwaysZero(['topclients_forgotten_total', 'topclients_relay_held_sellers', 'up'])).toEqual([
      'topclients_forgotten_total',
      'topclients_relay_held_sellers',
    ]);
  });
});

describe('what each role exports', () => {
  /** @returns what promtool has against it, a line each, about names of ours */
  async function lint(metrics: string): Promise<string[]> {
    const { code, stdout, stderr } = await run('promtool', ['check', 'metrics'], { input: metrics });
    const said = `${stdout}${stderr}`;
    // 3: it could read all of it, and some names are not as it wants them; those of prom-client are not ours to choose.
    if (code !== 0 && code !== 3) return [said.trim() || `promtool ended with ${code}`];
    return said.split('\n').filter((line) => line.startsWith('topclients'));
  }
  const metricsOf = async ({ healthPort }: Stack['roles'][number]) => {
    const answer = await fetch(`http://127.0.0.1:${healthPort}/metrics`, {
      signal: AbortSignal.timeout(5_000),
    });
    return answer.text();
  };

  test('promtool has nothing against it', async () => {
    const complaints = await Promise.all(
      stack.roles.map(async (role) =>
        (await lint(await metricsOf(role))).map((line) => `${role.name}: ${line}`),
      ),
    );
    expect(complaints.flat()).toEqual([]);
  }, 30_000);

  test('promtool would have something against a name that misleads', async () => {
    expect(
      await lint('# HELP topclients_x_total x\n# TYPE topclients_x_total gauge\ntopclients_x_total 1\n'),
    ).toEqual([expect.stringContaining('topclients_x_total')]);
    expect(await lint('topclients_x{ 1\n')).toHaveLength(1);
  });

  test(`no process has more than ${MOST_SERIES} series`, async () => {
    const counted = await Promise.all(
      stack.roles.map(async (role) => {
        const lines = (await metricsOf(role))
          .split('\n')
          .filter((line) => line !== '' && !line.startsWith('#'));
        return { name: role.name, series: lines.length };
      }),
    );
    expect(counted.filter(({ series }) => series > MOST_SERIES)).toEqual([]);
    expect(counted.every(({ series }) => series > 20)).toBe(true);
  });
});
