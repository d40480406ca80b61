import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { databaseOf, names, type PagePlan, type Platform } from '../platform.ts';
import { databaseAccess, pagePod } from './database-access.ts';
import { kafkaAccess } from './kafka-access.ts';
import { metadataOf, selectorOf } from './labels.ts';
import { rolePod } from './role-pod.ts';
import { ownAccount } from './service-accounts.ts';
import { viewSettings } from './view-settings.ts';

const component = 'watch-view';

/**
 * Compares the shown view with the source all the time, and has differing rows repaired. It does the same for views
 * kept for a rollback, so that they are right when needed. One pod, because two would send every repair twice; while it
 * is down nothing gets worse. A view that is being built is compared before it is shown.
 */
export function viewWatcher(scope: Construct, platform: Platform, page: PagePlan): void {
  const { name, spec, shown, keptUp = [] } = page;
  const { watch } = spec;
  // A page that shows no view may have kept views, and erasures must be confirmed in these too.
  const [first, ...others] = [...('version' in shown ? [shown] : []), ...keptUp];
  if (!watch.enabled || first === undefined) return;
  const database = databaseAccess(platform, 'watch-view', {
    TC_SOURCE_DATABASE_URL: 'source',
    TC_DATABASE_URL: databaseOf(page),
  });
  const kafka = kafkaAccess(platform, 'watch-view');
  new ApiObject(scope, `watch-${name}`, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadataOf(platform, names.watcher(name), component, name),
    spec: {
      replicas: 1,
      selector: { matchLabels: selectorOf(component, name) },
      strategy: { type: 'Recreate' },
      template: rolePod(platform, {
        ...pagePod(page),
        role: 'watch-view',
        component,
        instance: name,
        settings: watch.pod,
        ...ownAccount(component, name, watch.pod),
        resources: watch.resources,
        semiSpaceMiB: 4,
        env: [
          ...viewSettings(name, first),
          ...(others.length > 0
            ? [
                {
                  name: 'TC_KEPT_VIEWS',
                  value: others.map(({ delivery, version }) => `${delivery}-v${version}`).join(','),
                },
              ]
            : []),
          ...database.env,
          { name: 'TC_REPAIR', value: String(watch.repair) },
          { name: 'TC_SELLERS_PER_SECOND', value: String(watch.sellersPerSecond) },
          ...kafka.env,
        ],
        volumes: [...database.volumes, ...kafka.volumes],
      }),
    },
  });
}
