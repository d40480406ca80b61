/**
 * Operators of several namespaces as processes of their own against a real API server, each with the rights that the chart
 * gives it and no more. No image is needed: platforms wait for a secret of their database, and nothing of them runs.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { API_VERSION } from '#cdk8s/api/shared.ts';
import { DEMO } from '#cdk8s/testing/platforms.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import { type RunningRole, runRole } from '../../services/local-stack/run-role.ts';
import { run } from '../support/run.ts';
import { Cluster, until } from './cluster.ts';

jest.setTimeout(300_000);

const CHART = new URL('../../charts/top-clients/', import.meta.url).pathname;
const id = randomBytes(3).toString('hex');
const [ops, shop, mall] = ['ops', 'shop', 'mall'].map((name) => new Cluster(`${name}-${id}`)) as [
  Cluster,
  Cluster,
  Cluster,
];
const LEAST_MS = 90_000;
const folder = mkdtempSync(join(tmpdir(), 'operators-'));

/** An operator of a namespace, as the chart would install it. */
class Operator {
  readonly #role: RunningRole;
  private constructor(role: RunningRole) {
    this.#role = role;
  }

  static async start(home: Cluster, watched: readonly string[]): Promise<Operator> {
    const { stdout, stderr } = await run('helm', [
      ...['template', 'operator', CHART, '--namespace', home.namespace, '--set', 'platform.enabled=false'],
      ...['--set-json', `watchNamespaces=${JSON.stringify(watched)}`],
    ]);
    const rights = parseAllDocuments(stdout)
      .map((document) => document.toJS())
      .filter((object) => /Role|ServiceAccount/.test(object?.kind))
      // Whose namespace is not there yet, gives no rights in it.
      .filter(({ metadata }) => metadata.namespace !== `later-${id}`);
    if (rights.length === 0) throw new Error(stderr);
    const { code, stderr: refused } = await run('kubectl', ['apply', '--filename', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: rights }),
    });
    if (code !== 0) throw new Error(refused);
    const token = await home.kubectl(['create', 'token', 'top-clients-operator', '--duration', '1h']);
    const config = JSON.parse(
      await home.kubectl(['config', 'view', '--raw', '--minify', '--flatten', '--output', 'json']),
    );
    config.users[0].user = { token: token.trim() };
    const name = `${home.namespace}-${randomBytes(2).toString('hex')}`;
    const kubeconfig = join(folder, `${name}.json`);
    writeFileSync(kubeconfig, JSON.stringify(config), { mode: 0o600 });
    const port = await freePort();
    const env = {
      TC_NAMESPACE: home.namespace,
      ...(watched.length > 0 ? { TC_WATCH_NAMESPACES: watched.join(',') } : {}),
      TC_IMAGE: 'top-clients:none',
      TC_POD_NAME: name,
      TC_KUBECONFIG: kubeconfig,
      TC_HEALTH_PORT: String(port),
    };
    const operator = new Operator(
      await runRole({ name, role: 'operator', env, healthPort: port }, { logs: folder, until: 'spawned' }),
    );
    operators.push(operator);
    return operator;
  }
  readiness(): Promise<string> {
    return this.#role.readiness();
  }
  /** Samples of a metric, as `namespace` → value. */
  async byNamespace(metric: string): Promise<Record<string, number>> {
    const samples = (await this.#role.metrics()).matchAll(
      new RegExp(`^${metric}\\{namespace="([^"]*)"\\} (\\d+)$`, 'gm'),
    );
    return Object.fromEntries([...samples].map(([, namespace, value]) => [namespace, Number(value)]));
  }
  async stop(): Promise<void> {
    this.#role.kill('SIGTERM');
    await this.#role.exited;
  }
  get log(): string {
    return readFileSync(this.#role.logFile, 'utf8');
  }
}
const operators: Operator[] = [];

const platform = (where: Cluster) =>
  where.apply({
    apiVersion: API_VERSION,
    kind: 'TopClients',
    metadata: { name: 'top-clients', namespace: where.namespace },
    spec: { ...DEMO.topClients, postgres: { mode: 'external', external: { existingSecret: 'later' } } },
  });
const troubles = async (where: Cluster) =>
  (await where.condition('topclients/top-clients', 'Degraded'))?.message ?? '';
/** What is made before a secret of somebody else is needed. */
const isWorkedIn = (where: Cluster) =>
  until(
    `${where.namespace} is worked in`,
    async () =>
      (await where.list('serviceaccounts', 'app.kubernetes.io/managed-by=top-clients-operator')).length > 3 &&
      (await troubles(where)).includes('later'),
    LEAST_MS,
  );
const leads = (operator: Operator) => operator.byNamespace('topclients_operator_leader');

beforeAll(async () => {
  await run('kubectl', ['apply', '--server-side', '--force-conflicts', '--filename', `${CHART}crds`]);
  for (const { namespace } of [ops, shop, mall]) await run('kubectl', ['create', 'namespace', namespace]);
});

afterEach(async () => {
  for (const operator of operators.splice(0)) {
    if (expect.getState().currentTestName && process.env['LOGS']) console.log(operator.log);
    await operator.stop();
  }
  for (const where of [shop, mall])
    await where.kubectl(['delete', 'topclients', '--all', '--ignore-not-found', '--wait=true']);
  await ops.kubectl([
    'delete',
    'clusterroles,clusterrolebindings',
    '--selector',
    'app.kubernetes.io/instance=operator',
  ]);
  for (const where of [ops, shop, mall])
    await where.kubectl(['delete', 'roles,rolebindings,leases', '--all', '--ignore-not-found']);
});

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  for (const { namespace } of [ops, shop, mall])
    await run('kubectl', ['delete', 'namespace', namespace, '--ignore-not-found', '--wait=false']);
});

test('one operator looks after the namespaces that it is told, and one that is not there holds up no other', async () => {
  await platform(shop);
  const operator = await Operator.start(ops, [shop.namespace, mall.namespace, `later-${id}`]);
  await isWorkedIn(shop);
  await platform(mall);
  await isWorkedIn(mall);
  expect(await leads(operator)).toEqual({ [shop.namespace]: 1, [mall.namespace]: 1 });
  expect(await operator.readiness()).toContain(`later-${id}: not listed yet`);
  // Its own namespace is not among them.
  expect(await ops.list('leases')).toEqual([]);
});

test('an operator of all namespaces finds those that have a platform, and leaves those that have none any more', async () => {
  await platform(shop);
  const operator = await Operator.start(ops, ['*']);
  await isWorkedIn(shop);
  expect((await leads(operator))[mall.namespace]).toBeUndefined();
  await platform(mall);
  await isWorkedIn(mall);
  expect(await leads(operator)).toMatchObject({ [shop.namespace]: 1, [mall.namespace]: 1 });
  await mall.kubectl(['delete', 'topclients', 'top-clients']);
  await until('it leaves', async () => !(mall.namespace in (await leads(operator))), LEAST_MS);
  const lease = await mall.get('lease', 'top-clients-operator');
  expect(lease.spec.holderIdentity).toBeUndefined();
  expect(operator.log).not.toMatch(/"level":"error"|Forbidden/);
});

test('of two operators that are to work in one namespace one does, and both are named', async () => {
  await platform(shop);
  await platform(mall);
  const own = await Operator.start(shop, []);
  await isWorkedIn(shop);
  const wide = await Operator.start(ops, [shop.namespace, mall.namespace]);
  await isWorkedIn(mall);
  const sentence = await until(
    'the overlap is told',
    async () => {
      const told = await troubles(shop);
      return told.includes('would as well') && told;
    },
    LEAST_MS,
  );
  expect(sentence).toContain(`the operator ${shop.namespace}/top-clients-operator works in this namespace`);
  expect(sentence).toContain(`${ops.namespace}/top-clients-operator would as well`);
  expect(await troubles(mall)).not.toContain('would as well');
  expect(await leads(own)).toEqual({ [shop.namespace]: 1 });
  expect(await leads(wide)).toEqual({ [shop.namespace]: 0, [mall.namespace]: 1 });
  expect(await wide.byNamespace('topclients_operator_overlap')).toMatchObject({ [shop.namespace]: 1 });
  const events = (await shop.list('events.events.k8s.io')).filter(
    ({ reason }) => reason === 'OperatorsOverlap',
  );
  expect(events.map(({ regarding }) => regarding.kind)).toContain('TopClients');

  // While its own operator starts anew, as in an upgrade, nobody else takes the namespace.
  await own.stop();
  operators.splice(operators.indexOf(own), 1);
  const next = await Operator.start(shop, []);
  await until('it leads again', async () => (await leads(next))[shop.namespace] === 1, 30_000);
  expect((await leads(wide))[shop.namespace]).toBe(0);
});

test('a second release in a namespace is refused with the name of the first, and one beside it is not', async () => {
  await platform(shop);
  await shop.kubectl(['annotate', 'topclients', 'top-clients', 'meta.helm.sh/release-name=1e3']);
  const install = ({ namespace }: Cluster) =>
    run('helm', [
      ...['install', 'second', CHART, '--namespace', namespace, '--dry-run=server'],
      ...['--set', 'topClients.profile=demo,fullnameOverride=second'],
    ]);
  const { code, stderr } = await install(shop);
  expect(stderr).toContain(
    `the namespace ${shop.namespace} has the platform of the release 1e3, and room for one`,
  );
  expect(code).not.toBe(0);
  expect((await install(mall)).code).toBe(0);
});
