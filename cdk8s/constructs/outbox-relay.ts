import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { names, type Platform } from '../platform.ts';
import { databaseAccess } from './database-access.ts';
import { disruptionBudget } from './disruption-budget.ts';
import { kafkaAccess } from './kafka-access.ts';
import { metadataOf, selectorOf } from './labels.ts';
import { rolePod } from './role-pod.ts';
import { tracing } from './tracing.ts';

const component = 'outbox-relay';

/** Outbox → Kafka. Any number of pods may run: one leads a shard, the others stand by. */
export function outboxRelay(scope: Construct, platform: Platform): void {
  const { relay } = platform.spec;
  const database = databaseAccess(platform, 'outbox-relay', { TC_DATABASE_URL: 'source' });
  const kafka = kafkaAccess(platform, 'outbox-relay');
  new ApiObject(scope, 'outbox-relay', {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadataOf(platform, names.relay, component),
    spec: {
      replicas: relay.replicas,
      selector: { matchLabels: selectorOf(component) },
      // A new pod stands by before an old one stops: the outbox has no leader only during the handover.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: rolePod(platform, {
        role: 'outbox-relay',
        component,
        settings: relay.pod,
        resources: relay.resources,
        semiSpaceMiB: 8,
        env: [
          ...database.env,
          { name: 'TC_SHARDS', value: String(relay.shards) },
          { name: 'TC_ROUND_MS', value: String(relay.roundMs) },
          ...kafka.env,
          ...tracing(platform),
        ],
        volumes: [...database.volumes, ...kafka.volumes],
      }),
    },
  });
  disruptionBudget(scope, platform, { name: names.relay, component, replicas: relay.replicas });
}
