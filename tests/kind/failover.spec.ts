/**
 * Primaries of PostgreSQL that die under load, played by a double of CloudNativePG with real servers. Not part of `make e2e`:
 * `npm run jest -- --selectProjects kind --testPathPatterns kind/failover`, with KUBECONFIG, IMAGE (`repository:tag`) and the
 * definitions of CloudNativePG in the cluster. VALUES may name further values of the chart.
 */
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Cluster, run, until } from './cluster.ts';
import { type CnpgDouble, playCnpg } from './cnpg-double/double.ts';
import { keepEvidence } from './evidence.ts';
import { failuresOf, install, type Outcome, SELLERS, under, VALUES } from './load.ts';
import { Visitor } from './visitor.ts';

jest.setTimeout(900_000);

const IMAGE = process.env['IMAGE'] ?? 'top-clients:dev';
const cluster = new Cluster(process.env['E2E_NAMESPACE'] ?? 'top-clients-failover');
const visitor = new Visitor(cluster);
let double: CnpgDouble;
let sourceServer: string;
let pagesServer: string;

beforeAll(async () => {
  await cluster.kubectl(['create', 'namespace', cluster.namespace]);
  double = playCnpg(cluster, { log: (message) => console.log(new Date().toISOString(), message) });
  await install(cluster, IMAGE, [
    ...VALUES,
    'topClients.postgres.mode=cnpg',
    'topClients.postgres.cnpg.instances=3',
    'topClients.postgres.cnpg.resources.requests.cpu=10m',
    'topClients.postgres.cnpg.resources.requests.memory=128Mi',
    'topClients.postgres.cnpg.pages.instances=2',
    ...(process.env['VALUES'] ?? '').split(' ').filter((one) => one !== ''),
  ]);
  const servers = (await cluster.list('clusters.postgresql.cnpg.io')).map(({ metadata }) => metadata.name);
  sourceServer = 'top-clients-postgres';
  pagesServer = servers.find((name) => name !== sourceServer) ?? sourceServer;
  for (const name of new Set([sourceServer, pagesServer])) await healthy(name);
  await visitor.arrive(IMAGE);
});

afterAll(async () => {
  await keepEvidence(cluster, 'failover').catch(() => {});
  await run('helm', ['--namespace', cluster.namespace, 'uninstall', 'top-clients'], { timeoutMs: 120_000 });
  await run(
    'kubectl',
    ['delete', 'clusters.postgresql.cnpg.io,pods', '--all', '-n', cluster.namespace, '--force'],
    {
      timeoutMs: 120_000,
    },
  ).catch(() => {});
  await double?.stop();
  await run('kubectl', ['delete', 'namespace', cluster.namespace, '--wait=false']);
});

const healthy = (name: string) =>
  until(
    `${name} has all its instances`,
    async () => {
      const { spec, status } = await cluster.get('clusters.postgresql.cnpg.io', name);
      return status?.readyInstances === spec.instances;
    },
    300_000,
  );

/** CloudNativePG waits for the lease of a primary that is gone: visits go on until well after. */
const load = { cluster, visitor, beforeMs: 15_000, afterMs: 20_000 };

/** What was acknowledged is in the log, each version with the content that it was acknowledged with. */
async function expectNothingLost({ written }: Outcome): Promise<void> {
  expect(written.wrong).toEqual([]);
  expect(written.stale).toEqual([]);
  expect(written.acknowledged.length).toBeGreaterThan(200);
  const log = new Map<string, string>();
  const { stdout } = await run('kubectl', [
    ...['-n', cluster.namespace, 'exec', double.primaryOf(sourceServer), '--'],
    ...['psql', '-U', 'postgres', '-d', 'source', '-Atc'],
    `select seller_id || ' ' || version || ' ' || coalesce(change -> 'client' ->> 'description', '') from seller_event
    where seller_id between ${SELLERS[0]} and ${SELLERS.at(-1)}`,
  ]);
  for (const line of stdout.trim().split('\n')) {
    const [seller, version, ...description] = line.split(' ');
    log.set(`${seller}/${version}`, description.join(' '));
  }
  const lost = written.acknowledged.filter(
    ({ seller, version, description }) => log.get(`${seller}/${version}`) !== description,
  );
  expect(lost).toEqual([]);
  const keys = written.acknowledged.map(({ seller, version }) => `${seller}/${version}`);
  expect(new Set(keys).size).toBe(keys.length);
}

const kill = (pod: string) => cluster.kubectl(['delete', 'pod', pod, '--force', '--grace-period=0']);

describe('with standbys that a commit waits for', () => {
  test.each(['source', 'pages'])(
    'a killed primary of the %s loses nothing, and no page fails',
    async (which) => {
      const server = which === 'source' ? sourceServer : pagesServer;
      const before = double.failovers;
      const outcome = await under(load, async () => {
        await kill(double.primaryOf(server));
        await until('a standby is promoted', async () => double.failovers > before, 120_000);
        await healthy(server);
      });
      await expectNothingLost(outcome);
      // On one server for all, the pages' own data is away as long as the primary is.
      if (pagesServer !== sourceServer) expect(failuresOf(outcome)).toEqual([]);
    },
  );

  test('a primary that is ended gracefully loses nothing', async () => {
    const before = double.failovers;
    const outcome = await under(load, async () => {
      await cluster.kubectl(['delete', 'pod', double.primaryOf(sourceServer), '--wait=false']);
      await until('a standby is promoted', async () => double.failovers > before, 300_000);
      await healthy(sourceServer);
    });
    await expectNothingLost(outcome);
    if (pagesServer !== sourceServer) expect(failuresOf(outcome)).toEqual([]);
  });
});
