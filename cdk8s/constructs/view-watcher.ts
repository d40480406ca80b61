import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { names, type PagePlan, type Platform } from '../platform.ts';
import { databaseAccess } from './database-access.ts';
import { kafkaAccess } from './kafka-access.ts';
import { metadataOf, selectorOf } from './labels.ts';
import { rolePod } from './role-pod.ts';
import { viewSettings } from './view-settings.ts';

const component = 'watch-view';

/**
 * Compares the view that a page shows with the source all the time, and has repaired what differs; and so those that are
 * kept up for a rollback, or they would be found wrong when they are needed. One pod, for two would send every repair
 * twice; while it is away nothing is worse than before. A view that is being built is compared before it is shown.
 */
export function viewWatcher(
  scope: Construct,
  platform: Platform,
  { name, spec, shown, keptUp = [] }: PagePlan,
): void {
  const { watch } = spec;
  // A page that shows no view any more may have some that are kept up, and what is erased is to leave these, too.
  const [first, ...others] = [...('version' in shown ? [shown] : []), ...keptUp];
  if (!watch.enabled || first === undefined) return;
  const database = databaseAccess(platform, 'watch-view', {
    TC_SOURCE_DATABASE_URL: 'source',
    TC_DATABASE_URL: name,
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
        role: 'watch-view',
        component,
        instance: name,
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
