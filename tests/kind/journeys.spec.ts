/**
 * What people do with the whole system on a cluster, in the order in which they would. `make e2e` runs them against
 * the cluster of KUBECONFIG, with the images of IMAGE and PAGE_IMAGE (`repository:tag`), which the nodes must have.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { run } from '../support/run.ts';
import { allReady, Cluster, until } from './cluster.ts';
import { Database } from './database.ts';
import { keepEvidence } from './evidence.ts';
import { TheirDatabase } from './their-database.ts';
import { Visitor, type Visits } from './visitor.ts';

jest.setTimeout(600_000);

const IMAGE = process.env['IMAGE'] ?? 'top-clients:dev';
const PAGE_IMAGE = process.env['PAGE_IMAGE'] ?? 'top-clients-python-page:dev';
const NAMESPACE = process.env['E2E_NAMESPACE'] ?? 'top-clients-e2e';
const CHART = new URL('../../charts/top-clients', import.meta.url).pathname;
const RELEASE = 'top-clients';
const PAGES = ['gig', 'user', 'search'] as const;

const cluster = new Cluster(NAMESPACE);
const visitor = new Visitor(cluster);
const database = new Database(cluster);
const theirs = new Cluster(`${NAMESPACE}-theirs`);
const theirDatabase = new TheirDatabase(theirs);
const [repository, tag] = [IMAGE.slice(0, IMAGE.lastIndexOf(':')), IMAGE.slice(IMAGE.lastIndexOf(':') + 1)];
const VALUES = new URL('small-node.yaml', import.meta.url).pathname;
const values = (more: readonly string[] = []) => [
  ...['--values', VALUES, '--set', `image.repository=${repository}`, '--set-string', `image.tag=${tag}`],
  ...more.flatMap((one) => ['--set', one]),
];

const SOURCE = 'http://top-clients:8080';
const PAGE = {
  gig: 'http://top-clients-page-gig:8080',
  user: 'http://top-clients-page-user:8080',
  search: 'http://top-clients-page-search:8080',
  selfView: 'http://top-clients-page-self-view:8080',
};
const address = {
  gig: (seller: number) => `${PAGE.gig}/gigs/${seller}`,
  user: (seller: number) => `${PAGE.user}/users/${seller}`,
  search: () => `${PAGE.search}/search?q=logo`,
};
const EVERY_PAGE = [address.gig(1), address.user(1), address.search()];

const token = async (seller: number): Promise<string> =>
  (await visitor.ask({ url: `http://top-clients-issuer:8080/token?seller=${seller}` })).body.access_token;

/** Adds a client of that name. @returns the version it made */
async function addClient(seller: number, name: string): Promise<number> {
  const { status, headers, body } = await visitor.ask({
    url: `${SOURCE}/v1/sellers/${seller}/clients`,
    method: 'POST',
    headers: { authorization: `Bearer ${await token(seller)}` },
    body: { name },
  });
  if (status !== 201) throw new Error(`the write was answered ${status}: ${JSON.stringify(body)}`);
  return Number(headers['etag']?.replaceAll('"', ''));
}
/** Makes room first: a seller shows twenty clients at most. */
async function emptyList(seller: number): Promise<void> {
  const headers = { authorization: `Bearer ${await token(seller)}` };
  const { body } = await visitor.ask({ url: `${SOURCE}/v1/sellers/${seller}/top-clients` });
  for (const { id } of body.clients) {
    await visitor.ask({ url: `${SOURCE}/v1/sellers/${seller}/clients/${id}`, method: 'DELETE', headers });
  }
}

const settled = (deployment: string, timeoutMs = 120_000) =>
  cluster.kubectl(['rollout', 'status', `deployment/${deployment}`, `--timeout=${timeoutMs}ms`], {
    timeoutMs: timeoutMs + 10_000,
  });

/** Waits until the page has its data by this delivery, and no server of before is left. */
async function served(page: string, delivery: string): Promise<void> {
  const name = `top-clients-page-${page}`;
  await until(
    `${page} is served ${delivery}`,
    async () => {
      const { env } = (await cluster.get('deployments', name)).spec.template.spec.containers[0];
      const told = (env as { name: string; value?: string }[]).find((one) => one.name === 'TC_DELIVERY');
      return told?.value === delivery;
    },
    180_000,
  );
  await settled(name);
}

/** Whether what watches the views has repaired what differs; in every pod of it once this resolves. */
async function setRepair(repair: boolean): Promise<void> {
  for (const page of PAGES) await cluster.patch(`pageviews/${page}`, { spec: { watch: { repair } } });
  await until(
    `views are watched with repair ${repair}`,
    async () => {
      const pods = await cluster.list('pods', 'app.kubernetes.io/component=watch-view');
      const has = (pod: (typeof pods)[number]) =>
        pod.spec.containers[0].env.some(
          ({ name, value }: { name: string; value?: string }) =>
            name === 'TC_REPAIR' && value === String(repair),
        );
      return pods.length === PAGES.length && pods.every(has);
    },
    60_000,
  );
}

/** Nobody who came while `work` was done was turned away. */
async function withoutAFailedRequest(
  urls: readonly string[],
  work: () => Promise<unknown>,
): Promise<Readonly<Record<string, Visits>>> {
  const leave = visitor.visit(urls, 10);
  let visits: Readonly<Record<string, Visits>>;
  try {
    await work();
  } finally {
    visits = await leave();
  }
  for (const [url, { requests, failures }] of Object.entries(visits)) {
    expect({ url, failures }).toEqual({ url, failures: [] });
    expect(requests).toBeGreaterThan(20);
  }
  return visits;
}

/** Each visit showed everything; else when not, and what took how long. */
function expectComplete({ outcomes, incomplete }: Visits): void {
  expect({ outcomes: Object.keys(outcomes), incomplete }).toEqual({ outcomes: ['full'], incomplete: [] });
}

/** The chart as its next release would have it: another version, in a folder of its own. */
function nextChart(): string {
  const folder = mkdtempSync(join(tmpdir(), 'next-chart-'));
  cpSync(CHART, folder, { recursive: true });
  const file = join(folder, 'Chart.yaml');
  const chart = readFileSync(file, 'utf8');
  const next = chart.replace(
    /^version: (\d+)\.(\d+)\.\d+.*$/m,
    (_, major, minor) => `version: ${major}.${+minor + 1}.0`,
  );
  expect(next).not.toBe(chart);
  writeFileSync(file, next);
  return folder;
}

const hasKeda = async () => (await run('kubectl', ['get', 'crd', 'scaledobjects.keda.sh'])).code === 0;

/** Every list once more, ten times: work for relay and projectors that changes nothing. */
const REPEAT_EVERY_LIST = `
  insert into outbox (bucket, seller_id, version, type, value, committed_at)
  select seller_id % 1024, seller_id, version, type, json_build_object(
    'sellerId', seller_id, 'version', version,
    'committedAt', to_char(committed_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'change', change,
    'clients', clients)::text, now()
  from seller join seller_event using (seller_id, version), generate_series(1, 10)
  where not erased`;

const view = async (page: string) => (await cluster.get(`pageviews/${page}`)).status;
/** The version of the view that a page's read surface shows. */
const shownBy = async (page: string): Promise<number> =>
  Number(await database.query(page, 'select view_version from top_clients.status'));
/** The names of the pods of a workload that are not on their way out. */
const podsOf = async (component: string, instance: string): Promise<string[]> => {
  const labels = `app.kubernetes.io/component=${component},app.kubernetes.io/instance=${instance}`;
  const pods = await cluster.list('pods', labels);
  return pods.flatMap(({ metadata }) => (metadata.deletionTimestamp ? [] : [metadata.name as string])).sort();
};

beforeAll(async () => {
  await deleteNamespaces();
  await run('kubectl', ['create', 'namespace', NAMESPACE]);
  // Enforced, so that a pod that asks for more does not start at all.
  await run('kubectl', [
    ...['label', 'namespace', NAMESPACE, '--overwrite'],
    'pod-security.kubernetes.io/enforce=restricted',
  ]);
});
afterAll(async () => {
  if (process.env['KEEP']) return;
  await run('helm', ['--namespace', NAMESPACE, 'uninstall', RELEASE], { timeoutMs: 120_000 });
  await deleteNamespaces();
});

/** Also after a journey that failed half-way: without an operator, nobody else lets go of what waits for it. */
async function deleteNamespaces(): Promise<void> {
  const freed = ['patch', 'pageviews/shop', '--type=merge', '--patch={"metadata":{"finalizers":null}}'];
  await run('kubectl', ['--namespace', NAMESPACE, ...freed]);
  await run(
    'kubectl',
    ['delete', 'namespace', NAMESPACE, theirs.namespace, '--ignore-not-found', '--timeout=180s'],
    { timeoutMs: 200_000 },
  );
}

let installed = false;
/** One step of a single story: without the install, none of the others can tell anything. */
const journey = (name: string, take: () => Promise<void>) =>
  witnessed(name, async () => {
    if (!installed) throw new Error('the install before it failed');
    await take();
  });
/** Journeys run once: the state in which one failed is kept. */
const witnessed = (name: string, take: () => Promise<void>) =>
  test(name, async () => {
    try {
      await take();
    } catch (err) {
      await keepEvidence(cluster, name);
      throw err;
    }
  });

witnessed('an install with defaults is ready within three minutes', async () => {
  const startedAt = Date.now();
  await cluster.helm(['install', RELEASE, CHART, ...values()]);
  await allReady(cluster, PAGES, 180_000);
  process.stdout.write(`ready after ${Math.round((Date.now() - startedAt) / 1000)} s\n`);
  await visitor.arrive(IMAGE);
  installed = true;
});

journey('what a seller writes is at once on the self-view, and soon on every page', async () => {
  const seller = 7;
  await emptyList(seller);
  const name = `Journey ${Date.now()}`;
  await addClient(seller, name);
  const selfView = await visitor.ask({
    url: `${PAGE.selfView}/sellers/${seller}`,
    headers: { authorization: `Bearer ${await token(seller)}` },
  });
  expect(JSON.stringify(selfView.body)).toContain(name);
  for (const url of [address.gig(seller), address.user(seller)]) {
    await until(
      `${url} shows it`,
      async () => JSON.stringify((await visitor.ask({ url })).body).includes(name),
      10_000,
    );
  }
  const { body: user } = await visitor.ask({ url: address.user(seller) });
  const words = encodeURIComponent(user.user.displayName);
  await until(
    'search shows it',
    async () =>
      JSON.stringify((await visitor.ask({ url: `${PAGE.search}/search?q=${words}` })).body).includes(name),
    10_000,
  );
});

journey(
  'each program signs in to its database as its own user, and a page’s cannot read the source',
  async () => {
    // A database of each server: the list of sessions is the server's.
    const users = async (name: string) => {
      const jobs = `select 1 from pg_stat_activity where application_name in ('seed', 'migrate')`;
      await until('the owner has left', async () => !(await database.query(name, jobs)).trim(), 60_000);
      const signedIn = await database.query(
        name,
        `select distinct usename from pg_stat_activity where client_addr is not null and client_addr <> '127.0.0.1' order by 1`,
      );
      return signedIn.trim().split('\n');
    };
    const [ofSource, ofPages] = [await users('source'), await users('gig')];
    expect(ofSource).toEqual(expect.arrayContaining(['top_clients_source', 'top_clients_relay']));
    expect(ofPages).toEqual(expect.arrayContaining(['top_clients_page_gig', 'top_clients_projector_gig']));
    expect([...ofSource, ...ofPages].filter((user) => !user.startsWith('top_clients_'))).toEqual([]);
    const selfView = 'top_clients_page_self_view';
    expect(await database.refusal(selfView, 'source', 'select from seller')).toContain('permission denied');
    const page = 'top_clients_page_gig';
    expect(await database.refusal(page, 'user', 'select from users')).toContain('permission denied');
    const view = 'top_clients_asynchronous_v1.top_clients';
    expect(await database.refusal(page, 'gig', `delete from ${view}`)).toContain('permission denied');
  },
);

journey('an erasure is confirmed by every store but the topic, and its receipt names each page', async () => {
  const seller = 8;
  await addClient(seller, `Erased ${Date.now()}`);
  const { body: operator } = await visitor.ask({
    url: `http://top-clients-issuer:8080/token?seller=${seller}&scope=top-clients:erase`,
  });
  const { status, headers } = await visitor.ask({
    url: `${SOURCE}/v1/sellers/${seller}`,
    method: 'DELETE',
    headers: { authorization: `Bearer ${operator.access_token}` },
  });
  expect(status).toBe(202);
  type Store = { store: string; place: string | null; confirmedAt: string | null };
  const stores = async (): Promise<Store[]> =>
    (await visitor.ask({ url: `${SOURCE}${headers['location']}` })).body.stores;
  await until(
    'all but the topic have confirmed',
    async () => (await stores()).every(({ store, confirmedAt }) => store === 'topic' || confirmedAt !== null),
    60_000,
  );
  const pages = (await stores()).filter(({ store }) => store === 'view').map(({ place }) => place);
  for (const page of PAGES) expect(pages).toContainEqual(expect.stringMatching(`^${page} `));
});

journey('each pod is killed in turn, and no page request fails', async () => {
  await withoutAFailedRequest(EVERY_PAGE, async () => {
    const pods = (await cluster.list('pods', 'app.kubernetes.io/name=top-clients')).filter(
      (pod) => pod.status.phase === 'Running',
    );
    expect(pods.length).toBeGreaterThan(10);
    for (const pod of pods) {
      const owner = pod.metadata.ownerReferences?.[0];
      // The embedded PostgreSQL is one server, said to be for development: a page without its own database cannot
      // be complete, and says so.
      if (!owner || owner.kind === 'Job' || pod.metadata.labels['app.kubernetes.io/component'] === 'postgres')
        continue;
      await cluster.kubectl(['delete', 'pod', pod.metadata.name, '--wait=false']);
      await until(
        `${pod.metadata.name} is replaced`,
        async () => {
          const same = await cluster.list(
            'pods',
            Object.entries(pod.metadata.labels)
              .filter(([name]) => name.startsWith('app.kubernetes.io/'))
              .map(([name, value]) => `${name}=${value}`)
              .join(','),
          );
          const ready = same.filter(
            (one) =>
              !one.metadata.deletionTimestamp &&
              one.status.conditions?.some(
                (condition: { type: string; status: string }) =>
                  condition.type === 'Ready' && condition.status === 'True',
              ),
          );
          return same.length > 0 &&
            ready.length === same.filter((one) => !one.metadata.deletionTimestamp).length &&
            !same.some((one) => one.metadata.uid === pod.metadata.uid && !one.metadata.deletionTimestamp)
            ? true
            : undefined;
        },
        90_000,
      );
    }
  });
});

journey(
  'without the source asynchronous pages are complete, and synchronous ones render without the data',
  async () => {
    await cluster.patch('pageviews/user', { spec: { delivery: 'synchronous' } });
    await served('user', 'synchronous');
    // The operator leaves the number of pods to whoever scales.
    await cluster.kubectl(['scale', 'deployment/top-clients', '--replicas=0']);
    await until(
      'the source is gone',
      async () => (await cluster.list('pods', 'app.kubernetes.io/component=source')).length === 0,
      60_000,
    );
    const visits = await withoutAFailedRequest(
      [address.gig(1), address.user(1)],
      () => new Promise((resolve) => setTimeout(resolve, 5_000)),
    );
    expectComplete(visits[address.gig(1)]!);
    expect(Object.keys(visits[address.user(1)]!.outcomes)).toEqual(['missing']);
    await cluster.kubectl(['scale', 'deployment/top-clients', '--replicas=2']);
    await cluster.patch('pageviews/user', { spec: { delivery: 'asynchronous' } });
    await allReady(cluster, PAGES, 120_000);
    await until(
      'the user page is complete again',
      async () => (await visitor.ask({ url: address.user(1) })).headers['top-clients'] === 'full',
      60_000,
    );
  },
);

/** Has the keys exchanged by which the source knows its pages; resolves when all hold the new ones. */
async function rotateCallers(value: string): Promise<void> {
  await cluster.kubectl(['annotate', 'topclients/top-clients', `topclients.dev/rotate-callers=${value}`]);
  for (const name of ['top-clients', 'top-clients-page-gig']) {
    await until(
      `${name} starts anew with them`,
      async () => {
        const { spec } = await cluster.get('deployments', name);
        return spec.template.metadata.annotations['topclients.dev/callers-rotated'] === value;
      },
      60_000,
    );
    await settled(name);
  }
}

journey('a delivery is changed by a patch without a failed request, and takes effect', async () => {
  const visits = await withoutAFailedRequest([address.gig(1)], async () => {
    await cluster.patch('pageviews/gig', { spec: { delivery: 'hybrid' } });
    await served('gig', 'hybrid');
    // While every page asks the source.
    await rotateCallers('journey');
    await cluster.patch('pageviews/gig', { spec: { delivery: 'asynchronous' } });
    await served('gig', 'asynchronous');
  });
  expectComplete(visits[address.gig(1)]!);
});

journey(
  'a new view version is built beside, takes over, and is rolled back once it is compared',
  async () => {
    // One page with a cache of lists, and the one with the longest name.
    const pages = ['gig', 'search'] as const;
    const addresses = [address.gig(1), address.search()];
    const servers = () => Promise.all(pages.map((page) => podsOf('page-server', page)));
    const before = await servers();
    const show = async (version: number) => {
      for (const page of pages) await cluster.patch(`pageviews/${page}`, { spec: { view: { version } } });
      for (const page of pages)
        await until(
          `v${version} of ${page} is shown`,
          async () => (await shownBy(page)) === version,
          180_000,
          100,
        );
    };
    const visits = await withoutAFailedRequest(addresses, async () => {
      await show(2);
      const startedAt = Date.now();
      await show(1);
      process.stdout.write(`rolled back after ${Date.now() - startedAt} ms\n`);
    });
    for (const url of addresses) expectComplete(visits[url]!);
    // The servers read what their database shows, and are not rolled out.
    expect(await servers()).toEqual(before);
  },
);

journey(
  'a view that does not match the source is not switched to, and the condition says how many differ',
  async () => {
    // Otherwise the three would be sent again, and the new view would be right before it is compared.
    await setRepair(false);
    // Three sellers whose lists are changed behind the back of the pipeline: no event tells of it.
    await database.query(
      'source',
      "create table changed as select seller_id, clients from seller where clients::text <> '[]' order by 1 limit 3",
    );
    await database.query(
      'source',
      "update seller set clients = '[]' where seller_id in (select seller_id from changed)",
    );
    await cluster.patch('pageviews/gig', { spec: { view: { version: 3 } } });
    const refused = await until(
      'the view is refused',
      async () => {
        const condition = await cluster.condition('pageviews/gig', 'ViewCurrent');
        return condition?.reason === 'ViewDiffers' ? condition : undefined;
      },
      180_000,
    );
    expect((await view('gig')).shown.version).toBe(1);
    await cluster.patch('pageviews/gig', { spec: { view: { version: 1 } } });
    await database.query(
      'source',
      'update seller set clients = changed.clients from changed where seller.seller_id = changed.seller_id; drop table changed',
    );
    await until(
      'nothing is being built',
      async () => (await cluster.condition('pageviews/gig', 'ViewCurrent'))?.status === 'True',
      60_000,
    );
    await setRepair(true);
    expect(refused).toMatchObject({
      status: 'False',
      message: expect.stringMatching(/\b3 of \d+ sellers differ\b/),
    });
  },
);

journey('lag makes projectors scale out to at most the partitions, and quiet brings them back', async () => {
  for (const mode of ['builtin', ...((await hasKeda()) ? ['keda'] : [])]) {
    await cluster.patch('pageviews/gig', {
      spec: {
        autoscaling: {
          mode,
          maxReplicas: 3,
          lagThreshold: 50,
          scaleDownStabilizationSeconds: 5,
          pollingSeconds: 2,
        },
      },
    });
    await until(
      `${mode} is ready`,
      async () => (await cluster.condition('pageviews/gig', 'AutoscalingReady'))?.status === 'True',
      90_000,
    );
    const projectors = () => cluster.get('deployments', 'top-clients-projector-gig-asynchronous-v1');
    // A locked view stands for a database that is slow to write: the lag grows until the lock goes.
    const unlock = await database.lock('gig', 'top_clients_asynchronous_v1.top_clients');
    try {
      await database.query('source', REPEAT_EVERY_LIST);
      await until(`${mode} scales out`, async () => (await projectors()).spec.replicas > 1, 180_000);
    } finally {
      await unlock();
    }
    expect((await projectors()).spec.replicas).toBeLessThanOrEqual(3);
    await until(`${mode} scales back`, async () => (await projectors()).spec.replicas === 1, 240_000);
  }
});

journey('an operator that is killed hands over, and drift is corrected', async () => {
  const lease = async () =>
    (await cluster.get('leases', 'top-clients-operator')).spec.holderIdentity.split('_')[0] as string;
  const before = await lease();
  await cluster.kubectl(['delete', 'pod', before, '--grace-period=0', '--force']);
  await cluster.patch('deployments/top-clients-page-gig', {
    spec: { template: { spec: { containers: [{ name: 'page-server', image: 'wrong:image' }] } } },
  });
  const startedAt = Date.now();
  await until('another leads', async () => (await lease()) !== before, 30_000, 100);
  process.stdout.write(`handed over after ${Date.now() - startedAt} ms\n`);
  await until(
    'the drift is corrected',
    async () =>
      (await cluster.get('deployments', 'top-clients-page-gig')).spec.template.spec.containers[0].image !==
      'wrong:image',
    60_000,
  );
  await cluster.kubectl(['delete', 'service', 'top-clients-page-search']);
  await until(
    'what was deleted is made again',
    async () =>
      (await run('kubectl', ['--namespace', NAMESPACE, 'get', 'service', 'top-clients-page-search'])).code ===
      0,
    60_000,
  );
  await allReady(cluster, PAGES, 120_000);
});

journey('an upgrade to the next chart and its rollback do not fail a page request', async () => {
  const next = nextChart();
  await withoutAFailedRequest(EVERY_PAGE, async () => {
    await cluster.helm([
      'upgrade',
      RELEASE,
      next,
      ...values(['topClients.logLevel=debug', 'operator.logLevel=debug']),
    ]);
    await until(
      'the pages run as upgraded',
      async () =>
        JSON.stringify((await cluster.get('deployments', 'top-clients-page-gig')).spec.template).includes(
          '"debug"',
        ),
      180_000,
    );
    await Promise.all(PAGES.map((page) => settled(`top-clients-page-${page}`, 180_000)));
    await cluster.helm(['rollback', RELEASE]);
    await until(
      'the pages run as before',
      async () =>
        !JSON.stringify((await cluster.get('deployments', 'top-clients-page-gig')).spec.template).includes(
          '"debug"',
        ),
      180_000,
    );
    await Promise.all(PAGES.map((page) => settled(`top-clients-page-${page}`, 180_000)));
  });
  rmSync(next, { recursive: true });
});

journey("the chart's own test writes a client and sees it on a page", async () => {
  await cluster.helm(['test', RELEASE, '--timeout', '2m']);
});

journey(
  'the topic gets more partitions, and all sellers are published again, without a failed request',
  async () => {
    const status = async () => (await cluster.get('topclients/top-clients')).status;
    await withoutAFailedRequest(EVERY_PAGE, async () => {
      await cluster.patch('topclients/top-clients', { spec: { kafka: { partitions: 24 } } });
      await until(
        'messages are divided among 24 partitions',
        async () =>
          (await status()).partitions === 24 &&
          (await cluster.condition('topclients/top-clients', 'PartitionsSettled'))?.status === 'True',
        240_000,
      );
      await cluster.kubectl(['annotate', 'topclients/top-clients', 'topclients.dev/republish=a journey']);
      await until(
        'every seller was published again',
        async () => (await status()).republish?.finishedAt as string | undefined,
        180_000,
      );
    });
    await emptyList(9);
    await addClient(9, 'Twenty-four');
    await until(
      'a change made since is on the page',
      async () => JSON.stringify((await visitor.ask({ url: address.user(9) })).body).includes('Twenty-four'),
      60_000,
    );
  },
);

/** A page of somebody else, in Python, as its own manifests have it; in a namespace of its own. */
const THEIRS = `http://shop.${NAMESPACE}-theirs`;
const theirManifests = (): KubeObject[] =>
  parseAllDocuments(
    readFileSync(new URL('../../examples/python-page/kubernetes.yaml', import.meta.url), 'utf8')
      .replaceAll(/namespace: top-clients$/gm, `namespace: ${NAMESPACE}`)
      .replaceAll(/namespace: shop$/gm, `namespace: ${theirs.namespace}`)
      .replaceAll('metadata.name: shop', `metadata.name: ${theirs.namespace}`)
      .replace('registry.example.com/shop-page:1', PAGE_IMAGE)
      // For the same reason as the deadlines of our pages.
      .replace('env:\n', "env:\n            - { name: TC_DATABASE_SECONDS, value: '8' }\n"),
  ).map((document) => document.toJS() as KubeObject);
const secret = (name: string, stringData: Readonly<Record<string, string>>) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name },
  stringData,
});

journey('a page of somebody else joins with a database of its own, and leaves it as it was', async () => {
  await run('kubectl', ['create', 'namespace', theirs.namespace]);
  await theirDatabase.start();
  const before = await theirDatabase.schemas();
  const [resource, ...page] = theirManifests();
  const says = (type: string, words: string) =>
    until(
      `its condition ${type} says ${words}`,
      async () => (await cluster.condition('pageviews/shop', type))?.message.includes(words),
      90_000,
    );
  const ready = (reason: string) =>
    until(
      `the shop is ${reason}`,
      async () => (await cluster.condition('pageviews/shop', 'Ready'))?.reason === reason,
      120_000,
    );

  // What is wrong is told in the order in which it is met, and mended from outside.
  const { spec } = resource as unknown as { readonly spec: object };
  const small = {
    autoscaling: { maxReplicas: 2 },
    projector: { resources: { requests: { cpu: '10m' } } },
    watch: { resources: { requests: { cpu: '10m' } } },
  };
  await cluster.apply({ ...resource, spec: { ...spec, ...small, deletionPolicy: 'Delete' } });
  await says('Degraded', 'the secret shop-database');
  await cluster.apply(secret('shop-database', { url: theirDatabase.address('top_clients', 'wrong') }));
  await says('Progressing', 'password authentication failed');
  await cluster.apply(secret('shop-database', { url: theirDatabase.address('top_clients') }));
  await ready('Available');
  expect(await cluster.kubectl(['get', 'pageviews'])).toMatch(
    /^shop +True +Available +AsWanted +asynchronous +(\d+)\/\1 /m,
  );

  await theirs.apply(secret('shop-reader', { url: theirDatabase.address('shop') }));
  const { data } = await cluster.get('secrets', 'top-clients-caller-shop');
  await theirs.apply({ ...secret('top-clients-caller-shop', {}), data });
  for (const object of page) await theirs.apply(object);
  await theirs.kubectl(['rollout', 'status', 'deployment/shop', '--timeout=120s'], { timeoutMs: 130_000 });

  const seller = 11;
  const url = `${THEIRS}/sellers/${seller}`;
  const write = async (name: string): Promise<number> => {
    await emptyList(seller);
    return addClient(seller, name);
  };
  const shows = (name: string) =>
    until(
      `their page shows ${name}`,
      async () => JSON.stringify((await visitor.ask({ url })).body).includes(name),
      60_000,
    );
  await write('For the shop');
  await shows('For the shop');

  // Their database goes away: nothing is lost, and no other page is touched.
  let version = 0;
  await withoutAFailedRequest([address.gig(1)], async () => {
    await theirDatabase.stop();
    version = await write('While it was away');
    await ready('NotProjected');
  });
  await theirDatabase.resume();
  await shows('While it was away');
  await ready('Available');

  // What keeps the view up is killed, the view is switched and rolled back, and nobody who comes meanwhile notices.
  const show = async (wanted: number) => {
    await cluster.patch('pageviews/shop', { spec: { view: { version: wanted } } });
    const shown = () => theirDatabase.query('select view_version from top_clients.status', 'shop');
    await until(`v${wanted} is shown there`, async () => Number(await shown()) === wanted, 180_000);
  };
  const visits = await withoutAFailedRequest([`${url}?minVersion=${version}`], async () => {
    for (const name of await podsOf('projector', 'shop-asynchronous-v1'))
      await cluster.kubectl(['delete', 'pod', name, '--grace-period=0', '--force']);
    await show(2);
    await show(1);
  });
  for (const one of Object.values(visits)) expectComplete(one);

  const { body: eraser } = await visitor.ask({
    url: `http://top-clients-issuer:8080/token?seller=${seller}&scope=top-clients:erase`,
  });
  const { headers } = await visitor.ask({
    url: `${SOURCE}/v1/sellers/${seller}`,
    method: 'DELETE',
    headers: { authorization: `Bearer ${eraser.access_token}` },
  });
  type Store = { store: string; place: string | null; confirmedAt: string | null };
  await until(
    'their view has confirmed the erasure',
    async () => {
      const { body } = await visitor.ask({ url: `${SOURCE}${headers['location']}` });
      const stores = (body.stores as Store[]).filter(({ place }) => place === 'shop asynchronous-v1');
      return stores.length > 0 && stores.every(({ confirmedAt }) => confirmedAt !== null);
    },
    60_000,
  );
  expect((await visitor.ask({ url })).body.topClients.clients).toEqual([]);

  await cluster.kubectl(['delete', 'pageview', 'shop', '--timeout=120s'], { timeoutMs: 130_000 });
  expect(await theirDatabase.schemas()).toBe(before);
  await until(
    'nothing of it is left',
    async () => (await cluster.list('deployments')).every((one) => !/-shop(-|$)/.test(one.metadata.name)),
    60_000,
  );
});

journey('an uninstall leaves the definitions and the claims, and nothing else', async () => {
  await cluster.kubectl(['delete', 'pod', 'visitor']);
  await cluster.helm(['uninstall', RELEASE, '--wait', '--timeout', '2m']);
  const kinds = 'deployments,statefulsets,jobs,pods,services,topclients,pageviews';
  const scaled = (await hasKeda()) ? ',scaledobjects' : '';
  const left = async () =>
    (await cluster.kubectl(['get', kinds + scaled, '--output', 'name', '--ignore-not-found']))
      .split('\n')
      .filter((one) => one !== '');
  await until('all is gone', async () => (await left()).length === 0, 120_000);
  expect(
    await cluster.kubectl([
      'get',
      'crd',
      'topclients.topclients.dev',
      'pageviews.topclients.dev',
      '--output',
      'name',
    ]),
  ).toContain('pageviews');
  // Of Kafka, of the source and of the pages.
  expect((await cluster.list('persistentvolumeclaims')).length).toBe(3);
});
