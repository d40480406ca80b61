/**
 * Primaries of PostgreSQL that die under load, played by a double of CloudNativePG with real servers. `make under-load
 * ARGS=failover`, in a cluster without CloudNativePG. VALUES may name further values of the chart.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { run } from '../../support/run.ts';
import { Cluster, until } from '../cluster.ts';
import { keepEvidence } from '../evidence.ts';
import { Visitor } from '../visitor.ts';
import { type CnpgDouble, playCnpg } from './cnpg-double/double.ts';
import { failuresOf, install, lostOf, type Outcome, under } from './load.ts';

jest.setTimeout(900_000);

const IMAGE = process.env['IMAGE'] ?? 'top-clients:dev';

const cluster = new Cluster(process.env['E2E_NAMESPACE'] ?? 'top-clients-failover');
const visitor = new Visitor(cluster);
const DEFINITIONS = ['clusters.postgresql.cnpg.io', 'databases.postgresql.cnpg.io'];
let isOurs = false;
let double: CnpgDouble;
let sourceServer: string;
let pagesServer: string;

beforeAll(async () => {
  const there = await run('kubectl', [
    'get',
    'crd',
    ...DEFINITIONS,
    '--ignore-not-found',
    '--output',
    'name',
  ]);
  if (there.stdout.trim())
    throw new Error(`is CloudNativePG here? Otherwise: kubectl delete crd ${DEFINITIONS.join(' ')}`);
  for (const kind of ['clusters', 'databases']) {
    const file = new URL(`../definitions/cnpg-${kind}.yaml`, import.meta.url).pathname;
    await cluster.kubectl(['create', '--filename', file]);
    isOurs = true;
  }
  await cluster.kubectl(['create', 'namespace', cluster.namespace]);
  double = playCnpg(cluster, { log: (message) => console.log(new Date().toISOString(), message) });
  await install(cluster, IMAGE, [
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
  if (isOurs) await run('kubectl', ['delete', 'crd', ...DEFINITIONS, '--ignore-not-found']);
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

const exec = (pod: string, ...command: string[]) => cluster.kubectl(['exec', pod, '--', ...command]);
const ask = async (pod: string, database: string, statement: string): Promise<string> =>
  (await exec(pod, 'psql', '-U', 'postgres', '-d', database, '-Atc', statement)).trim();

const askSource = (statement: string) => ask(double.primaryOf(sourceServer), 'source', statement);

async function expectNothingLost(outcome: Outcome): Promise<void> {
  const { wrong, stale, acknowledged } = outcome.written;
  expect({ wrong, stale }).toEqual({ wrong: [], stale: [] });
  expect(acknowledged.length).toBeGreaterThan(100);
  expect(await lostOf(outcome, askSource)).toEqual([]);
  const keys = acknowledged.map(({ seller, version }) => `${seller}/${version}`);
  expect(new Set(keys).size).toBe(keys.length);
}

/** On one server for all, the pages' own data is away as long as the primary is. */
function expectNoPageFailed(outcome: Outcome): void {
  if (pagesServer !== sourceServer) expect(failuresOf(outcome)).toEqual([]);
}

const kill = (pod: string) => cluster.kubectl(['delete', 'pod', pod, '--force', '--grace-period=0']);

/** Under load, until another instance is the primary and all are there again. */
const whileReplaced = (server: string, happens: () => Promise<unknown>) =>
  under(load, async () => {
    const before = double.failovers;
    await happens();
    await until('a standby is promoted', async () => double.failovers > before, 300_000);
    await healthy(server);
  });

/** What `kubectl cnpg promote` does. */
async function switchOver(server: string): Promise<void> {
  const standbys = await cluster.list('pods', `cnpg.io/cluster=${server},cnpg.io/instanceRole=replica`);
  const status = { targetPrimary: standbys[0].metadata.name, phase: 'Switchover in progress' };
  await cluster.kubectl([
    ...['patch', `clusters.postgresql.cnpg.io/${server}`, '--subresource=status', '--type=merge'],
    ...['--patch', JSON.stringify({ status })],
  ]);
}

/** The standbys get nothing more from the primary, for a while; then it dies. */
async function killBehindASilentLink(server: string): Promise<void> {
  const pod = double.primaryOf(server);
  const senders = await ask(pod, 'postgres', 'select pid from pg_stat_replication');
  await exec(pod, 'bash', '-c', `kill -STOP ${senders.replaceAll('\n', ' ')}`);
  await delay(SILENT_LINK_MS);
  await kill(pod);
}
const SILENT_LINK_MS = 3_000;

describe('with standbys that a commit waits for', () => {
  test.each(['source', 'pages'])(
    'a killed primary of the %s loses nothing, and no page fails',
    async (which) => {
      const server = which === 'source' ? sourceServer : pagesServer;
      const outcome = await whileReplaced(server, () => kill(double.primaryOf(server)));
      await expectNothingLost(outcome);
      expectNoPageFailed(outcome);
    },
  );

  test('a primary that is ended gracefully loses nothing', async () => {
    const outcome = await whileReplaced(sourceServer, () =>
      cluster.kubectl(['delete', 'pod', double.primaryOf(sourceServer), '--wait=false']),
    );
    await expectNothingLost(outcome);
    expectNoPageFailed(outcome);
  });

  test.each(['source', 'pages'])(
    'a switchover of the %s by command loses nothing, and no page fails',
    async (which) => {
      const server = which === 'source' ? sourceServer : pagesServer;
      const outcome = await whileReplaced(server, () => switchOver(server));
      await expectNothingLost(outcome);
      expectNoPageFailed(outcome);
    },
  );

  test.each(['source', 'pages'])(
    'a primary of the %s that falls silent, and wakes up behind its successor, loses nothing',
    async (which) => {
      const server = which === 'source' ? sourceServer : pagesServer;
      const old = double.primaryOf(server);
      const outcome = await whileReplaced(server, async () => {
        const before = double.failovers;
        // All but the first process, which is not to be stopped from within.
        await exec(old, 'bash', '-c', 'kill -STOP -1');
        await until('a standby is promoted', async () => double.failovers > before, 120_000);
        await delay(5_000);
        await exec(old, 'bash', '-c', 'kill -CONT -1');
      });
      await expectNothingLost(outcome);
      expectNoPageFailed(outcome);
    },
  );

  test('a primary that dies behind a silent link loses nothing', async () => {
    const outcome = await whileReplaced(sourceServer, () => killBehindASilentLink(sourceServer));
    await expectNothingLost(outcome);
    expectNoPageFailed(outcome);
  });
});

describe('without them', () => {
  beforeAll(async () => {
    await cluster.patch('topclients/top-clients', {
      spec: { postgres: { cnpg: { synchronous: { number: 0 } } } },
    });
    await until(
      'commits wait for nobody',
      async () =>
        (await ask(double.primaryOf(sourceServer), 'postgres', 'show synchronous_standby_names')) === '',
      60_000,
    );
  });

  test('a primary that dies behind a silent link loses what was acknowledged, and the check sees it', async () => {
    const outcome = await whileReplaced(sourceServer, () => killBehindASilentLink(sourceServer));
    const lost = await lostOf(outcome, askSource);
    console.log(`${lost.length} of ${outcome.written.acknowledged.length} acknowledged changes are lost`);
    expect(lost.length).toBeGreaterThan(0);
    expectNoPageFailed(outcome);
  });
});
