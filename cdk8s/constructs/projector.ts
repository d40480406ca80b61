import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import type { ViewId } from '../api/page-view.ts';
import { databaseOf, names, type PagePlan, type Platform } from '../platform.ts';
import { databaseAccess, pagePod } from './database-access.ts';
import { disruptionBudget } from './disruption-budget.ts';
import { kafkaAccess } from './kafka-access.ts';
import { metadataOf, selectorOf } from './labels.ts';
import { rolePod } from './role-pod.ts';
import { projectorsAtMost, scalesByKeda } from './scaling.ts';
import { ownAccount } from './service-accounts.ts';
import { tracing } from './tracing.ts';

const component = 'projector';

/** Distinguishes the projectors of one view from those of others. */
export const projectorInstance = (page: string, { delivery, version }: ViewId) =>
  `${page}-${delivery}-v${version}`;

/** Topic → one view of a page. Its pods share the partitions. */
export function projector(scope: Construct, platform: Platform, page: PagePlan, view: ViewId): void {
  const { spec } = page;
  const name = names.projector(page.name, view);
  const instance = projectorInstance(page.name, view);
  const database = databaseAccess(platform, 'projector', { TC_DATABASE_URL: databaseOf(page) });
  const kafka = kafkaAccess(platform, 'projector');
  const scaled = scalesByKeda(platform, spec);
  const replicas = Math.min(spec.replicas, platform.spec.kafka.partitions);
  new ApiObject(scope, `projector-${instance}`, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadataOf(platform, name, component, instance),
    spec: {
      // The autoscaler's value must not be overwritten. A projector beyond the number of partitions would be idle.
      ...(scaled ? {} : { replicas }),
      selector: { matchLabels: selectorOf(component, instance) },
      // The other projectors continue while a new one joins, and an image that cannot start replaces no pod. Meanwhile
      // the page's database has the connections of one more projector.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: rolePod(platform, {
        ...pagePod(page),
        role: 'projector',
        component,
        instance,
        settings: spec.projector.pod,
        ...ownAccount(component, page.name, spec.projector.pod),
        resources: spec.projector.resources,
        semiSpaceMiB: 8,
        env: [
          { name: 'TC_PAGE', value: page.name },
          { name: 'TC_DELIVERY', value: view.delivery },
          { name: 'TC_VIEW_VERSION', value: String(view.version) },
          ...database.env,
          { name: 'TC_SESSION_TIMEOUT_MS', value: String(spec.projector.sessionTimeoutMs) },
          ...kafka.env,
          ...tracing(platform),
        ],
        volumes: [...database.volumes, ...kafka.volumes],
      }),
    },
  });
  disruptionBudget(scope, platform, {
    name,
    component,
    instance,
    replicas: scaled ? projectorsAtMost(platform, spec) : replicas,
  });
}
