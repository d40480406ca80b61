import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { type PageViewSpec, serverOf } from '../api/page-view.ts';
import type { PodSettings } from '../api/pod-settings.ts';
import { hasDemoData, hasDemoIssuer } from '../api/top-clients.ts';
import type { PageOf, Platform } from '../platform.ts';
import { accountOf, metadataOf } from './labels.ts';
import { given, podSettingsOf } from './pod-settings.ts';

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
  ...(hasDemoIssuer(spec) ? ['issuer'] : []),
  ...(hasDemoData(spec) ? ['seed'] : []),
  ...(spec.kafka.mode === 'embedded' ? ['kafka'] : []),
  ...(spec.postgres.mode === 'embedded' ? ['postgres'] : []),
];

/** The settings that a component's account gets. Components of pages share an account, so these are the common ones. */
function settingsOf({ spec }: Platform, component: string): PodSettings | undefined {
  switch (component) {
    case 'source':
      return spec.source.pod;
    case 'outbox-relay':
      return spec.relay.pod;
    case 'kafka':
      return spec.kafka.embedded.pod;
    case 'postgres':
      return spec.postgres.embedded.pod;
    case 'projector':
    case 'page-server':
    case 'watch-view':
    case 'issuer':
      return undefined;
    default:
      return spec.jobs.pod;
  }
}

/** An account for each component. None has rights, and no pod gets a token. */
export function serviceAccounts(scope: Construct, platform: Platform): void {
  for (const component of componentsOf(platform)) {
    account(scope, platform, component, undefined, settingsOf(platform, component));
  }
  const { selfView } = platform.spec;
  if (selfView.enabled) accountOfPage(scope, platform, 'page-server', 'self-view', selfView.pod);
}

/** The accounts of a page whose pods have an identity of their own. */
export function pageAccounts(
  scope: Construct,
  platform: Platform,
  { name, spec }: PageOf & { readonly spec: PageViewSpec },
): void {
  accountOfPage(scope, platform, 'page-server', name, serverOf(spec)?.pod);
  accountOfPage(scope, platform, 'projector', name, spec.projector.pod);
  accountOfPage(scope, platform, 'watch-view', name, spec.watch.pod);
}

/** The account of a page's pods that are given an identity; elsewhere they have that of their component. */
export const ownAccount = (
  component: string,
  page: string,
  own: PodSettings | undefined,
): { readonly account?: string } =>
  own?.serviceAccountAnnotations === undefined ? {} : { account: accountOf(component, page) };

function accountOfPage(
  scope: Construct,
  platform: Platform,
  component: string,
  page: string,
  own: PodSettings | undefined,
): void {
  if (ownAccount(component, page, own).account !== undefined) account(scope, platform, component, page, own);
}

function account(
  scope: Construct,
  platform: Platform,
  component: string,
  page: string | undefined,
  own: PodSettings | undefined,
): void {
  const name = accountOf(component, page);
  const { serviceAccountAnnotations: annotations } = podSettingsOf(platform, own);
  new ApiObject(scope, `account-${name}`, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { ...metadataOf(platform, name, component, page), ...given({ annotations }) },
    automountServiceAccountToken: false,
  });
}
