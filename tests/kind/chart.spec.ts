/** The chart over all its values files: rendered, judged by Helm, by the schemas and by the API server. No image is needed. */

import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse, parseAllDocuments } from 'yaml';
import { ChartValues } from '#cdk8s/api/chart-values.ts';
import { PageViewSpec } from '#cdk8s/api/page-view.ts';
import { TopClientsSpec } from '#cdk8s/api/top-clients.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { FOREIGN_KINDS } from '#cdk8s/testing/foreign-kinds.ts';
import { withGlobals } from '#cdk8s/values.ts';
import { BUILT_IN, OF_OTHERS } from '../../services/operator/reconcilers/kinds.ts';
import { collectionPath } from '../../services/operator/runtime/resources.ts';
import { run } from '../support/run.ts';
import { Cluster } from './cluster.ts';

const NAMESPACE = `chart-${process.pid}`;
/** Where the chart is not only tried, but installed. */
const AGAIN = `${NAMESPACE}-again`;
const CHART = new URL('../../charts/top-clients/', import.meta.url).pathname;
const cluster = new Cluster(NAMESPACE);

const EXAMPLES = readdirSync(`${CHART}examples`).filter((name) => name.endsWith('.yaml'));
const DEMO = ['--values', `${CHART}examples/demo.yaml`];
/** Every values file, as arguments. */
const VALUES: readonly [name: string, args: readonly string[]][] = [
  ...EXAMPLES.map((name) => [name, ['--values', `${CHART}examples/${name}`]] as [string, string[]]),
];

/** Stands in for the Prometheus operator's where that is not installed. */
const POD_MONITOR = FOREIGN_KINDS.find(({ metadata }) => metadata.name.startsWith('podmonitors.'));
let broughtAlong = false;
/** Those that the examples name. */
const PRIORITIES = ['business-critical'];
const prioritiesMade: string[] = [];

const template = (args: readonly string[]) =>
  run('helm', ['template', 'top-clients', CHART, '--namespace', NAMESPACE, ...DEMO, ...args]);

async function rendered(args: readonly string[]): Promise<KubeObject[]> {
  const { code, stdout, stderr } = await template(args);
  if (code !== 0) throw new Error(stderr);
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as KubeObject | null)
    .filter((object) => object !== null);
}
/** As far as it is looked at. */
interface Stored {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly resourceVersion: string;
    readonly managedFields: readonly { readonly subresource?: string }[];
  };
  readonly status?: unknown;
}
// biome-ignore lint/suspicious/noExplicitAny: a manifest is as deep as it is
const specOf = (object: KubeObject | undefined): any => object?.['spec'];

beforeAll(async () => {
  await run('kubectl', ['apply', '--server-side', '--force-conflicts', '--filename', `${CHART}crds`]);
  await run('kubectl', [
    'wait',
    '--for=condition=Established',
    '--timeout=30s',
    '--filename',
    `${CHART}crds`,
  ]);
  const { code } = await run('kubectl', ['create', '--filename', '-'], {
    input: JSON.stringify(POD_MONITOR),
  });
  broughtAlong = code === 0;
  await run('kubectl', [
    'wait',
    '--for=condition=Established',
    '--timeout=30s',
    `crd/${POD_MONITOR?.metadata.name}`,
  ]);
  await cluster.apply({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: NAMESPACE,
      labels: {
        'pod-security.kubernetes.io/enforce': 'restricted',
        'pod-security.kubernetes.io/warn': 'restricted',
      },
    },
  });
  // A dry run leaves nothing behind, and a pod is let in only once its account and its priority class are there.
  await cluster.kubectl(['create', 'serviceaccount', 'top-clients-smoke']);
  for (const name of PRIORITIES) {
    const { code: made } = await run('kubectl', ['create', 'priorityclass', name, '--value=1000']);
    if (made === 0) prioritiesMade.push(name);
  }
}, 60_000);

afterAll(async () => {
  if (broughtAlong) await run('kubectl', ['delete', `crd/${POD_MONITOR?.metadata.name}`]);
  if (prioritiesMade.length > 0) await run('kubectl', ['delete', 'priorityclass', ...prioritiesMade]);
  for (const namespace of [NAMESPACE, AGAIN])
    await run('kubectl', ['delete', 'namespace', namespace, '--ignore-not-found', '--wait=false']);
});

test('there are values to start from, and the list of them is whole', async () => {
  expect(EXAMPLES.length).toBeGreaterThanOrEqual(6);
  const list = await readFile(`${CHART}examples/README.md`, 'utf8');
  const listed = [...list.matchAll(/\]\(([a-z-]+\.yaml)\)/g)].map(([, name]) => name);
  expect(listed.sort()).toEqual([...EXAMPLES].sort());
});

describe.each(VALUES)('with %s', (_name, args) => {
  test('lint has nothing to say', async () => {
    const { code, stdout, stderr } = await run('helm', ['lint', '--strict', CHART, ...args]);
    expect(`${stdout}${stderr}`).not.toMatch(/\[(WARNING|ERROR)\]/);
    expect(code).toBe(0);
  });

  test('the API server takes every object, under the restricted profile and without a warning', async () => {
    const objects = await rendered(args);
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    const { code, stdout, stderr } = await run(
      'kubectl',
      ['apply', '--server-side', '--dry-run=server', '--validate=strict', '--filename', '-'],
      { input: JSON.stringify(list) },
    );
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout.trim().split('\n')).toHaveLength(objects.length);
  });

  test('the custom resources are what the operator parses, from the values as they are', async () => {
    const objects = await rendered(args);
    const given = ChartValues.parse(parse(await readFile(args[1]!, 'utf8'), { merge: true }));
    const platform = TopClientsSpec.parse(specOf(objects.find(({ kind }) => kind === 'TopClients')));
    const { image, ...spec } = platform;
    const { image: _, ...wanted } = withGlobals(given);
    expect(spec).toEqual(wanted);
    // Only how to pull the image is added, and only where that is said.
    expect(image === undefined).toBe(!args[1]?.endsWith('private-registry.yaml'));
    const pages = objects.filter(({ kind }) => kind === 'PageView');
    for (const page of pages) {
      expect(PageViewSpec.parse(specOf(page))).toEqual(
        PageViewSpec.parse(given.pages[page.metadata.name] ?? {}),
      );
    }
    const wantedPages = Object.entries({ gig: {}, user: {}, search: {}, ...given.pages });
    expect(pages.map(({ metadata }) => metadata.name).sort()).toEqual(
      wantedPages.flatMap(([name, page]) => (page === null ? [] : [name])).sort(),
    );
  });

  test('what to do next is told, with a warning exactly where it is due', async () => {
    const { stdout } = await run('helm', [
      ...['install', 'top-clients', CHART, '--namespace', NAMESPACE, '--dry-run=client', ...args],
    ]);
    const notes = stdout.slice(stdout.indexOf('NOTES:'));
    expect(notes).toContain(`kubectl -n ${NAMESPACE} get topclients,pageviews`);
    expect(notes).not.toMatch(/\{\{|<no value>|%!/);
    expect(notes.includes('A DEMO')).toBe(!args[1]?.includes('production'));
    // Those are behind an ingress that they name.
    expect(notes.includes('trustedProxies is empty')).toBe(!args[1]?.includes('production'));
  });
});

describe('the same values once more change nothing', () => {
  const installed = new Cluster(AGAIN);
  beforeAll(async () => {
    await run('kubectl', ['create', 'namespace', AGAIN]);
  });

  /** Every object of the manifest as it is stored. Controllers write into the status of some, at any time. */
  async function stored(manifest: string): Promise<ReadonlyMap<string, unknown>> {
    const { items } = JSON.parse(
      await installed.kubectl(['get', '--show-managed-fields', '--output', 'json', '--filename', '-'], {
        input: manifest,
      }),
    ) as { items: Stored[] };
    return new Map(
      items.map(({ status, ...object }) => {
        const { resourceVersion, managedFields, ...metadata } = object.metadata;
        const ours = managedFields.filter(({ subresource }) => subresource !== 'status');
        const counted = status === undefined ? { resourceVersion } : {};
        return [
          `${object.kind} ${metadata.name}`,
          { ...object, metadata: { ...metadata, ...counted, managedFields: ours } },
        ];
      }),
    );
  }

  test.each(VALUES)('%s, applied by kubectl', async (_name, args) => {
    const { code, stdout, stderr } = await run('helm', [
      ...['template', 'top-clients', CHART, '--namespace', AGAIN, '--skip-tests'],
      // Once the definition of PodMonitor is there, as an install finds it.
      ...['--api-versions', 'monitoring.coreos.com/v1', ...args],
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const apply = () => installed.kubectl(['apply', '--server-side', '--filename', '-'], { input: stdout });
    try {
      await apply();
      const before = await stored(stdout);
      expect(before.size).toBeGreaterThan(10);
      await apply();
      expect(await stored(stdout)).toEqual(before);
    } finally {
      await installed.kubectl(['delete', '--ignore-not-found', '--wait=false', '--filename', '-'], {
        input: stdout,
      });
    }
  });

  test.each(VALUES)('%s, installed and upgraded by Helm', async (_name, args) => {
    try {
      await installed.helm(['install', 'top-clients', CHART, ...args]);
      const manifest = await installed.helm(['get', 'manifest', 'top-clients']);
      const before = await stored(manifest);
      expect(before.size).toBeGreaterThan(10);
      await installed.helm(['upgrade', 'top-clients', CHART, ...args]);
      expect(await installed.helm(['get', 'manifest', 'top-clients'])).toBe(manifest);
      expect(await stored(manifest)).toEqual(before);
    } finally {
      await run('helm', ['--namespace', AGAIN, 'uninstall', 'top-clients']);
    }
  });
});

describe('the operator', () => {
  const role = async (kind: string) =>
    (await rendered([])).find((object) => object.kind === kind)?.['rules'] as {
      apiGroups: string[];
      resources: string[];
      resourceNames?: string[];
      verbs: string[];
    }[];

  test('may do nothing by wildcard, and on cluster level only touch its two definitions', async () => {
    for (const rule of [...(await role('Role')), ...(await role('ClusterRole'))]) {
      expect([...rule.apiGroups, ...rule.resources, ...rule.verbs]).not.toContain('*');
    }
    expect(await role('ClusterRole')).toEqual([
      {
        apiGroups: ['apiextensions.k8s.io'],
        resources: ['customresourcedefinitions'],
        resourceNames: ['topclients.topclients.dev', 'pageviews.topclients.dev'],
        verbs: ['get', 'patch'],
      },
    ]);
  });

  test('may do what it takes to apply and prune every kind that it makes', async () => {
    const rules = await role('Role');
    for (const kind of [...BUILT_IN, ...OF_OTHERS]) {
      const [group = '', resource = ''] = [
        kind.apiVersion.includes('/') ? kind.apiVersion.split('/')[0] : '',
        collectionPath(kind, null).split('/').at(-1),
      ];
      const rule = rules.find(
        ({ apiGroups, resources }) => apiGroups.includes(group) && resources.includes(resource),
      );
      expect([kind, rule?.verbs]).toEqual([kind, ['get', 'list', 'watch', 'create', 'patch', 'delete']]);
    }
  });

  test('may not list secrets, nor write what people write; of pages it must, for its finalizer', async () => {
    const rules = await role('Role');
    const verbsOn = (resource: string) =>
      rules.filter(({ resources }) => resources.includes(resource)).flatMap(({ verbs }) => verbs);
    expect(verbsOn('secrets')).not.toContain('list');
    expect(verbsOn('topclients')).toEqual(['get', 'list', 'watch']);
    expect(verbsOn('pageviews')).toEqual(['get', 'list', 'watch', 'patch']);
    expect(verbsOn('pods')).toEqual(['get', 'list', 'watch']);
  });

  test('gets the reference of the image, by digest where one is given', async () => {
    const deployment = async (...args: string[]) =>
      specOf((await rendered(args)).find(({ kind }) => kind === 'Deployment')).template.spec.containers[0];
    const byTag = await deployment('--set', 'image.repository=r.example.com/tc,image.tag=v1');
    expect(byTag.image).toBe('r.example.com/tc:v1');
    expect(byTag.env).toContainEqual({ name: 'TC_IMAGE', value: 'r.example.com/tc:v1' });
    const digest = `sha256:${'ab'.repeat(32)}`;
    expect((await deployment('--set', `image.digest=${digest}`)).image).toBe(`top-clients@${digest}`);
    expect((await deployment('--set', 'image.tag=')).image).toMatch(/^top-clients:\d+\.\d+\.\d+$/);
  });

  test('lets nobody in but those who read metrics', async () => {
    const ingress = async (...args: string[]) =>
      specOf(
        (await rendered(args)).find(
          ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === 'top-clients-operator',
        ),
      ).ingress;
    expect(await ingress()).toHaveLength(1);
    // An empty list of peers would let in everybody.
    expect(await ingress('--set-json', 'topClients.networkPolicies.scrapersFrom=[]')).toBeUndefined();
  });
});

describe('wrong values are refused, and named', () => {
  test.each([
    ['topClients.kafka.partitons=3', "'/topClients/kafka': additional properties 'partitons' not allowed"],
    ['topClients.kafka.mode=kraft', "'/topClients/kafka/mode': value must be one of"],
    ['operator.replica=3', "'/operator': additional properties 'replica' not allowed"],
    ['pages.profile.delivery=hybrid', "'/pages/profile': missing property 'external'"],
    [
      'pages.gig.deletionPolicy=Delete',
      'pages.gig.deletionPolicy is Delete, but an uninstall takes the operator along',
    ],
    ['imagePullPolicy=Always', "additional properties 'imagePullPolicy' not allowed"],
    ['image.digest=sha256:12', "'/image/digest': 'sha256:12' does not match pattern"],
    ['pages.gig.delivery=eventual', 'value must be one of'],
    [
      'pages.gig.replicas=13',
      'pages.gig.replicas is 13, but topClients.kafka.partitions is 12: projectors beyond that would have nothing to read',
    ],
    [
      'topClients.kafka.partitions=4',
      'autoscaling.maxReplicas is 6, but topClients.kafka.partitions is 4: projectors beyond that',
    ],
  ])('%s', async (value, message) => {
    const { code, stderr } = await template(['--set', value]);
    expect(stderr).toContain(message);
    expect(code).not.toBe(0);
  });

  test('no values at all, with both ways on', async () => {
    const { code, stderr } = await run('helm', ['template', 'top-clients', CHART]);
    expect(stderr).toContain('set kafka.mode to strimzi or external');
    expect(stderr).toContain('--set topClients.profile=demo');
    expect(code).not.toBe(0);
  });
});

test.each([
  ['operator.resources.limits.memory=1Gi', 'Deployment'],
  ['operator.resources.limits.memory=300000000', 'Deployment'],
  ['test.enabled=true', 'Pod'],
])('with %s the heap of the %s follows the limit of its container', async (value, kind) => {
  const object = (await rendered(['--set', value])).find((one) => one.kind === kind);
  const { containers } = specOf(object).template?.spec ?? specOf(object);
  expect(containers[0].env).toContainEqual({
    name: 'NODE_OPTIONS',
    value: '--max-old-space-size-percentage=75',
  });
});

test('the test pod writes where it can sign in, and calls a page that is deployed', async () => {
  const env = async (...args: string[]) => {
    const pod = (await rendered(args)).find(({ kind }) => kind === 'Pod');
    return Object.fromEntries(
      specOf(pod).containers[0].env.map(({ name, value, valueFrom }: Record<string, unknown>) => [
        name,
        value ?? valueFrom,
      ]),
    );
  };
  expect(await env()).toMatchObject({
    TC_TOKEN_URL: 'http://top-clients-issuer:8080/token',
    TC_PAGE_URL: 'http://top-clients-page-gig:8080/gigs/1',
    TC_DEADLINE_MS: '60000',
    TC_SOURCE_CREDENTIAL: { secretKeyRef: { name: 'top-clients-callers', key: 'smoke', optional: true } },
  });
  expect((await env('--set', 'pages.gig=null'))['TC_PAGE_URL']).toBe(
    'http://top-clients-page-user:8080/users/1',
  );
  const production = await env('--values', `${CHART}examples/production-strimzi-cnpg.yaml`);
  expect(production['TC_TOKEN']).toEqual({ secretKeyRef: { name: 'top-clients-smoke-token', key: 'token' } });
  expect(production['TC_SELLER_ID']).toBe('900001');
  const external = await env('--values', `${CHART}examples/production-external.yaml`);
  expect(Object.keys(external).filter((name) => name.startsWith('TC_TOKEN'))).toEqual([]);
});

test('the definitions are kept when the chart goes', async () => {
  for (const file of readdirSync(`${CHART}crds`)) {
    const { metadata } = parse(await readFile(`${CHART}crds/${file}`, 'utf8'));
    expect(metadata.annotations['helm.sh/resource-policy']).toBe('keep');
  }
  // In crds/, and so no part of the release.
  expect((await rendered([])).map(({ kind }) => kind)).not.toContain('CustomResourceDefinition');
});
