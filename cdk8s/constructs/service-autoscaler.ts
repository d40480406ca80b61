import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { rate, sum, within } from '#dashboards/promql.ts';
import type { ServiceAutoscaling } from '../api/service-autoscaling.ts';
import type { Platform } from '../platform.ts';
import { metadataOf } from './labels.ts';

/** A service whose pods are alike, and take their share of its requests. */
export interface ScaledService {
  readonly name: string;
  readonly component: string;
  /** The page that it serves; absent for the source. */
  readonly instance?: string;
  readonly replicas: number;
  readonly autoscaling: ServiceAutoscaling;
}

/** Which autoscaler decides the number of a service's pods; null where `replicas` does. */
export function scalerOf(
  { capabilities, spec }: Pick<Platform, 'capabilities' | 'spec'>,
  { mode }: Pick<ServiceAutoscaling, 'mode'>,
): 'HorizontalPodAutoscaler' | 'ScaledObject' | null {
  if (mode === 'cpu') return 'HorizontalPodAutoscaler';
  const asked = mode === 'requests' && capabilities.keda && spec.monitoring.prometheusUrl !== undefined;
  return asked ? 'ScaledObject' : null;
}

/** The field `replicas` of a service's Deployment: the autoscaler's value must not be overwritten. */
export const replicasField = (
  platform: Pick<Platform, 'capabilities' | 'spec'>,
  { replicas, autoscaling }: Pick<ScaledService, 'replicas' | 'autoscaling'>,
): { readonly replicas?: number } => (scalerOf(platform, autoscaling) === null ? { replicas } : {});

/** The most pods that a service can have. */
export const podsAtMost = (
  platform: Pick<Platform, 'capabilities' | 'spec'>,
  { replicas, autoscaling }: Pick<ScaledService, 'replicas' | 'autoscaling'>,
): number => (scalerOf(platform, autoscaling) === null ? replicas : autoscaling.maxReplicas);

/** Scales a service by its load; nothing where `replicas` decides. */
export function serviceAutoscaler(scope: Construct, platform: Platform, service: ScaledService): void {
  const { name, component, instance, autoscaling } = service;
  const scaler = scalerOf(platform, autoscaling);
  if (scaler === null) return;
  const metadata = metadataOf(platform, name, component, instance);
  const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name };
  const behavior = {
    scaleUp: { stabilizationWindowSeconds: 0 },
    scaleDown: { stabilizationWindowSeconds: autoscaling.scaleDownStabilizationSeconds },
  };
  if (scaler === 'HorizontalPodAutoscaler') {
    new ApiObject(scope, `${name}-autoscaler`, {
      apiVersion: 'autoscaling/v2',
      kind: scaler,
      metadata,
      spec: {
        scaleTargetRef,
        minReplicas: autoscaling.minReplicas,
        maxReplicas: autoscaling.maxReplicas,
        behavior,
        metrics: [
          {
            // Of our container alone: a sidecar has no part in the work, and may have no request.
            type: 'ContainerResource',
            containerResource: {
              name: 'cpu',
              container: component,
              target: { type: 'Utilization', averageUtilization: autoscaling.targetCpuPercent },
            },
          },
        ],
      },
    });
    return;
  }
  new ApiObject(scope, `${name}-autoscaler`, {
    apiVersion: 'keda.sh/v1alpha1',
    kind: scaler,
    metadata,
    spec: {
      scaleTargetRef,
      minReplicaCount: autoscaling.minReplicas,
      maxReplicaCount: autoscaling.maxReplicas,
      pollingInterval: 15,
      advanced: { horizontalPodAutoscalerConfig: { behavior } },
      triggers: [
        {
          type: 'prometheus',
          // Without it every query of the HPA goes to Prometheus, whatever the polling interval.
          useCachedMetrics: true,
          metadata: {
            serverAddress: platform.spec.monitoring.prometheusUrl,
            query: requestsOf(platform, service),
            threshold: String(autoscaling.requestsPerSecond),
            // No series is no reason to take pods away: Prometheus may have lost its targets.
            ignoreNullValues: 'false',
          },
        },
      ],
    },
  });
}

/** Requests per second to all pods together, over four scrapes. */
function requestsOf({ namespace }: Platform, { instance }: ScaledService): string {
  const series = within({ namespace });
  return instance === undefined
    ? sum(rate(series('topclients_http_requests_total'), '1m')).text
    : sum(rate(series('topclients_page_renders_total', { page: instance }), '1m')).text;
}
