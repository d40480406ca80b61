import { describe, expect, test } from '@jest/globals';
import { PodSettings } from '../api/pod-settings.ts';
import type { KubeObject } from '../kube-object.ts';
import { EXAMPLES, objectsOf, platformOf, podOf, wanted } from '../testing/platforms.ts';

/** Every member, each with something that is found again. */
const COMMON = PodSettings.required().parse({
  labels: { team: 'brands', 'app.kubernetes.io/component': 'stolen' },
  annotations: { 'example.com/scan': 'no' },
  serviceAccountAnnotations: { 'example.com/identity': 'brands' },
  nodeSelector: { pool: 'brands' },
  tolerations: [{ key: 'brands', operator: 'Exists', effect: 'NoSchedule' }],
  affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
  topologySpreadConstraints: [{ topologyKey: 'rack', whenUnsatisfiable: 'DoNotSchedule' }],
  priorityClassName: 'brands',
  runtimeClassName: 'sandbox',
  schedulerName: 'packer',
  imagePullSecrets: ['mirror'],
  extraEnv: [
    { name: 'HTTPS_PROXY', value: 'http://proxy.example.com' },
    { name: 'NODE_IP', valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } },
  ],
  extraVolumes: [{ name: 'certificates', configMap: { name: 'certificates' } }],
  extraVolumeMounts: [{ name: 'certificates', mountPath: '/etc/ssl/certs', readOnly: true }],
  userIds: 'assigned',
  podSecurityContext: { supplementalGroups: [7] },
  containerSecurityContext: { procMount: 'Default' },
  dnsPolicy: 'ClusterFirst',
  dnsConfig: { options: [{ name: 'ndots', value: '2' }] },
  hostAliases: [{ ip: 'fd00::1', hostnames: ['db.example.com'] }],
});
const COMMON_LABELS = { 'example.com/cost-centre': '7' };

// biome-ignore lint/suspicious/noExplicitAny: a manifest is as deep as it is
type Any = any;
const idOf = ({ kind, metadata }: KubeObject) => `${kind} ${metadata.name}`;
const templatesOf = (objects: readonly KubeObject[]): (readonly [string, Any])[] =>
  objects.flatMap((object) => (podOf(object) ? [[idOf(object), podOf(object)]] : []));

test('the settings that are tried are all there are', () => {
  expect(Object.keys(COMMON).sort()).toEqual(Object.keys(PodSettings.shape).sort());
});

// The example that sets pods itself says other things.
const { 'settings of pods': _own, ...others } = EXAMPLES;
describe.each(Object.entries(others))('%s', (_, example) => {
  const before = example('shop');
  const { spec } = before.platform;
  const all = {
    ...before,
    platform: { ...before.platform, spec: { ...spec, commonLabels: COMMON_LABELS, pods: COMMON } },
  };
  const objects = objectsOf(all);

  test('every pod has every common setting', () => {
    const pods = templatesOf(objects);
    expect(pods.length).toBeGreaterThan(4);
    for (const [id, { metadata, spec }] of pods) {
      const containers = [...(spec.initContainers ?? []), ...spec.containers];
      expect([id, spec]).toEqual([
        id,
        expect.objectContaining({
          nodeSelector: expect.objectContaining(COMMON.nodeSelector),
          tolerations: COMMON.tolerations,
          affinity: COMMON.affinity,
          topologySpreadConstraints: [
            expect.objectContaining({ topologyKey: 'rack', whenUnsatisfiable: 'DoNotSchedule' }),
          ],
          priorityClassName: 'brands',
          runtimeClassName: 'sandbox',
          schedulerName: 'packer',
          imagePullSecrets: expect.arrayContaining([{ name: 'mirror' }]),
          volumes: expect.arrayContaining(COMMON.extraVolumes),
          dnsPolicy: 'ClusterFirst',
          dnsConfig: COMMON.dnsConfig,
          hostAliases: COMMON.hostAliases,
        }),
      ]);
      const { labelSelector } = spec.topologySpreadConstraints[0];
      expect(metadata.labels).toMatchObject(labelSelector.matchLabels);
      expect(metadata.labels).toMatchObject({ ...COMMON_LABELS, team: 'brands' });
      expect(metadata.labels['app.kubernetes.io/component']).not.toBe('stolen');
      expect(metadata.annotations).toMatchObject(COMMON.annotations);
      expect(spec.securityContext).toEqual({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
        supplementalGroups: [7],
      });
      for (const container of containers) {
        expect([id, container.env]).toEqual([id, expect.arrayContaining(COMMON.extraEnv)]);
        expect(container.volumeMounts).toEqual(expect.arrayContaining(COMMON.extraVolumeMounts));
        expect(container.securityContext).toMatchObject({
          readOnlyRootFilesystem: true,
          procMount: 'Default',
        });
        for (const at of ['runAsUser', 'runAsGroup'])
          expect(container.securityContext).not.toHaveProperty(at);
      }
    }
  });

  test('every account has the common identity', () => {
    const accounts = objects.filter(({ kind }) => kind === 'ServiceAccount');
    expect(accounts.map(({ metadata }) => metadata.annotations)).toEqual(
      accounts.map(() => COMMON.serviceAccountAnnotations),
    );
  });

  test('every object has the common labels, and no selector and no template of a claim has one', () => {
    for (const object of objects) {
      expect([idOf(object), object.metadata.labels]).toEqual([
        idOf(object),
        expect.objectContaining(COMMON_LABELS),
      ]);
      const { selector, volumeClaimTemplates } = (object['spec'] ?? {}) as Any;
      expect(JSON.stringify([selector, volumeClaimTemplates])).not.toContain('cost-centre');
    }
  });

  test('without settings, every pod names its user and is spread where there are several', () => {
    const { pods, ...without } = before.platform.spec;
    const plain = { ...before, platform: { ...before.platform, spec: without } };
    for (const [id, { spec }] of templatesOf(objectsOf(plain))) {
      expect([id, spec.securityContext.runAsUser, spec.securityContext.fsGroup]).toEqual([
        id,
        expect.any(Number),
        spec.securityContext.runAsUser,
      ]);
      expect(spec).not.toHaveProperty('tolerations');
    }
  });
});

const STRIMZI_AND_CNPG = {
  kafka: { mode: 'strimzi', replication: 3 },
  postgres: { mode: 'cnpg' },
  commonLabels: COMMON_LABELS,
  pods: COMMON,
};

test('pods that Strimzi makes have the common settings that it has a place for', () => {
  const objects = objectsOf(wanted({ topClients: STRIMZI_AND_CNPG }));
  const { template } = objects.find(({ kind }) => kind === 'KafkaNodePool')!['spec'] as Any;
  const { kafka, entityOperator } = objects.find(({ kind }) => kind === 'Kafka')!['spec'] as Any;
  for (const { pod } of [template, entityOperator.template]) {
    expect(pod).toMatchObject({
      metadata: { labels: { ...COMMON_LABELS, team: 'brands' }, annotations: COMMON.annotations },
      tolerations: COMMON.tolerations,
      topologySpreadConstraints: [
        {
          topologyKey: 'rack',
          labelSelector: { matchLabels: { 'strimzi.io/cluster': 'top-clients-kafka' } },
        },
      ],
      priorityClassName: 'brands',
      schedulerName: 'packer',
      imagePullSecrets: [{ name: 'mirror' }],
    });
    expect(pod.affinity.nodeAffinity).toMatchObject({
      preferredDuringSchedulingIgnoredDuringExecution: [],
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: 'pool', operator: 'In', values: ['brands'] }] }],
      },
    });
  }
  const account = { metadata: { annotations: COMMON.serviceAccountAnnotations } };
  expect([kafka.template.serviceAccount, entityOperator.template.serviceAccount]).toEqual([account, account]);
});

test('pods that CloudNativePG makes have them where it keeps them', () => {
  const clusters = objectsOf(wanted({ topClients: STRIMZI_AND_CNPG })).filter(
    ({ kind }) => kind === 'Cluster',
  );
  expect(clusters.length).toBeGreaterThan(0);
  for (const { metadata, spec } of clusters) {
    expect(spec).toMatchObject({
      inheritedMetadata: { labels: { ...COMMON_LABELS, team: 'brands' }, annotations: COMMON.annotations },
      serviceAccountTemplate: { metadata: { annotations: COMMON.serviceAccountAnnotations } },
      affinity: {
        nodeSelector: COMMON.nodeSelector,
        tolerations: COMMON.tolerations,
        nodeAffinity: COMMON.affinity.nodeAffinity,
        enablePodAntiAffinity: true,
      },
      topologySpreadConstraints: [
        { topologyKey: 'rack', labelSelector: { matchLabels: { 'cnpg.io/cluster': metadata.name } } },
      ],
      priorityClassName: 'brands',
      schedulerName: 'packer',
      imagePullSecrets: [{ name: 'mirror' }],
    });
  }
});

const OWN = {
  nodeSelector: { pool: 'own', disk: 'fast' },
  tolerations: [{ key: 'own', operator: 'Exists' }],
  affinity: { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
  topologySpreadConstraints: [],
  priorityClassName: 'own',
  userIds: 'fixed',
  extraEnv: [{ name: 'HTTPS_PROXY', value: 'none' }],
  serviceAccountAnnotations: { 'example.com/identity': 'own' },
};

/** Each role that has settings of its own: where they are said, and the workload that gets them. */
const ROLES: readonly (readonly [string, Any, string, string])[] = [
  ['source', { topClients: { source: { pod: OWN } } }, 'Deployment top-clients', 'source'],
  ['relay', { topClients: { relay: { pod: OWN } } }, 'Deployment top-clients-relay', 'outbox-relay'],
  [
    'selfView',
    { topClients: { selfView: { pod: OWN } } },
    'Deployment top-clients-page-self-view',
    'page-server-self-view',
  ],
  [
    'kafka.embedded',
    { topClients: { kafka: { embedded: { pod: OWN } } } },
    'StatefulSet top-clients-kafka',
    'kafka',
  ],
  [
    'postgres.embedded',
    { topClients: { postgres: { servers: 'shared', embedded: { pod: OWN } } } },
    'StatefulSet top-clients-postgres',
    'postgres',
  ],
  [
    'server',
    { pages: { gig: { server: { pod: OWN } } } },
    'Deployment top-clients-page-gig',
    'page-server-gig',
  ],
  [
    'projector',
    { pages: { gig: { projector: { pod: OWN } } } },
    'Deployment top-clients-projector-gig-asynchronous-v1',
    'projector-gig',
  ],
  [
    'watch',
    { pages: { gig: { watch: { pod: OWN } } } },
    'Deployment top-clients-watch-gig',
    'watch-view-gig',
  ],
  ['jobs', { topClients: { jobs: { pod: OWN } } }, 'Job top-clients-migrate-source', 'migrate'],
];

describe.each(ROLES)('the settings of %s', (_, values, workload, account) => {
  const { topClients, pages = { gig: {} } } = values;
  const objects = objectsOf(wanted({ topClients: { ...topClients, pods: COMMON }, pages }));
  const templates = templatesOf(objects);
  const isOwn = ([id]: readonly [string, Any]) =>
    id === workload || (workload.startsWith('Job') && id.startsWith('Job'));

  test('are put over the common ones: maps merged, lists longer, the rest replaced', () => {
    const own = templates.filter(
      ([id]) => id === workload || (workload.startsWith('Job') && id.startsWith(workload)),
    );
    expect(own).toHaveLength(1);
    const [, { spec }] = own[0]!;
    expect(spec).toMatchObject({
      nodeSelector: { pool: 'own', disk: 'fast' },
      tolerations: [...COMMON.tolerations, ...OWN.tolerations],
      priorityClassName: 'own',
      securityContext: { runAsUser: expect.any(Number), fsGroup: expect.any(Number) },
    });
    expect(spec.affinity).toEqual(OWN.affinity);
    expect(spec).not.toHaveProperty('topologySpreadConstraints');
    const proxies = spec.containers[0].env.filter(({ name }: Any) => name === 'HTTPS_PROXY');
    expect(proxies).toEqual(OWN.extraEnv);
    expect(spec.containers[0].env).toEqual(expect.arrayContaining([COMMON.extraEnv[1]]));
  });

  test('are those of nobody else', () => {
    const others = templates.filter((one) => !isOwn(one));
    expect(others.map(([id, { spec }]) => [id, spec.priorityClassName])).toEqual(
      others.map(([id]) => [id, 'brands']),
    );
  });

  test('give its account alone another identity', () => {
    const accounts = objects.filter(
      ({ kind, metadata }) =>
        kind === 'ServiceAccount' && metadata.annotations?.['example.com/identity'] === 'own',
    );
    const names = accounts.map(({ metadata }) => metadata.name);
    expect(names).toContain(`top-clients-${account}`);
    const users = templates.filter(([, { spec }]) => names.includes(spec.serviceAccountName));
    expect(users.length).toBeGreaterThan(0);
    expect(users.filter((one) => !isOwn(one))).toEqual([]);
  });
});

test('the deprecated scheduling goes on, and pods are put over it', () => {
  const [, { spec }] = templatesOf(
    objectsOf({
      platform: platformOf({
        scheduling: { nodeSelector: { disk: 'fast', pool: 'old' }, priorityClassName: 'old' },
        pods: { nodeSelector: { pool: 'new' } },
      }),
      pages: [],
      dashboards: wanted().dashboards,
    }),
  )[0]!;
  expect(spec).toMatchObject({ nodeSelector: { disk: 'fast', pool: 'new' }, priorityClassName: 'old' });
});
