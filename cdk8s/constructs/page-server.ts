import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { PAGE_NAMES, type PageName, type ServedPage, settingOfPage } from '#contracts/pages.ts';
import { serverOf } from '../api/page-view.ts';
import type { PodSettings } from '../api/pod-settings.ts';
import type { ServiceAutoscaling } from '../api/service-autoscaling.ts';
import type { Resources } from '../api/shared.ts';
import { hasDemoIssuer } from '../api/top-clients.ts';
import { type DatabaseName, names, type PagePlan, type Platform, PORTS } from '../platform.ts';
import { callerCredential, callersAnnotation, trustedProxies } from './caller-access.ts';
import { pageDatabaseAccess } from './database-access.ts';
import { disruptionBudget } from './disruption-budget.ts';
import { httpService } from './http-service.ts';
import { DEMO_TOKEN_URL, identity } from './identity.ts';
import { metadataOf, selectorOf } from './labels.ts';
import { type EnvironmentVariable, rolePod } from './role-pod.ts';
import { ownAccount } from './service-accounts.ts';
import { podsAtMost, replicasField, serviceAutoscaler } from './service-autoscaler.ts';
import { WITHOUT_A_GAP } from './serving.ts';
import { tracing } from './tracing.ts';

const component = 'page-server';

/** Serves one page under the delivery that is shown now; nothing for a page that somebody else serves. */
export function pageServer(scope: Construct, platform: Platform, { name, spec, shown }: PagePlan): void {
  const server = serverOf(spec);
  if (server === null) return;
  // The operator refuses a page without `external` whose name is not ours.
  const page = name as PageName;
  serve(scope, platform, page, page, server, [
    { name: 'TC_DELIVERY', value: shown.delivery },
    ...(shown.delivery === 'synchronous'
      ? [{ name: 'TC_PARALLEL', value: String(spec.parallel ?? true) }]
      : []),
    { name: 'TC_DATABASE_POOL', value: String(server.databasePool) },
    { name: 'TC_SOURCE_DEADLINE_MS', value: String(server.sourceDeadlineMs) },
    { name: 'TC_SOURCE_CONCURRENCY', value: String(server.sourceConcurrency) },
    { name: 'TC_PAGE_DEADLINE_MS', value: String(server.pageDeadlineMs) },
    { name: 'TC_VERSION_CALLS_PER_MINUTE', value: String(server.versionCallsPerMinute) },
  ]);
}

/** Serves the self-view: a seller's own list, always from the source of truth. */
export function selfView(scope: Construct, platform: Platform): void {
  serve(scope, platform, 'self-view', 'selfView', platform.spec.selfView, [
    ...identity(platform),
    ...(hasDemoIssuer(platform.spec) ? [{ name: 'TC_TOKEN_URL', value: DEMO_TOKEN_URL }] : []),
  ]);
}

function serve(
  scope: Construct,
  platform: Platform,
  page: ServedPage,
  database: DatabaseName,
  {
    replicas,
    autoscaling,
    resources,
    pod,
  }: {
    readonly replicas: number;
    readonly autoscaling: ServiceAutoscaling;
    readonly resources: Resources;
    readonly pod?: PodSettings | undefined;
  },
  settings: readonly EnvironmentVariable[],
): void {
  const access = pageDatabaseAccess(platform, database);
  const { publicUrls } = platform.spec;
  const link = (name: string, value: string | undefined) => (value === undefined ? [] : [{ name, value }]);
  const workload = { name: names.page(page), component, instance: page, replicas, autoscaling };
  new ApiObject(scope, `page-${page}`, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadataOf(platform, workload.name, component, page),
    spec: {
      ...replicasField(platform, workload),
      selector: { matchLabels: selectorOf(component, page) },
      strategy: WITHOUT_A_GAP,
      template: rolePod(platform, {
        role: 'page-server',
        component,
        instance: page,
        settings: pod,
        ...ownAccount(component, page, pod),
        resources,
        semiSpaceMiB: 8,
        serves: true,
        env: [
          { name: 'TC_PAGE', value: page },
          { name: 'TC_PORT', value: String(PORTS.http) },
          ...access.env,
          { name: 'TC_SOURCE_URL', value: `http://${names.source}:${PORTS.http}` },
          callerCredential(platform, page),
          ...settings,
          ...trustedProxies(platform),
          ...PAGE_NAMES.flatMap((one) => link(settingOfPage(one, 'URL'), publicUrls[one])),
          ...link('TC_SELF_VIEW_URL', publicUrls.selfView),
          ...tracing(platform),
        ],
        annotations: callersAnnotation(platform),
        volumes: access.volumes,
      }),
    },
  });
  httpService(scope, platform, workload);
  disruptionBudget(scope, platform, { ...workload, replicas: podsAtMost(platform, workload) });
  serviceAutoscaler(scope, platform, workload);
}
