import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { ruleGroups } from '#dashboards/rules/rules.ts';
import { names, type Platform } from '../platform.ts';
import { databaseServers } from './database-servers.ts';
import { metadataOf, PART_OF } from './labels.ts';

const component = 'monitoring';
const apiVersion = 'monitoring.coreos.com/v1';

const wanted = ({ spec: { monitoring }, capabilities }: Platform): boolean =>
  monitoring.enabled === 'always' || (monitoring.enabled === 'auto' && capabilities.monitoring);

/** PodMonitors and the rules (objectives and alerts) for a Prometheus operator. */
export function monitoring(scope: Construct, platform: Platform): void {
  if (!wanted(platform)) return;
  const { namespace, spec } = platform;
  const metadataAs = (name: string, instance?: string) => {
    const plain = metadataOf(platform, name, component, instance);
    return { ...plain, labels: { ...plain.labels, ...spec.monitoring.labels } };
  };
  const metadata = metadataAs(names.source);
  new ApiObject(scope, 'pod-monitor', {
    apiVersion,
    kind: 'PodMonitor',
    metadata,
    spec: {
      selector: {
        matchLabels: PART_OF,
        // The operator has a monitor of its own.
        matchExpressions: [
          {
            key: 'app.kubernetes.io/component',
            operator: 'NotIn',
            values: ['operator'],
          },
        ],
      },
      podTargetLabels: ['app.kubernetes.io/component', 'app.kubernetes.io/instance'],
      podMetricsEndpoints: [{ port: 'health', path: '/metrics', interval: '15s', scrapeTimeout: '10s' }],
    },
  });
  for (const { name, ...store } of storesOfOthers(platform)) {
    new ApiObject(scope, `pod-monitor-${name}`, {
      apiVersion,
      kind: 'PodMonitor',
      metadata: metadataAs(name, name),
      spec: store,
    });
  }
  new ApiObject(scope, 'alerts', {
    apiVersion,
    kind: 'PrometheusRule',
    metadata,
    spec: { groups: ruleGroups({ namespace, runbooks: spec.monitoring.runbooks }) },
  });
}

interface PodMonitor {
  readonly name: string;
  readonly [field: string]: unknown;
}

/** Which pods of other operators' stores are read, and at which ports; each pod has some of them. */
function storesOfOthers(platform: Platform): readonly PodMonitor[] {
  const read = (...ports: string[]) => ({
    podMetricsEndpoints: ports.map((port) => ({
      port,
      path: '/metrics',
      interval: '30s',
      scrapeTimeout: '10s',
    })),
  });
  const { kafka, postgres } = platform.spec;
  return [
    ...(kafka.mode === 'strimzi'
      ? [
          {
            name: names.kafka,
            selector: { matchLabels: { 'strimzi.io/cluster': names.kafka } },
            // Of brokers, and of the entity operator's two containers.
            ...read('tcp-prometheus', 'healthcheck-to', 'healthcheck-uo'),
          },
        ]
      : []),
    ...(postgres.mode === 'cnpg'
      ? [
          {
            name: names.postgres,
            selector: {
              matchExpressions: [
                {
                  key: 'cnpg.io/cluster',
                  operator: 'In',
                  values: databaseServers(platform).map((server) => server.name),
                },
              ],
            },
            podTargetLabels: ['cnpg.io/cluster'],
            ...read('metrics'),
          },
        ]
      : []),
  ];
}
