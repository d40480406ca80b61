/** What the API server lets in, and how it refuses the rest. Nothing runs here: no image is needed. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { customResourceDefinitions } from '#cdk8s/api/crd.ts';
import { PageViewSpec } from '#cdk8s/api/page-view.ts';
import type { Rule } from '#cdk8s/api/shared.ts';
import { API_VERSION } from '#cdk8s/api/shared.ts';
import { TopClientsSpec } from '#cdk8s/api/top-clients.ts';
import { BROKEN_VALUES } from '#cdk8s/testing/broken-values.ts';
import { run } from '../support/run.ts';
import { Cluster, until } from './cluster.ts';

const NAMESPACE = `admission-${process.pid}`;
const CHART = new URL('../../charts/top-clients', import.meta.url).pathname;
const cluster = new Cluster(NAMESPACE);

type Spec = Record<string, unknown>;
const topClients = (spec: Spec, name = 'top-clients') => ({
  apiVersion: API_VERSION,
  kind: 'TopClients',
  metadata: { name, namespace: NAMESPACE },
  spec: { profile: 'demo', ...spec } as Spec,
});
const pageView = (spec: Spec, name = 'gig') => ({
  apiVersion: API_VERSION,
  kind: 'PageView',
  metadata: { name, namespace: NAMESPACE },
  spec,
});

/** What is said when this is created; fails when it is let in. */
const refusalOf = (object: unknown) =>
  cluster.refusal(['create', '--dry-run=server', '--filename', '-'], JSON.stringify(object));
/** What is said when what exists is changed so. */
const refusalOfChange = (what: string, spec: Spec) =>
  cluster.refusal(['patch', what, '--dry-run=server', '--type=merge', '--patch', JSON.stringify({ spec })]);

beforeAll(async () => {
  await run('kubectl', ['apply', '--server-side', '--force-conflicts', '--filename', `${CHART}/crds`]);
  await run('kubectl', [
    'wait',
    '--for=condition=Established',
    '--timeout=30s',
    '--filename',
    `${CHART}/crds`,
  ]);
  await cluster.kubectl(['create', 'namespace', NAMESPACE]);
}, 60_000);

afterAll(async () => {
  await run('kubectl', ['delete', 'namespace', NAMESPACE, '--ignore-not-found', '--wait=false']);
});

const EXTERNAL = { database: { existingSecret: 'shop-database' } };

type Values = Readonly<Partial<Record<'topClients' | 'pages', Readonly<Record<string, Spec>>>>>;
/** Rules of one object are the API server's; those between a page and its platform are the admission policy's. */
const OF_ONE_OBJECT = /^(topClients|pages\.[^.:]+)((?:\.\w+)*): (.*)$/;

/** Of each rule what breaks it: the path it is told with, the refusal, the object. */
const BROKEN: readonly [path: string, message: string, object: ReturnType<typeof topClients>][] = [
  ['TopClients', 'there is one platform in a namespace; name it top-clients', topClients({}, 'shop')],
  ['PageView', 'gig, user, search are served by Top Clients, without external', pageView({}, 'profile')],
  ...['source', 'self-view', '1st'].map((name): [string, string, ReturnType<typeof topClients>] => [
    'PageView',
    'the name of a page of yours has at most 19 lower-case letters',
    pageView({ external: EXTERNAL }, name),
  ]),
  ...BROKEN_VALUES.flatMap(([sentence, values]): [string, string, ReturnType<typeof topClients>][] => {
    const [, at, below, message] = OF_ONE_OBJECT.exec(sentence) ?? [];
    if (at === undefined) return [];
    const { topClients: platform, pages } = values as Values;
    const [name, page] = Object.entries(pages ?? {})[0] ?? [];
    // What is wrong with a name has no place in the spec.
    const path = /served by Top Clients, without|the name of a page/.test(message!)
      ? 'PageView'
      : `spec${below!.replace(/\.(\d+)/g, '[$1]')}`;
    return [[path, message!, name === undefined ? topClients(platform!) : pageView(page!, name)]];
  }),
];

describe('what breaks a rule is refused, with what to change', () => {
  test.each(BROKEN)('%s: %s', async (path, message, object) => {
    const refusal = await refusalOf(object);
    expect(refusal).toContain(message);
    expect(refusal).toContain(path);
  });
});

describe('what exists cannot be changed so that data would stay behind', () => {
  const CHANGED: readonly [message: string, spec: Spec][] = [
    [
      'kafka.mode is fixed, for the events would stay behind',
      { kafka: { mode: 'external', external: { brokers: ['kafka:9092'] } } },
    ],
    ['kafka.partitions can grow but not shrink', { kafka: { partitions: 11 } }],
    ['postgres.servers is fixed, for the databases would not move', { postgres: { servers: 'each' } }],
    ['postgres.mode is fixed, for the data would stay behind', { postgres: { mode: 'cnpg' } }],
    [
      'storage.size of an embedded server is fixed, for its volume exists',
      { postgres: { embedded: { storage: { size: '16Gi' } } } },
    ],
    ['storage.size can grow but not shrink', { kafka: { strimzi: { storage: { size: '40Gi' } } } }],
    [
      'storage.className is fixed, for the volumes exist',
      { postgres: { cnpg: { storage: { className: 'fast' } } } },
    ],
  ];

  beforeAll(() => cluster.apply(topClients({ postgres: { servers: 'separate' } })));
  afterAll(() => cluster.kubectl(['delete', 'topclients/top-clients']));

  test.each(CHANGED)('%s', async (message, spec) => {
    expect(await refusalOfChange('topclients/top-clients', spec)).toContain(message);
  });

  test('growing is no such change', async () => {
    const grown = { kafka: { partitions: 24, strimzi: { storage: { size: '51Gi' } } } };
    const patch = ['--type=merge', '--patch', JSON.stringify({ spec: grown })];
    await cluster.kubectl(['patch', 'topclients/top-clients', '--dry-run=server', ...patch]);
  });

  test('partitions that were raised may be taken back until messages are divided among them', async () => {
    const patch = (spec: object, ...flags: string[]) =>
      cluster.kubectl([
        'patch',
        'topclients/top-clients',
        ...flags,
        '--type=merge',
        '--patch',
        JSON.stringify(spec),
      ]);
    const wanted = (partitions: number) => ({ spec: { kafka: { partitions } } });
    await patch(wanted(24));
    await patch({ status: { partitions: 12 } }, '--subresource=status');
    await patch(wanted(12), '--dry-run=server');
    expect(await refusalOfChange('topclients/top-clients', { kafka: { partitions: 11 } })).toContain(
      'kafka.partitions can grow but not shrink',
    );
    await patch({ status: { partitions: 24 } }, '--subresource=status');
    expect(await refusalOfChange('topclients/top-clients', { kafka: { partitions: 12 } })).toContain(
      'kafka.partitions can grow but not shrink',
    );
  });

  test('no rule of the definitions is left untried', () => {
    const rules = new Set<string>();
    JSON.stringify(customResourceDefinitions(), (keyword, value) => {
      if (keyword === 'x-kubernetes-validations')
        for (const { message } of value as Rule[]) rules.add(message);
      return value;
    });
    const tried = [...BROKEN.map(([, message]) => message), ...CHANGED.map(([message]) => message)];
    expect([...rules].filter((rule) => !tried.some((message) => rule.startsWith(message)))).toEqual([]);
  });
});

describe('what does not fit the schema is refused, with its place', () => {
  test.each([
    ['unknown field "spec.kafka.partitons"', topClients({ kafka: { partitons: 3 } })],
    ['spec.kafka.mode: Unsupported value: "kraft"', topClients({ kafka: { mode: 'kraft' } })],
    [
      'spec.kafka.external.brokers[0]: Invalid value: "kafka"',
      topClients({ kafka: { mode: 'external', external: { brokers: ['kafka'] } } }),
    ],
    [
      'spec.kafka.external.sasl.existingSecret: Required value',
      topClients({ kafka: { external: { brokers: ['k:1'], sasl: { mechanism: 'plain' } } } }),
    ],
    [
      'spec.auth.jwksUrl: Invalid value: "login"',
      topClients({ auth: { demoIssuer: false, jwksUrl: 'login' } }),
    ],
    ['spec.auth.algorithms[0]: Unsupported value: "HS256"', topClients({ auth: { algorithms: ['HS256'] } })],
    [
      'spec.publicUrls.selfView: Invalid value: "https://example.com/my"',
      topClients({ publicUrls: { selfView: 'https://example.com/my' } }),
    ],
    ['spec.delivery: Unsupported value: "eventual"', pageView({ delivery: 'eventual' })],
    ['spec.replicas: Invalid value: 0', pageView({ replicas: 0 })],
    [
      'spec.server.resources.limits.memory: Invalid value: "1 GB"',
      pageView({ server: { resources: { limits: { memory: '1 GB' } } } }),
    ],
    ['spec.view.version: Invalid value: "string"', pageView({ view: { version: '2' } })],
  ])('%s', async (message, object) => {
    expect(await refusalOf(object)).toContain(message);
  });
});

describe('what is let in', () => {
  beforeAll(async () => {
    await cluster.apply(topClients({}));
    await cluster.apply(pageView({ server: { resources: { requests: { cpu: 1 } } } }));
  });

  test('is filled in with the defaults that the operator parses', async () => {
    expect((await cluster.get('topclients/top-clients')).spec).toEqual(
      TopClientsSpec.parse({ profile: 'demo' }),
    );
    const { spec } = await cluster.get('pageview/gig');
    expect(spec.server.resources.requests).toEqual({ cpu: 1, memory: '256Mi' });
    expect(PageViewSpec.parse(spec)).toEqual(
      PageViewSpec.parse({ server: { resources: { requests: { cpu: 1 } } } }),
    );
  });

  test('a page is scaled by kubectl', async () => {
    await cluster.kubectl(['scale', 'pageview', 'gig', '--replicas', '3']);
    expect((await cluster.get('pageview/gig')).spec.replicas).toBe(3);
  });

  test('a list shows how a page and the platform are doing', async () => {
    const status = (what: string, value: unknown) =>
      cluster.kubectl([
        ...['patch', what, '--subresource=status', '--type=merge'],
        ...['--patch', JSON.stringify({ status: value })],
      ]);
    const condition = (type: string, value: string, reason: string) => ({
      ...{ type, status: value, reason, message: 'x', observedGeneration: 1 },
      lastTransitionTime: '2026-11-23T12:00:00Z',
    });
    const conditions = [
      condition('Ready', 'False', 'NotProjected'),
      condition('Degraded', 'True', 'ErrImagePull'),
    ];
    await status('pageview/gig', {
      conditions,
      ready: '2/2',
      replicas: 3,
      selector: 'app.kubernetes.io/component=projector',
      lag: 12,
      view: 'v1 → v2 80 %',
    });
    await status('topclients/top-clients', { conditions, ready: '5/5', image: 'top-clients:dev' });
    const rows = async (what: string) =>
      (await cluster.kubectl(['get', what]))
        .trim()
        .split('\n')
        .map((row) => row.trim().split(/\s{2,}/));
    const [head, gig] = await rows('tpv');
    expect(head).toEqual([
      ...['NAME', 'READY', 'REASON', 'TROUBLE'],
      ...['DELIVERY', 'SERVERS', 'REPLICAS', 'LAG', 'VIEW', 'AGE'],
    ]);
    expect(gig?.slice(0, 9)).toEqual([
      ...['gig', 'False', 'NotProjected', 'ErrImagePull'],
      ...['asynchronous', '2/2', '3', '12', 'v1 → v2 80 %'],
    ]);
    const [titles, platform] = await rows('tc');
    expect(titles).toEqual([
      ...['NAME', 'READY', 'REASON', 'TROUBLE'],
      ...['WORKLOADS', 'KAFKA', 'POSTGRES', 'IMAGE', 'AGE'],
    ]);
    expect(platform?.slice(0, 8)).toEqual([
      ...['top-clients', 'False', 'NotProjected', 'ErrImagePull'],
      ...['5/5', 'embedded', 'embedded', 'top-clients:dev'],
    ]);
    // The category: both kinds in one list.
    const both = await cluster.kubectl(['get', 'top-clients', '--output', 'name']);
    expect(both.trim().split('\n')).toEqual(
      expect.arrayContaining(['pageview.topclients.dev/gig', 'topclients.topclients.dev/top-clients']),
    );
    expect(await cluster.kubectl(['get', 'topclients', 'top-clients', '--output', 'name'])).toBe(
      'topclients.topclients.dev/top-clients\n',
    );
    const scale = ['get', '--raw', `/apis/${API_VERSION}/namespaces/${NAMESPACE}/pageviews/gig/scale`];
    expect(JSON.parse(await cluster.kubectl(scale))).toMatchObject({
      spec: { replicas: 3 },
      status: { replicas: 3, selector: 'app.kubernetes.io/component=projector' },
    });
  });

  test('conditions of one type are one, whoever writes them', async () => {
    const condition = (type: string) => ({
      type,
      status: 'True',
      reason: 'Because',
      message: 'A sentence.',
      lastTransitionTime: '2026-11-23T14:51:02Z',
    });
    const write = (manager: string, ...types: string[]) =>
      cluster.kubectl(
        ['apply', '--server-side', '--subresource=status', '--field-manager', manager, '--filename', '-'],
        {
          input: JSON.stringify({
            apiVersion: API_VERSION,
            kind: 'PageView',
            metadata: { name: 'gig', namespace: NAMESPACE },
            status: { conditions: types.map(condition) },
          }),
        },
      );
    await cluster.kubectl([
      ...['patch', 'pageview/gig', '--subresource=status', '--type=merge'],
      ...['--patch', '{"status":{"conditions":null}}'],
    ]);
    await write('one', 'Ready');
    await write('another', 'ViewCurrent');
    const { status } = await cluster.get('pageview/gig');
    expect(status.conditions.map(({ type }: { type: string }) => type).sort()).toEqual([
      'Ready',
      'ViewCurrent',
    ]);
  });
});

describe('with the admission policy of the chart', () => {
  const policy = async () => {
    const { stdout } = await run('helm', [
      ...['template', 'top-clients', CHART, '--namespace', NAMESPACE],
      ...['--show-only', 'templates/admission-policy.yaml', '--set', 'topClients.profile=demo'],
    ]);
    return stdout;
  };

  beforeAll(async () => {
    await cluster.kubectl(['apply', '--filename', '-'], { input: await policy() });
    await cluster.apply(topClients({ kafka: { partitions: 12 } }));
    await cluster.apply(pageView({ replicas: 1 }));
    // It holds once every API server has read it.
    await until(
      'the policy holds',
      async () => (await refusalOf(pageView({ replicas: 13 }, 'user'))) !== '',
      30_000,
    );
  }, 60_000);
  afterAll(async () => {
    await run('kubectl', ['delete', '--ignore-not-found', '--filename', '-'], { input: await policy() });
  });

  test('more projectors than the topic has partitions are refused, with both numbers', async () => {
    expect(await refusalOf(pageView({ replicas: 13 }, 'user'))).toContain(
      'replicas is 13, but the topic has 12 partitions: further projectors would have nothing to read',
    );
    expect(await refusalOf(pageView({ autoscaling: { maxReplicas: 14 } }, 'user'))).toContain(
      'autoscaling.maxReplicas is 14, but the topic has 12 partitions',
    );
  });

  test('also by kubectl scale, and as a change', async () => {
    expect(await cluster.refusal(['scale', 'pageview', 'gig', '--replicas', '13'])).toContain(
      'replicas is 13, but the topic has 12 partitions',
    );
    expect(await refusalOfChange('pageview/gig', { autoscaling: { maxReplicas: 13 } })).toContain(
      'autoscaling.maxReplicas is 13, but the topic has 12 partitions',
    );
    await cluster.kubectl(['scale', 'pageview', 'gig', '--replicas', '12']);
  });

  test('one server of a page is refused where the platform is for production', async () => {
    const one = pageView({ server: { replicas: 1 } }, 'user');
    await cluster.kubectl(['create', '--dry-run=server', '--filename', '-'], { input: JSON.stringify(one) });
    const production = topClients({
      profile: 'production',
      kafka: { mode: 'strimzi' },
      postgres: { mode: 'cnpg' },
      auth: { issuer: 'https://login.example.com', jwksUrl: 'https://login.example.com/keys' },
      publicUrls: { selfView: 'https://my.example.com' },
    });
    await cluster.kubectl(['delete', 'topclients/top-clients']);
    await cluster.apply(production);
    await until('the policy has seen it', async () => (await refusalOf(one)) !== '', 10_000);
    expect(await refusalOf(one)).toContain('server.replicas is 1, but profile production');
    await cluster.kubectl(['delete', 'topclients/top-clients']);
    await cluster.apply(topClients({ kafka: { partitions: 12 } }));
    await cluster.kubectl(['create', '--dry-run=server', '--filename', '-'], { input: JSON.stringify(one) });
  });

  test('the platform’s own number counts, and where there is no platform every number is fine', async () => {
    await cluster.patch('topclients/top-clients', { spec: { kafka: { partitions: 13 } } });
    const wanted = pageView({ replicas: 13 }, 'user');
    const create = () =>
      cluster.kubectl(['create', '--dry-run=server', '--filename', '-'], { input: JSON.stringify(wanted) });
    await until('the policy has seen it', create, 10_000);
    await cluster.kubectl(['delete', 'topclients/top-clients']);
    wanted.spec = { replicas: 20 };
    await until('the policy has seen it', create, 10_000);
  });
});
