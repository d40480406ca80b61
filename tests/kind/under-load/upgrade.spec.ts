/**
 * From 0.1.0 to this tree, back, and again, while sellers write and buyers visit. `make under-load
 * ARGS=upgrade`, with the image of that commit in the cluster as top-clients:0.1.0, or as EARLIER_IMAGE says. Nobody else may
 * have resources of ours there, for the definitions are exchanged.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { run } from '../../support/run.ts';
import { allReady, Cluster, until } from '../cluster.ts';
import { keepEvidence } from '../evidence.ts';
import { Visitor } from '../visitor.ts';
import { Brokers } from './brokers.ts';
import { ExternalPostgres } from './external-postgres.ts';
import { CHART, failuresOf, lostOf, type Outcome, PAGES, settings, under } from './load.ts';

jest.setTimeout(900_000);

/** The last commit of the day that CHANGELOG.md gives 0.1.0, which has no tag. */
const EARLIER = '26a76a8';
const EARLIER_IMAGE = process.env['EARLIER_IMAGE'] ?? 'top-clients:0.1.0';
const IMAGE = process.env['IMAGE'] ?? 'top-clients:dev';
const ROOT = new URL('../../../', import.meta.url).pathname;
const RELEASE = 'top-clients';
const DEFINITIONS = ['topclients.topclients.dev', 'pageviews.topclients.dev'];

const cluster = new Cluster(process.env['E2E_NAMESPACE'] ?? 'top-clients-upgrade');
const visitor = new Visitor(cluster);
// Nothing of ours runs them, so that an upgrade leaves them as they are.
const postgres = new ExternalPostgres(cluster);
const brokers = new Brokers(cluster, { count: 1 });
const earlier = mkdtempSync(join(tmpdir(), 'earlier-'));
const EARLIER_CHART = join(earlier, 'charts/top-clients');

const VALUES = [
  'topClients.kafka.mode=external',
  `topClients.kafka.external.brokers={${brokers.addresses.join(',')}}`,
  'topClients.postgres.mode=external',
  'topClients.postgres.external.existingSecret=databases',
];

/** Which image everything runs, once it has got there. */
let running: string | null = null;

/** Everything runs from that image, nothing of before is left, and the operator has said that all is well. */
async function runsAs(image: string): Promise<void> {
  running = null;
  await until(
    `everything runs as ${image}`,
    async () => {
      const deployments = await cluster.list('deployments', 'app.kubernetes.io/part-of=top-clients');
      const isRolledOut = deployments.every(({ metadata, spec, status }) => {
        const [container] = spec.template.spec.containers;
        return (
          container.image === image &&
          status.observedGeneration === metadata.generation &&
          [status.replicas, status.updatedReplicas, status.availableReplicas].every(
            (one) => (one ?? 0) === spec.replicas,
          )
        );
      });
      return isRolledOut && deployments.length >= 10;
    },
    480_000,
    2_000,
  );
  await allReady(cluster, PAGES, 120_000, 2_000);
  running = image;
}

beforeAll(async () => {
  const others = await run('kubectl', ['get', 'topclients,pageviews', '-A', '--output', 'name']);
  if (others.stdout.trim()) throw new Error(`the cluster is not this spec's alone: ${others.stdout}`);
  // Its chart brings its own.
  await run('kubectl', ['delete', 'crd', ...DEFINITIONS, '--ignore-not-found']);
  const extract = `git -C ${ROOT} archive ${EARLIER} charts/top-clients | tar --extract --directory ${earlier}`;
  const { code, stderr } = await run('bash', ['-o', 'pipefail', '-c', extract]);
  if (code !== 0) throw new Error(`the chart of 0.1.0 is not in this repository's history: ${stderr}`);
  await cluster.kubectl(['create', 'namespace', cluster.namespace]);
  await Promise.all([postgres.start(), brokers.start()]);
  await cluster.helm(['install', RELEASE, EARLIER_CHART, ...settings(EARLIER_IMAGE, VALUES)]);
  await runsAs(EARLIER_IMAGE);
  await visitor.arrive(IMAGE);
  // Ready comes before the made-up data.
  await cluster.kubectl(
    [
      ...['wait', 'job', '--selector', 'app.kubernetes.io/component=seed'],
      ...['--for=condition=Complete', '--timeout=120s'],
    ],
    { timeoutMs: 130_000 },
  );
});

afterAll(async () => {
  rmSync(earlier, { recursive: true, force: true });
  if (process.env['KEEP']) return;
  await run('helm', ['--namespace', cluster.namespace, 'uninstall', RELEASE], { timeoutMs: 120_000 });
  await run('kubectl', ['delete', 'namespace', cluster.namespace, '--timeout=120s'], { timeoutMs: 130_000 });
  await run('kubectl', [...APPLY, '--filename', join(CHART, 'crds')]);
});

/** No visit failed, nothing acknowledged is lost or told wrongly, and every view becomes as the source is. */
async function expectNothingNoticed(outcome: Outcome): Promise<void> {
  expect(failuresOf(outcome)).toEqual([]);
  const { wrong, stale, acknowledged } = outcome.written;
  expect({ wrong, stale }).toEqual({ wrong: [], stale: [] });
  expect(acknowledged.length).toBeGreaterThan(100);
  expect(await lostOf(outcome, (statement) => postgres.query(statement, 'source'))).toEqual([]);

  // The canary's seller is changed all the time, and by nobody who looks at a page.
  const states = (columns: string, table: string) =>
    `select seller_id || ' ' || version || ' ' || ${columns} from ${table}
    where version > 0 and seller_id between 1 and 300 order by seller_id`;
  for (const page of PAGES) {
    const columns = page === 'search' ? `''` : 'md5(clients::jsonb::text)';
    const source = await postgres.query(states(columns, 'seller'), 'source');
    const view = states(columns, 'top_clients_asynchronous_v1.top_clients');
    const isAsSource = async () => (await postgres.query(view, page)) === source;
    await until(`the view of ${page} is as the source is`, isAsSource, 60_000);
  }
}

const APPLY = ['apply', '--server-side', '--force-conflicts', '--field-manager', 'helm'];
const applyDefinitions = (chart: string) => cluster.kubectl([...APPLY, '--filename', join(chart, 'crds')]);

const helmUpgrade = () =>
  cluster.helm(['upgrade', RELEASE, CHART, ...settings(IMAGE, [...VALUES, 'topClients.profile=demo'])]);

async function upgrade(): Promise<void> {
  // Values that this version brings need its definitions, which Helm installs and never upgrades.
  await applyDefinitions(CHART);
  await helmUpgrade();
  await runsAs(IMAGE);
}

/** One step of a single story: the others can tell nothing after one that did not get there. */
const step = (name: string, from: string, take: () => Promise<void>) =>
  test(name, async () => {
    if (running !== from) throw new Error('a step before did not get there');
    try {
      await take();
    } catch (err) {
      await keepEvidence(cluster, name);
      throw err;
    }
  });

step('an upgrade with migrations fails no request and loses nothing', EARLIER_IMAGE, async () => {
  await expectNothingNoticed(await under({ cluster, visitor }, upgrade));
  const migrated = await postgres.query('select count(*) from schema_migration', 'source');
  expect(Number(migrated)).toBeGreaterThan(2);
});

step('so does the way back, on the tables of the later version', IMAGE, async () => {
  const tables = () => postgres.query('select scope, name from schema_migration order by 1, 2', 'source');
  const before = await tables();
  const goBack = async () => {
    // The later ones refuse what 0.1.0 had by default, an issuer for demonstrations. The operator brings them back soon.
    await applyDefinitions(EARLIER_CHART);
    await cluster.helm(['rollback', RELEASE]);
    await runsAs(EARLIER_IMAGE);
  };
  await expectNothingNoticed(await under({ cluster, visitor }, goBack));
  expect(await tables()).toBe(before);
});

step('and so does the upgrade after it', EARLIER_IMAGE, async () => {
  await expectNothingNoticed(await under({ cluster, visitor }, upgrade));
});

step('the same values once more change nothing', IMAGE, async () => {
  const kinds =
    'deployments,jobs,services,configmaps,networkpolicies,poddisruptionbudgets,topclients,pageviews';
  const stored = async () =>
    (await cluster.list(kinds)).map(
      ({ kind, metadata, spec, data }) => [kind, metadata.name, metadata.generation, spec ?? data] as const,
    );
  const before = await stored();
  await helmUpgrade();
  expect(await stored()).toEqual(before);
});
