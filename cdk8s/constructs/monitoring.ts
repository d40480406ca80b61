import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { ruleGroups } from '#dashboards/rules/rules.ts';
import { names, type Platform } from '../platform.ts';
import { metadataOf, PART_OF } from './labels.ts';

const component = 'monitoring';
const apiVersion = 'monitoring.coreos.com/v1';

const wanted = ({ spec: { monitoring }, capabilities }: Platform): boolean =>
  monitoring.enabled === 'always' || (monitoring.enabled === 'auto' && capabilities.monitoring);

/** The PodMonitor and the rules (objectives and alerts) for a Prometheus operator. */
export function monitoring(scope: Construct, platform: Platform): void {
  if (!wanted(platform)) return;
  const { namespace, spec } = platform;
  const plain = metadataOf(platform, names.source, component);
  const metadata = { ...plain, labels: { ...plain.labels, ...spec.monitoring.labels } };
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
  new ApiObject(scope, 'alerts', {
    apiVersion,
    kind: 'PrometheusRule',
    metadata,
    spec: { groups: ruleGroups({ namespace, runbooks: spec.monitoring.runbooks }) },
  });
}
