import { expect, test } from '@jest/globals';
import { build } from '../build.ts';
import type { KubeObject } from '../kube-object.ts';
import { pageOf, platformOf } from '../testing/platforms.ts';
import { pageServer, selfView } from './page-server.ts';
import { topClients } from './top-clients.ts';

const PROMETHEUS = 'http://prometheus.monitoring:9090';
const autoscaling = { minReplicas: 1, maxReplicas: 4, scaleDownStabilizationSeconds: 60 };

// biome-ignore lint/suspicious/noExplicitAny: a kind's shape is its own
const specOf = (objects: readonly KubeObject[], kind: string): any =>
  objects.find((object) => object.kind === kind)?.['spec'];
const source = (spec: object, keda = false, monitoring: object = {}) =>
  build((scope) => topClients(scope, platformOf({ source: spec, monitoring }, { keda })));

test('by CPU: of the container’s own request, within its bounds', () => {
  const objects = source({ replicas: 1, autoscaling: { ...autoscaling, mode: 'cpu', targetCpuPercent: 55 } });
  expect(objects.find(({ kind }) => kind === 'HorizontalPodAutoscaler')).toMatchObject({
    apiVersion: 'autoscaling/v2',
    metadata: { name: 'top-clients', namespace: 'shop' },
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'top-clients' },
      minReplicas: 1,
      maxReplicas: 4,
      behavior: { scaleDown: { stabilizationWindowSeconds: 60 } },
      metrics: [
        {
          type: 'ContainerResource',
          containerResource: {
            name: 'cpu',
            container: specOf(objects, 'Deployment').template.spec.containers[0].name,
            target: { type: 'Utilization', averageUtilization: 55 },
          },
        },
      ],
    },
  });
  expect(specOf(objects, 'Deployment')).not.toHaveProperty('replicas');
  // One pod may become four, so evictions are bounded.
  expect(specOf(objects, 'PodDisruptionBudget')).toMatchObject({ maxUnavailable: 1 });
});

test('by requests: what Prometheus counted of this service in this namespace', () => {
  const asked = { autoscaling: { ...autoscaling, mode: 'requests', requestsPerSecond: 40 } };
  const platform = platformOf({ monitoring: { prometheusUrl: PROMETHEUS }, selfView: asked }, { keda: true });
  const trigger = (objects: readonly KubeObject[]) => specOf(objects, 'ScaledObject').triggers[0].metadata;
  expect(trigger(source(asked, true, { prometheusUrl: PROMETHEUS }))).toMatchObject({
    serverAddress: PROMETHEUS,
    query: 'sum (rate(topclients_http_requests_total{namespace="shop"}[1m]))',
    threshold: '40',
  });
  expect(trigger(build((scope) => selfView(scope, platform))).query).toBe(
    'sum (rate(topclients_page_renders_total{namespace="shop", page="self-view"}[1m]))',
  );
  const gig = build((scope) => pageServer(scope, platform, pageOf('gig', { server: asked })));
  expect(trigger(gig).query).toContain('page="gig"');
  expect(specOf(gig, 'ScaledObject')).toMatchObject({ minReplicaCount: 1, maxReplicaCount: 4 });
  expect(specOf(gig, 'Deployment')).not.toHaveProperty('replicas');
});

test.each([
  ['none', true, { prometheusUrl: PROMETHEUS }],
  ['requests', false, { prometheusUrl: PROMETHEUS }],
])('%s, KEDA there: %p: the number is that of the spec', (mode, keda, monitoring) => {
  const objects = source({ replicas: 3, autoscaling: { ...autoscaling, mode } }, keda, monitoring);
  expect(objects.map(({ kind }) => kind)).toEqual(['Deployment', 'Service', 'PodDisruptionBudget']);
  expect(specOf(objects, 'Deployment').replicas).toBe(3);
});
