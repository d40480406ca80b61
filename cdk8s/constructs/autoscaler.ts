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

/** Scales the projectors of one view by the lag of the group to which their offsets are committed. */
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
      // Never zero: wake-ups of a sleeping projector were lost while brokers were replaced.
      minReplicaCount: Math.min(autoscaling.minReplicas, maxReplicaCount),
      maxReplicaCount,
      pollingInterval: autoscaling.pollingSeconds,
      advanced: {
        horizontalPodAutoscalerConfig: {
          behavior: {
            scaleUp: { stabilizationWindowSeconds: 0 },
            // Every change of membership moves partitions, so a short quiet must not remove a projector.
            scaleDown: { stabilizationWindowSeconds: autoscaling.scaleDownStabilizationSeconds },
          },
        },
      },
      triggers: [
        {
          type: 'kafka',
          // Without it every query of the HPA goes to Kafka, whatever the polling interval.
          useCachedMetrics: true,
          metadata: {
            bootstrapServers: brokersOf(platform).join(','),
            consumerGroup: consumerGroup(page.name, view.delivery, view.version),
            // Named, because a group that never committed would otherwise show no lag.
            topic: SELLER_EVENTS.topic,
            lagThreshold: String(autoscaling.lagThreshold),
            // A new view starts at the beginning, so its lag is the whole topic.
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

/** KEDA's access to Kafka, one object a page. */
export function autoscalerAccess(scope: Construct, platform: Platform, page: PagePlan): void {
  const { parameters } = kafkaOf(platform);
  if (!parameters || page.projected.length === 0 || !scalesByKeda(platform, page.spec)) return;
  const metadata = metadataOf(platform, authenticationOf(page), component, page.name);
  if (parameters.user) {
    // KEDA reads user names only from objects, and Strimzi's secrets do not have them.
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
  /** Metadata of the trigger itself. */
  readonly trigger: Readonly<Record<string, string>>;
  /** Parameters that come from objects; null when there are none. */
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
