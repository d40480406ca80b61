import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { names, type Platform, PORTS } from '../platform.ts';
import { callerKeys, callersAnnotation, trustedProxies } from './caller-access.ts';
import { databaseAccess } from './database-access.ts';
import { disruptionBudget } from './disruption-budget.ts';
import { httpService } from './http-service.ts';
import { identity } from './identity.ts';
import { metadataOf, selectorOf } from './labels.ts';
import { rolePod } from './role-pod.ts';
import { podsAtMost, replicasField, serviceAutoscaler } from './service-autoscaler.ts';
import { WITHOUT_A_GAP } from './serving.ts';
import { tracing } from './tracing.ts';

const component = 'source';

/** The source of truth: the HTTP contract over its own database. */
export function topClients(scope: Construct, platform: Platform): void {
  const database = databaseAccess(platform, 'top-clients', { TC_DATABASE_URL: 'source' });
  const { source } = platform.spec;
  const { replicas, autoscaling } = source;
  const workload = { name: names.source, component, replicas, autoscaling };
  new ApiObject(scope, 'top-clients', {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadataOf(platform, names.source, component),
    spec: {
      ...replicasField(platform, workload),
      selector: { matchLabels: selectorOf(component) },
      strategy: WITHOUT_A_GAP,
      template: rolePod(platform, {
        role: 'top-clients',
        component,
        resources: source.resources,
        semiSpaceMiB: 8,
        serves: true,
        env: [
          { name: 'TC_PORT', value: String(PORTS.http) },
          ...database.env,
          { name: 'TC_DATABASE_POOL', value: String(source.databasePool) },
          ...identity(platform),
          { name: 'TC_WRITES_PER_MINUTE', value: String(source.writesPerMinute) },
          { name: 'TC_REQUESTS_PER_MINUTE', value: String(source.requestsPerMinute) },
          { name: 'TC_PAGE_REQUESTS_PER_MINUTE', value: String(source.pageRequestsPerMinute) },
          ...callerKeys(platform),
          ...trustedProxies(platform),
          ...tracing(platform),
        ],
        settings: source.pod,
        annotations: callersAnnotation(platform),
        volumes: database.volumes,
      }),
    },
  });
  httpService(scope, platform, workload);
  disruptionBudget(scope, platform, { ...workload, replicas: podsAtMost(platform, workload) });
  serviceAutoscaler(scope, platform, workload);
}
