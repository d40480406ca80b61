/**
 * Services that scale themselves by their use of CPU, out and back under load. `make under-load
 * ARGS=autoscaling`, with metrics-server in the cluster (`tests/kind/cluster/cluster metrics`).
 */
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { run } from '../../support/run.ts';
import { Cluster, until } from '../cluster.ts';
import { keepEvidence } from '../evidence.ts';
import { Visitor } from '../visitor.ts';
import { install, inWords, type Outcome, under } from './load.ts';

jest.setTimeout(900_000);

const IMAGE = process.env['IMAGE'] ?? 'top-clients:dev';
const PAGE = 'http://top-clients-page-gig:8080/gigs/1';
const URLS = [PAGE, 'http://top-clients:8080/v1/sellers/1/top-clients'];
const DEPLOYMENTS = { source: 'top-clients', page: 'top-clients-page-gig' } as const;
const MOST = 3;
/** More work than two pods do by their target, and less than a node of two cores can. */
const BUSY_PER_SECOND = 80;

const cluster = new Cluster(process.env['E2E_NAMESPACE'] ?? 'top-clients-autoscaling');
const visitor = new Visitor(cluster);
const LOAD = {
  ...{ cluster, visitor, beforeMs: 0, afterMs: 0 },
  ...{ sellers: [101, 102, 103], writesPerSecond: 1 },
  ...{ urls: URLS, visitsPerSecond: 2 },
};

beforeAll(async () => {
  const { code, stderr } = await run('kubectl', ['top', 'nodes']);
  if (code !== 0) throw new Error(`the cluster has no metrics-server (cluster metrics brings it): ${stderr}`);
  await cluster.kubectl(['create', 'namespace', cluster.namespace]);
  const autoscaled = (path: string) => [
    `${path}.autoscaling.mode=cpu`,
    `${path}.autoscaling.minReplicas=1`,
    `${path}.autoscaling.maxReplicas=${MOST}`,
    `${path}.autoscaling.scaleDownStabilizationSeconds=15`,
    // A pod more for each 40 m: one that does nothing takes up to 10, and one does all that is left after the rush.
    `${path}.autoscaling.targetCpuPercent=100`,
    `${path}.resources.requests.cpu=40m`,
  ];
  await install(
    cluster,
    IMAGE,
    [
      'topClients.selfView.enabled=false',
      ...autoscaled('topClients.source'),
      // The page asks the source at each visit, so that both have work.
      'pages.gig.delivery=synchronous',
      ...autoscaled('pages.gig.server'),
    ],
    ['gig'],
  );
  await visitor.arrive(IMAGE);
});

let failed = true;
afterAll(async () => {
  if (failed) await keepEvidence(cluster, 'autoscaling').catch(() => {});
  await run('helm', ['--namespace', cluster.namespace, 'uninstall', 'top-clients'], { timeoutMs: 120_000 });
  await run('kubectl', ['delete', 'namespace', cluster.namespace, '--timeout=180s'], { timeoutMs: 200_000 });
});

const readyPods = async (deployment: string): Promise<number> =>
  (await cluster.get('deployments', deployment)).status.readyReplicas ?? 0;

/** Waits until both have as many pods, all of them ready. @returns after how many seconds, by service */
async function scaledTo(pods: number): Promise<string> {
  const startedAt = Date.now();
  const took = await Promise.all(
    Object.entries(DEPLOYMENTS).map(async ([service, deployment]) => {
      await until(
        `the ${service} has ${pods} pods`,
        async () => (await readyPods(deployment)) === pods,
        300_000,
        1_000,
      );
      return `${service} ${Math.round((Date.now() - startedAt) / 1_000)} s`;
    }),
  );
  return took.join(', ');
}

/** What an operator does that has just started and has seen nothing of what autoscalers did. */
async function operatorStartsAnew(): Promise<void> {
  const operators = ['--selector', 'app.kubernetes.io/component=operator'];
  await cluster.kubectl(['delete', 'pods', ...operators], { timeoutMs: 120_000 });
  const missing = ['networkpolicy', 'top-clients-issuer'];
  await cluster.kubectl(['delete', ...missing]);
  await until('it has looked after everything', () => cluster.kubectl(['get', ...missing]), 120_000);
}

test('under load source and page get as many pods as they may, whoever looks after them, and one again after it, and no request fails', async () => {
  await scaledTo(1);
  await until(
    'both autoscalers read what their pods use',
    async () =>
      (await cluster.condition('topclients/top-clients', 'AutoscalingReady'))?.reason === 'Autoscaled' &&
      (await cluster.condition('pageviews/gig', 'ServersAutoscalingReady'))?.reason === 'Autoscaled',
    180_000,
  );
  let busy: Outcome['visits'] = {};
  const { written, visits: quiet } = await under(LOAD, async () => {
    const leaveBusy = visitor.visit(URLS, BUSY_PER_SECOND);
    const out = await scaledTo(MOST);
    await operatorStartsAnew();
    for (const deployment of Object.values(DEPLOYMENTS))
      expect((await cluster.get('deployments', deployment)).spec.replicas).toBe(MOST);
    busy = await leaveBusy();
    const back = await scaledTo(1);
    console.log(`1 → ${MOST} pods: ${out}; ${MOST} → 1: ${back}\n${inWords(busy)}`);
  });
  expect(Object.keys(busy)).toEqual(URLS);
  for (const visits of [busy, quiet])
    for (const [url, { failures }] of Object.entries(visits))
      expect({ url, failures }).toEqual({ url, failures: [] });
  for (const visits of [busy, quiet]) expect(Object.keys(visits[PAGE]!.outcomes)).toEqual(['full']);
  const { wrong, stale, repeated } = written;
  expect({ wrong, stale, repeated }).toEqual({ wrong: [], stale: [], repeated: [] });
  failed = false;
});
