import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { consumerGroup, SELLER_EVENTS } from '#contracts/topics.ts';
import type { ViewId } from '../api/page-view.ts';
import { names, type PagePlan, type Platform } from '../platform.ts';
import { brokersOf, kafkaUserOf, STRIMZI_CA } from './kafka-access.ts';
import { metadataOf } from './labels.ts';
import { projectorInstance } from './projector.ts';
import { projectorsAtMost, scalesByKeda } from './scaling.ts';

const component = 'projector';

/** Projectors of one view by the lag of the group that its offsets are committed for. */
export function autoscaler(scope: Construct, platform: Platform, page: PagePlan, view: ViewId): void {
  if (!scalesByKeda(platform, page.spec)) return;
  const { autoscaling } = page.spec;
  const name = names.projector(page.name, view);
  const instance = projectorInstance(page.name, view);
  const maxReplicaCount = projectorsAtMost(platform, page.spec);
  const access = kafkaOf(platform);
  new ApiObject(scope, `autoscaler-${instance}`, {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'ScaledObject',
    metadata: metadataOf(platform, name, component, instance),
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
      // Never zero: a projector that sleeps has lost wake-ups while brokers were replaced.
      minReplicaCount: Math.min(autoscaling.minReplicas, maxReplicaCount),
      maxReplicaCount,
      pollingInterval: autoscaling.pollingSeconds,
      advanced: {
        horizontalPodAutoscalerConfig: {
          behavior: {
            scaleUp: { stabilizationWindowSeconds: 0 },
            // Every change of members moves partitions: not for a short quiet.
            scaleDown: { stabilizationWindowSeconds: autoscaling.scaleDownStabilizationSeconds },
          },
        },
      },
      triggers: [
        {
          type: 'kafka',
          // Otherwise every question of the HPA goes to Kafka, however rarely one wants to look.
          useCachedMetrics: true,
          metadata: {
            bootstrapServers: brokersOf(platform).join(','),
            consumerGroup: consumerGroup(page.name, view.delivery, view.version),
            // By name: a group that never committed would otherwise not be seen to lag.
            topic: SELLER_EVENTS.topic,
            lagThreshold: String(autoscaling.lagThreshold),
            // A new view begins at the beginning, so all of the topic is its lag.
            offsetResetPolicy: 'earliest',
            ...access.trigger,
          },
          ...(access.parameters ? { authenticationRef: { name: authenticationOf(page) } } : {}),
        },
      ],
    },
  });
}

const authenticationOf = (page: PagePlan) => `top-clients-projector-${page.name}`;

/** How KEDA signs in to Kafka, once a page. */
export function autoscalerAccess(scope: Construct, platform: Platform, page: PagePlan): void {
  const { parameters } = kafkaOf(platform);
  if (!parameters || page.projected.length === 0 || !scalesByKeda(platform, page.spec)) return;
  const metadata = metadataOf(platform, authenticationOf(page), component, page.name);
  if (parameters.user) {
    // KEDA takes names from objects alone, and Strimzi's secrets hold none.
    new ApiObject(scope, 'autoscaler-user', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata,
      data: { username: parameters.user },
    });
  }
  new ApiObject(scope, 'autoscaler-access', {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'TriggerAuthentication',
    metadata,
    spec: {
      secretTargetRef: parameters.secrets,
      ...(parameters.user
        ? { configMapTargetRef: [{ parameter: 'username', name: metadata.name, key: 'username' }] }
        : {}),
    },
  });
}

interface KedaAccess {
  /** What stands in the trigger itself. */
  readonly trigger: Readonly<Record<string, string>>;
  /** What it takes from objects; null when nothing. */
  readonly parameters: {
    readonly secrets: readonly { readonly parameter: string; readonly name: string; readonly key: string }[];
    readonly user?: string;
  } | null;
}

const MECHANISMS = {
  plain: 'plaintext',
  'scram-sha-256': 'scram_sha256',
  'scram-sha-512': 'scram_sha512',
} as const;

function kafkaOf({ spec: { kafka } }: Platform): KedaAccess {
  switch (kafka.mode) {
    case 'embedded':
      return { trigger: {}, parameters: null };
    case 'strimzi': {
      const user = kafkaUserOf('autoscaler');
      return {
        trigger: { tls: 'enable', sasl: MECHANISMS['scram-sha-512'] },
        parameters: {
          user,
          secrets: [
            { parameter: 'ca', name: STRIMZI_CA, key: 'ca.crt' },
            { parameter: 'password', name: user, key: 'password' },
          ],
        },
      };
    }
    case 'external': {
      const { tls, sasl } = kafka.external;
      const secrets = [
        ...(tls?.enabled && tls.existingSecret
          ? [{ parameter: 'ca', name: tls.existingSecret, key: tls.caKey }]
          : []),
        ...(sasl
          ? [
              { parameter: 'username', name: sasl.existingSecret, key: sasl.usernameKey },
              { parameter: 'password', name: sasl.existingSecret, key: sasl.passwordKey },
            ]
          : []),
      ];
      return {
        trigger: {
          ...(tls?.enabled ? { tls: 'enable' } : {}),
          ...(sasl ? { sasl: MECHANISMS[sasl.mechanism] } : {}),
        },
        parameters: secrets.length > 0 ? { secrets } : null,
      };
    }
  }
}
