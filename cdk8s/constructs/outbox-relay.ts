import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { names, type Platform } from '../platform.ts';
import { databaseUrl } from './database-url.ts';
import { kafkaAccess } from './kafka-access.ts';
import { labelsOf, selectorOf } from './labels.ts';
import { rolePod } from './role-pod.ts';

/** Outbox → Kafka. Any number may run: one leads a shard, the others stand by to take it over. */
export function outboxRelay(scope: Construct, platform: Platform): void {
  const { relay } = platform.spec;
  const kafka = kafkaAccess(platform, 'outbox-relay');
  new ApiObject(scope, 'outbox-relay', {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: names.relay, namespace: platform.namespace, labels: labelsOf('outbox-relay') },
    spec: {
      replicas: relay.replicas,
      selector: { matchLabels: selectorOf('outbox-relay') },
      strategy: { rollingUpdate: { maxUnavailable: 1, maxSurge: 1 } },
      template: rolePod(platform, {
        role: 'outbox-relay',
        component: 'outbox-relay',
        instance: 'outbox-relay',
        resources: relay.resources,
        nodeOptions: '--max-semi-space-size=8 --max-old-space-size=192',
        env: [
          ...databaseUrl(platform, 'source'),
          { name: 'TC_SHARDS', value: String(relay.shards) },
          ...kafka.env,
        ],
        volumes: kafka.volumes,
      }),
    },
  });
}
