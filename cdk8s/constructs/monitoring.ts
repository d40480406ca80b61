import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { names, type Platform } from '../platform.ts';
import { metadataOf, PART_OF } from './labels.ts';

const component = 'monitoring';
const apiVersion = 'monitoring.coreos.com/v1';

const wanted = ({ spec: { monitoring }, capabilities }: Platform): boolean =>
  monitoring.enabled === 'always' || (monitoring.enabled === 'auto' && capabilities.monitoring);

/** What a Prometheus operator scrapes, and the alerts on it. */
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
        // The operator comes with a monitor of its own.
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
  // The operator names a job after the monitor.
  const ours = `namespace="${namespace}",job="${namespace}/${names.source}"`;
  new ApiObject(scope, 'alerts', {
    apiVersion,
    kind: 'PrometheusRule',
    metadata,
    spec: {
      groups: [
        {
          name: 'top-clients',
          rules: [
            {
              alert: 'TopClientsTargetDown',
              expr: `up{${ours}} == 0`,
              for: '5m',
              labels: { severity: 'warning' },
              annotations: {
                summary: '{{ $labels.pod }} does not answer on its health port',
                description: 'Its metrics are missing, and it is probably not working either.',
              },
            },
            {
              alert: 'TopClientsPageIsBehind',
              expr: `max by (page) (topclients_projector_lag_seconds{${ours}}) > 60`,
              for: '5m',
              labels: { severity: 'warning' },
              annotations: {
                summary: 'The {{ $labels.page }} page shows top clients that are {{ $value }} s old',
                description: 'Its projectors do not keep up with the topic.',
              },
            },
          ],
        },
      ],
    },
  });
}
