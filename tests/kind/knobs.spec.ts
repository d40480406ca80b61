/** Each value of the chart beside the two specs acts, and names are taken as they come. Needs Helm, and no cluster. */
import { expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { ChartValues } from '#cdk8s/api/chart-values.ts';
import type { PodSettings } from '#cdk8s/api/pod-settings.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { run } from '../support/run.ts';

const CHART = new URL('../../charts/top-clients/', import.meta.url).pathname;

// biome-ignore lint/suspicious/noExplicitAny: a manifest is as deep as it is
type Any = any;

async function helm(values: object, { release = 'top-clients', namespace = 'shop' } = {}) {
  return run('helm', ['template', release, CHART, '--namespace', namespace, '--values', '-'], {
    input: JSON.stringify({ ...values, topClients: { profile: 'demo', ...(values as Any).topClients } }),
  });
}

/** What the chart gives, found by kind and the end of its name. */
class Rendered {
  readonly objects: readonly KubeObject[];
  constructor(objects: readonly KubeObject[]) {
    this.objects = objects;
  }
  all(kind: string): Any[] {
    return this.objects.filter((object) => object.kind === kind);
  }
  of(kind: string, name = ''): Any {
    return this.all(kind).find(({ metadata }) => metadata.name.endsWith(name));
  }
  get operator(): Any {
    return this.of('Deployment').spec.template;
  }
  get test(): Any {
    return this.of('Pod');
  }
  get platform(): Any {
    return this.of('TopClients').spec;
  }
}

async function rendered(values: object, named?: { release?: string; namespace?: string }): Promise<Rendered> {
  const { code, stdout, stderr } = await helm(values, named);
  if (code !== 0) throw new Error(stderr);
  const documents = parseAllDocuments(stdout, { version: '1.1' });
  for (const { errors } of documents) expect(errors).toEqual([]);
  return new Rendered(documents.map((one) => one.toJS() as KubeObject | null).filter((one) => one !== null));
}

const env = ({ spec }: Any): Any =>
  Object.fromEntries(
    spec.containers[0].env.map(({ name, value, valueFrom }: Any) => [name, value ?? valueFrom]),
  );
const POD = { nodeSelector: { pool: 'brands' } };
const DIGEST = `sha256:${'ab'.repeat(32)}`;

/** A value, and what of the objects tells that it acts. */
const KNOBS: readonly (readonly [
  path: string,
  value: unknown,
  sees: (chart: Rendered) => unknown,
  want: unknown,
])[] = [
  [
    'image.repository',
    'r.example.com/tc',
    ({ operator }) => operator.spec.containers[0].image,
    'r.example.com/tc:dev',
  ],
  ['image.tag', '20240607', ({ operator }) => operator.spec.containers[0].image, 'top-clients:20240607'],
  ['image.digest', DIGEST, ({ operator }) => env(operator).TC_IMAGE, `top-clients@${DIGEST}`],
  [
    'image.pullPolicy',
    'Always',
    ({ operator, platform }) => [operator.spec.containers[0].imagePullPolicy, platform.image.pullPolicy],
    ['Always', 'Always'],
  ],
  [
    'image.pullSecrets',
    ['mirror'],
    ({ operator, test, platform }) => [
      operator.spec.imagePullSecrets,
      test.spec.imagePullSecrets,
      platform.image.pullSecrets,
    ],
    [[{ name: 'mirror' }], [{ name: 'mirror' }], ['mirror']],
  ],
  [
    'operator.enabled',
    false,
    (chart) => [...kindsOf(chart)].filter((kind) => /Deployment|Role|Budget/.test(kind)),
    [],
  ],
  [
    'watchNamespaces',
    ['*'],
    (chart) => [
      env(chart.operator).TC_WATCH_NAMESPACES,
      chart.all('Role').length,
      chart.all('ClusterRole').length,
    ],
    ['*', 0, 2],
  ],
  [
    'platform.enabled',
    false,
    (chart) => [...kindsOf(chart)].filter((kind) => /TopClients|PageView|Admission|Pod$/.test(kind)),
    [],
  ],
  ['operator.replicas', 3, (chart) => chart.of('Deployment').spec.replicas, 3],
  ['operator.logLevel', 'debug', ({ operator }) => env(operator).TC_LOG_LEVEL, 'debug'],
  ['operator.resyncSeconds', 60, ({ operator }) => env(operator).TC_RESYNC_SECONDS, '60'],
  [
    'operator.resources.requests.cpu',
    '70m',
    ({ operator }) => operator.spec.containers[0].resources.requests.cpu,
    '70m',
  ],
  [
    'operator.resources.requests.memory',
    '200Mi',
    ({ operator }) => operator.spec.containers[0].resources.requests.memory,
    '200Mi',
  ],
  [
    'operator.resources.limits.cpu',
    2,
    ({ operator }) => String(operator.spec.containers[0].resources.limits.cpu),
    '2',
  ],
  [
    'operator.resources.limits.memory',
    '1Gi',
    ({ operator }) => operator.spec.containers[0].resources.limits.memory,
    '1Gi',
  ],
  ['operator.pod', POD, ({ operator }) => operator.spec.nodeSelector, { pool: 'brands' }],
  ['operator.podLabels', { team: 'brands' }, ({ operator }) => operator.metadata.labels.team, 'brands'],
  [
    'operator.podAnnotations',
    { team: 'brands' },
    ({ operator }) => operator.metadata.annotations.team,
    'brands',
  ],
  [
    'operator.nodeSelector',
    { pool: 'brands' },
    ({ operator }) => operator.spec.nodeSelector,
    { pool: 'brands' },
  ],
  [
    'operator.tolerations',
    [{ key: 'brands' }],
    ({ operator }) => operator.spec.tolerations,
    [{ key: 'brands' }],
  ],
  ['operator.priorityClassName', 'brands', ({ operator }) => operator.spec.priorityClassName, 'brands'],
  [
    'admissionPolicy.enabled',
    false,
    (chart) =>
      chart.of('ValidatingAdmissionPolicy', 'pageviews.shop.topclients.dev') ??
      chart.all('ValidatingAdmissionPolicyBinding').length,
    1,
  ],
  [
    'deletionGuard.enabled',
    false,
    (chart) =>
      chart.of('ValidatingAdmissionPolicy', 'data.shop.topclients.dev') ??
      chart.all('ValidatingAdmissionPolicyBinding').length,
    1,
  ],
  ['dashboards.enabled', false, (chart) => chart.all('ConfigMap'), []],
  ['dashboards.labels', { sidecar: 'yes' }, (chart) => chart.of('ConfigMap').metadata.labels.sidecar, 'yes'],
  [
    'dashboards.annotations',
    { folder: 'Shop' },
    (chart) => chart.of('ConfigMap').metadata.annotations.folder,
    'Shop',
  ],
  [
    'test.enabled',
    false,
    (chart) => [chart.test, chart.of('ServiceAccount', '-smoke'), chart.of('NetworkPolicy', '-smoke')],
    [undefined, undefined, undefined],
  ],
  ['test.sellerId', 900_001, ({ test }) => env(test).TC_SELLER_ID, '900001'],
  [
    'test.gigId',
    12_345_678,
    ({ test }) => env(test).TC_PAGE_URL,
    'http://top-clients-page-gig:8080/gigs/12345678',
  ],
  [
    'test.deadlineSeconds',
    90,
    ({ test }) => [env(test).TC_DEADLINE_MS, test.spec.activeDeadlineSeconds],
    ['90000', 210],
  ],
  [
    'test.existingSecret',
    '007',
    ({ test }) => env(test).TC_TOKEN,
    { secretKeyRef: { name: '007', key: 'token' } },
  ],
  ['test.tokenKey', '1e3', ({ test }) => env(test).TC_TOKEN?.secretKeyRef.key, '1e3'],
  ['test.pod', POD, ({ test }) => test.spec.nodeSelector, { pool: 'brands' }],
  [
    'commonLabels',
    { cost: '7' },
    ({ objects, operator, platform }) => [
      objects
        .filter(({ metadata }) => metadata.labels?.['cost'] !== '7')
        .map(({ metadata }) => metadata.name),
      operator.metadata.labels.cost,
      platform.commonLabels,
    ],
    [[], '7', { cost: '7' }],
  ],
  [
    'nameOverride',
    'brands',
    (chart) => [
      chart.of('Deployment').metadata.name,
      chart.test.metadata.name,
      chart.of('ConfigMap').metadata.name.split('-')[0],
    ],
    ['brands-operator', 'brands-smoke', 'brands'],
  ],
  [
    'fullnameOverride',
    '1-brands',
    (chart) =>
      namesOf(chart).filter(
        (name) =>
          !name.startsWith('1-brands-') &&
          !/^(pageviews|data)\.shop\.|^(top-clients|gig|user|search)$/.test(name),
      ),
    [],
  ],
  ['rbac.create', false, ({ objects }) => objects.filter(({ kind }) => /Role/.test(kind)), []],
  [
    'serviceAccount.create',
    false,
    (chart) => [chart.of('ServiceAccount', '-operator'), chart.operator.spec.serviceAccountName],
    [undefined, 'top-clients-operator'],
  ],
  [
    'serviceAccount.name',
    '007',
    (chart) => [
      chart.of('ServiceAccount', '007').metadata.name,
      chart.operator.spec.serviceAccountName,
      ...subjects(chart),
    ],
    ['007', '007', '007', '007'],
  ],
  [
    'serviceAccount.annotations',
    { identity: 'brands' },
    (chart) => chart.of('ServiceAccount', '-operator').metadata.annotations,
    { identity: 'brands' },
  ],
  ['crds.enabled', false, (chart) => [...chart.all('ClusterRole'), ...chart.all('ClusterRoleBinding')], []],
  [
    'global.imageRegistry',
    'm.example.com:5000',
    ({ operator, test, platform }) => [
      operator.spec.containers[0].image,
      env(operator).TC_IMAGE,
      test.spec.containers[0].image,
      platform.kafka.embedded.image,
      platform.postgres.embedded.image,
    ],
    [
      ...Array(3).fill('m.example.com:5000/top-clients:dev'),
      'm.example.com:5000/apache/kafka:4.3.1',
      'm.example.com:5000/postgres:18',
    ],
  ],
  [
    'global.imagePullSecrets',
    ['mirror', { name: 'other' }],
    ({ operator, test, platform }) => [
      operator.spec.imagePullSecrets,
      test.spec.imagePullSecrets,
      platform.pods.imagePullSecrets,
    ],
    [
      [{ name: 'mirror' }, { name: 'other' }],
      [{ name: 'mirror' }, { name: 'other' }],
      ['mirror', 'other'],
    ],
  ],
];

const kindsOf = ({ objects }: Rendered) => new Set(objects.map(({ kind }) => kind));
const namesOf = ({ objects }: Rendered) => objects.map(({ metadata }) => metadata.name);
const subjects = ({ objects }: Rendered) =>
  objects.flatMap((object: Any) => (object.subjects ?? []).map(({ name }: Any) => name));

const nested = (path: string, value: unknown): object =>
  path.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as object;
/** Another one that this one needs. */
const WITH: Readonly<Record<string, object>> = { 'test.tokenKey': { test: { existingSecret: 'token' } } };

let otherwise: Promise<Rendered> | undefined;
test.each(KNOBS)('%s acts', async (path, value, sees, want) => {
  const wanted = nested(path, value) as Any;
  const others = WITH[path] as Any;
  const [part] = path.split('.') as [string];
  const values = others ? { [part]: { ...others[part], ...wanted[part] } } : wanted;
  otherwise ??= rendered({});
  const before = await (others ? rendered(others) : otherwise);
  const after = await rendered(values);
  expect(sees(after)).toEqual(want);
  // What tells that it acts would tell that it does not.
  let without: unknown;
  try {
    without = sees(before);
  } catch {
    without = 'nothing to see';
  }
  expect(without).not.toEqual(want);
});

test('the values that are tried are all there are beside the specs', () => {
  const schema = z.toJSONSchema(ChartValues, { io: 'input', reused: 'inline', target: 'draft-07' }) as Any;
  const leaves = (one: Any, path: readonly string[]): string[] => {
    const members = Object.entries(one.properties ?? {});
    return members.length === 0 || path.at(-1) === 'pod'
      ? [path.join('.')]
      : members.flatMap(([name, member]) => leaves(member, [...path, name]));
  };
  const { topClients: _, pages: __, ...properties } = schema.properties;
  expect(KNOBS.map(([path]) => path).sort()).toEqual(leaves({ properties }, []).sort());
});

/** Of each setting of pods, a value and where a pod shows it. */
const POD_KNOBS: Readonly<
  Record<keyof typeof PodSettings.shape, readonly [value: unknown, sees: (pod: Any) => unknown]>
> = {
  labels: [{ team: 'brands' }, ({ metadata }) => ({ team: metadata.labels.team })],
  annotations: [{ scan: 'no' }, ({ metadata }) => ({ scan: metadata.annotations.scan })],
  serviceAccountAnnotations: [{ identity: 'brands' }, () => undefined],
  nodeSelector: [{ pool: 'brands' }, ({ spec }) => spec.nodeSelector],
  tolerations: [[{ key: 'brands', operator: 'Exists' }], ({ spec }) => spec.tolerations],
  affinity: [{ nodeAffinity: { x: 1 } }, ({ spec }) => spec.affinity],
  topologySpreadConstraints: [
    [
      {
        topologyKey: 'rack',
        maxSkew: 2,
        whenUnsatisfiable: 'DoNotSchedule',
        labelSelector: { matchLabels: { team: 'brands' } },
      },
    ],
    ({ spec }) => spec.topologySpreadConstraints,
  ],
  priorityClassName: ['brands', ({ spec }) => spec.priorityClassName],
  runtimeClassName: ['sandbox', ({ spec }) => spec.runtimeClassName],
  schedulerName: ['packer', ({ spec }) => spec.schedulerName],
  imagePullSecrets: [['mirror'], ({ spec }) => spec.imagePullSecrets?.map(({ name }: Any) => name)],
  extraEnv: [
    [{ name: 'HTTPS_PROXY', value: 'http://proxy' }],
    ({ spec }) => spec.containers[0].env.slice(-1),
  ],
  extraVolumes: [[{ name: 'ca', configMap: { name: 'ca' } }], ({ spec }) => spec.volumes?.slice(-1)],
  extraVolumeMounts: [
    [{ name: 'ca', mountPath: '/ca' }],
    ({ spec }) => spec.containers[0].volumeMounts?.slice(-1),
  ],
  userIds: ['assigned', ({ spec }) => (spec.securityContext.runAsUser === undefined ? 'assigned' : 'fixed')],
  podSecurityContext: [
    { supplementalGroups: [7] },
    ({ spec }) => ({ supplementalGroups: spec.securityContext.supplementalGroups }),
  ],
  containerSecurityContext: [
    { procMount: 'Default' },
    ({ spec }) => ({ procMount: spec.containers[0].securityContext.procMount }),
  ],
  dnsPolicy: ['None', ({ spec }) => spec.dnsPolicy],
  dnsConfig: [{ nameservers: ['fd00::53'] }, ({ spec }) => spec.dnsConfig],
  hostAliases: [[{ ip: 'fd00::1', hostnames: ['db'] }], ({ spec }) => spec.hostAliases],
};
const { serviceAccountAnnotations, ...ofPods } = POD_KNOBS;
const settings = Object.fromEntries(Object.entries(ofPods).map(([name, [value]]) => [name, value]));

test.each([
  ['topClients.pods', { topClients: { pods: settings } }, ['operator', 'test']],
  ['operator.pod', { operator: { pod: settings } }, ['operator']],
  ['test.pod', { test: { pod: settings } }, ['test']],
] as const)('every setting of %s reaches the pods of the chart, and no other', async (_, values, parts) => {
  const chart = await rendered(values);
  for (const part of ['operator', 'test'] as const) {
    for (const [name, [value, sees]] of Object.entries(ofPods)) {
      const seen = [part, name, sees(chart[part])];
      if (parts.some((one) => one === part)) expect(seen).toEqual([part, name, value]);
      else expect(seen).not.toEqual([part, name, value]);
    }
  }
});

test.each([
  ['topClients.pods', { topClients: { pods: { serviceAccountAnnotations: { identity: 'brands' } } } }],
  ['operator.pod', { operator: { pod: { serviceAccountAnnotations: { identity: 'brands' } } } }],
])('%s gives the account of the operator its identity', async (_, values) => {
  const chart = await rendered(values);
  expect(chart.of('ServiceAccount', '-operator').metadata.annotations).toEqual(serviceAccountAnnotations[0]);
});

test.each(['imageRegisty', 'storageClass'])(
  'global.%s is refused by name, with those there are',
  async (name) => {
    const { code, stderr } = await helm({ global: { [name]: 'x' } });
    expect(stderr).toContain(
      `global.${name} is not a value of this chart; it has global.imageRegistry and global.imagePullSecrets; correct or remove it`,
    );
    expect(code).not.toBe(0);
  },
);

test.each([
  ['123', '456'],
  ['1e3', '0x1f'],
  ['true', 'null'],
  ['7.of-nine.0x10', '2024-06-07'],
  ['a'.repeat(53), 'b'.repeat(63)],
])('a release called %s in a namespace called %s is as good as another', async (release, namespace) => {
  const callers = [{ namespace }];
  const chart = await rendered(
    { topClients: { networkPolicies: { scrapersFrom: callers } } },
    { release, namespace },
  );
  for (const { kind, metadata } of chart.objects) {
    const place =
      kind.startsWith('ValidatingAdmission') || kind.startsWith('ClusterRole') ? undefined : namespace;
    expect([kind, metadata.namespace]).toEqual([kind, place]);
    expect(metadata.labels?.['app.kubernetes.io/instance']).toBe(release);
    expect(metadata.name).toMatch(/^[a-z0-9]([-a-z0-9.:]{0,251}[a-z0-9])?$/);
  }
  expect(new Set(chart.objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).size).toBe(
    chart.objects.length,
  );
  const { spec } = chart.of('Deployment');
  for (const [label, value] of Object.entries(spec.selector.matchLabels)) {
    expect(spec.template.metadata.labels[label]).toBe(value);
  }
  for (const { labelSelector } of spec.template.spec.topologySpreadConstraints)
    expect(labelSelector.matchLabels).toEqual(spec.selector.matchLabels);
  expect(chart.of('PodDisruptionBudget').spec.selector.matchLabels).toEqual(spec.selector.matchLabels);
  expect(strings(chart.objects)).toEqual([]);
  for (const { metadata, ...object } of [...chart.all('RoleBinding'), ...chart.all('ClusterRoleBinding')]) {
    expect([metadata.name, object.subjects[0].namespace]).toEqual([metadata.name, namespace]);
  }
});

/** Values of labels and selectors that are no text, by where they stand: the API server takes none of them. */
function strings(value: unknown, at = ''): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    ['labels', 'matchLabels', 'annotations', 'resourceNames'].includes(name)
      ? Object.entries(inner as object).flatMap(([key, one]) =>
          typeof one === 'string' ? [] : [`${at}.${name}.${key}: ${one}`],
        )
      : strings(inner, `${at}.${name}`),
  );
}

test('labels of others never take the place of those by which objects are found', async () => {
  const chart = await rendered({
    commonLabels: { 'app.kubernetes.io/component': 'stolen', 'app.kubernetes.io/instance': 'stolen' },
    dashboards: { labels: { 'app.kubernetes.io/name': 'stolen' } },
    topClients: { monitoring: { enabled: 'always', labels: { 'app.kubernetes.io/name': 'stolen' } } },
  });
  const ours = chart.objects.filter(({ kind }) => kind !== 'TopClients');
  expect(ours.filter((object) => JSON.stringify(object).includes('stolen'))).toEqual([]);
});

test('no spread at all leaves a pod that is one', async () => {
  const chart = await rendered({ topClients: { pods: { topologySpreadConstraints: [] } } });
  expect(chart.operator.spec).not.toHaveProperty('topologySpreadConstraints');
  expect(chart.test.spec.containers).toHaveLength(1);
});

test('two releases have nothing in common, in two namespaces', async () => {
  const [one, other] = await Promise.all(
    ['shop', 'mall'].map((namespace) => rendered({}, { release: 'top-clients', namespace })),
  );
  const ids = ({ objects }: Rendered) =>
    objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''} ${metadata.name}`);
  expect(ids(one!).filter((id) => ids(other!).includes(id))).toEqual([]);
});

test('an operator of several namespaces has the same rights in each, and nowhere else', async () => {
  const own = (await rendered({})).of('Role');
  const chart = await rendered({ watchNamespaces: ['mall', '1e3'], platform: { enabled: false } });
  expect(chart.all('Role').map(({ metadata }) => metadata.namespace)).toEqual(['mall', '1e3']);
  for (const [i, kind] of ['Role', 'RoleBinding'].entries()) {
    expect([i, chart.all(kind).map(({ metadata }) => metadata.name)]).toEqual([
      i,
      ['top-clients-operator:shop', 'top-clients-operator:shop'],
    ]);
  }
  const rulesFor = (namespace: string) =>
    JSON.parse(JSON.stringify(own.rules).replaceAll('"shop"', JSON.stringify(namespace)));
  for (const { metadata, rules } of chart.all('Role')) expect(rules).toEqual(rulesFor(metadata.namespace));
  expect(subjects(chart)).toEqual(Array(3).fill('top-clients-operator'));
  expect(chart.all('ClusterRole').map(({ rules }) => rules.length)).toEqual([1]);
  expect(env(chart.operator).TC_WATCH_NAMESPACES).toBe('mall,1e3');
  expect(chart.of('NetworkPolicy', '-operator').spec.egress.at(-1).to[0].namespaceSelector).toEqual({
    matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: ['mall', '1e3'] }],
  });
  const everywhere = await rendered({ watchNamespaces: ['*'] });
  const { rules } = everywhere.of('ClusterRole', ':everywhere');
  expect(rules).toEqual(own.rules.map(({ resourceNames: _, ...rule }: Any) => rule));
  expect(everywhere.of('NetworkPolicy', '-operator').spec.egress.at(-1).to[0].namespaceSelector).toEqual({});
});

test.each([
  [{ watchNamespaces: ['mall'] }, 'watchNamespaces lacks shop, where this release has a platform'],
  [{ watchNamespaces: ['*', 'mall'] }, 'watchNamespaces has * and others beside it'],
  [{ watchNamespaces: ['mall'], operator: { enabled: false } }, 'watchNamespaces is of an operator'],
  [{ operator: { enabled: false }, platform: { enabled: false } }, 'nothing would be installed'],
  [{ watchNamespaces: ['Mall'] }, "'/watchNamespaces/0': 'Mall' does not match pattern"],
])('%j is refused with what to change', async (values, sentence) => {
  const { code, stderr } = await helm(values);
  expect(stderr).toContain(sentence);
  expect(code).not.toBe(0);
});

test('an operator alone needs no word about stores, and its notes say where it works', async () => {
  for (const [watched, told] of [
    ['mall,shop', 'works in mall, shop. A platform'],
    ['*', 'works in every namespace that has'],
  ]) {
    const { stdout: notes } = await run('helm', [
      ...['install', 'ops', CHART, '--namespace', 'ops', '--dry-run=client'],
      ...['--set', `platform.enabled=false,watchNamespaces={${watched}}`],
    ]);
    expect(notes.slice(notes.indexOf('NOTES:'))).toContain(told);
    expect(notes.slice(notes.indexOf('NOTES:'))).not.toContain('condition=Ready');
  }
  const { code, stdout } = await run('helm', [
    'template',
    'ops',
    CHART,
    '--namespace',
    'ops',
    '--set',
    'platform.enabled=false,watchNamespaces={mall}',
  ]);
  expect(code).toBe(0);
  expect(stdout).toContain('kind: Deployment');
});

test('a page that is looked after from elsewhere may have its views removed with it', async () => {
  const pages = { mall: { deletionPolicy: 'Delete', external: { database: { existingSecret: 'mall' } } } };
  expect((await helm({ pages })).stderr).toContain('an uninstall takes the operator along');
  expect((await helm({ pages, operator: { enabled: false } })).code).toBe(0);
});
