import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import type { Platform } from '../platform.ts';
import { accountOf, metadataOf } from './labels.ts';

/** The components of a platform and its pages. */
export const componentsOf = ({ spec }: Platform): readonly string[] => [
  'source',
  'outbox-relay',
  'projector',
  'page-server',
  'migrate',
  'compare-views',
  'watch-view',
  'drop-view',
  'republish',
  ...(spec.auth.demoIssuer ? ['issuer'] : []),
  ...(spec.demoData.enabled ? ['seed'] : []),
  ...(spec.kafka.mode === 'embedded' ? ['kafka'] : []),
  ...(spec.postgres.mode === 'embedded' ? ['postgres'] : []),
];

/** An account for each component. None has rights, and no pod gets a token. */
export function serviceAccounts(scope: Construct, platform: Platform): void {
  for (const component of componentsOf(platform)) {
    new ApiObject(scope, `account-${component}`, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: metadataOf(platform, accountOf(component), component),
      automountServiceAccountToken: false,
    });
  }
}
