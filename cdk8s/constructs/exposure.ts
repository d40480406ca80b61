import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import type { PageName } from '#contracts/pages.ts';
import { serverOf } from '../api/page-view.ts';
import { names, type PagePlan, type Platform, PORTS } from '../platform.ts';
import { metadataOf } from './labels.ts';

interface Exposed {
  /** Of its Service. */
  readonly name: string;
  readonly component: string;
  readonly instance?: string;
  /** Its address for browsers; it is not exposed without one. */
  readonly url: string | undefined;
}

/** How the API and the self-view reach the world. */
export function exposePlatform(scope: Construct, platform: Platform): void {
  const { publicUrls, selfView } = platform.spec;
  expose(scope, platform, { name: names.source, component: 'source', url: publicUrls.api });
  if (!selfView.enabled) return;
  const name = names.page('self-view');
  expose(scope, platform, {
    name,
    component: 'page-server',
    instance: 'self-view',
    url: publicUrls.selfView,
  });
}

/** The same for a page, unless somebody else serves it. */
export function exposePage(scope: Construct, platform: Platform, { name, spec }: PagePlan): void {
  if (serverOf(spec) === null) return;
  // The operator refuses a page without `external` whose name is not ours.
  const url = platform.spec.publicUrls[name as PageName];
  expose(scope, platform, { name: names.page(name), component: 'page-server', instance: name, url });
}

/** Hosts are said once: the address that pages link to is that at which they are found. */
function expose(scope: Construct, platform: Platform, { name, component, instance, url }: Exposed): void {
  if (url === undefined) return;
  const { ingress, httpRoute } = platform.spec;
  const { hostname: host, protocol } = new URL(url);
  const metadata = (annotations: Readonly<Record<string, string>>) => ({
    ...metadataOf(platform, name, component, instance),
    ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
  });
  if (ingress.enabled) {
    const { enabled, secretName = `${name}-tls` } = ingress.tls;
    new ApiObject(scope, `${name}-ingress`, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'Ingress',
      metadata: metadata(ingress.annotations),
      spec: {
        ...(ingress.className ? { ingressClassName: ingress.className } : {}),
        ...(enabled && protocol === 'https:' ? { tls: [{ hosts: [host], secretName }] } : {}),
        rules: [
          {
            host,
            http: {
              paths: [
                { path: '/', pathType: 'Prefix', backend: { service: { name, port: { name: 'http' } } } },
              ],
            },
          },
        ],
      },
    });
  }
  if (httpRoute.enabled) {
    new ApiObject(scope, `${name}-route`, {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: metadata(httpRoute.annotations),
      spec: {
        parentRefs: httpRoute.parentRefs,
        hostnames: [host],
        rules: [
          {
            matches: [{ path: { type: 'PathPrefix', value: '/' } }],
            backendRefs: [{ name, port: PORTS.http }],
          },
        ],
      },
    });
  }
}

/** What brings visitors in, where it is ours to say. */
const proxiesOf = ({ spec: { ingress, httpRoute } }: Pick<Platform, 'spec'>) => [
  ...(ingress.enabled ? [ingress.controller] : []),
  ...(httpRoute.enabled ? [httpRoute.gateway] : []),
];

/** Whose X-Forwarded-For is believed: an ingress that is not believed makes all visitors one. */
export const trustedNetworks = (platform: Pick<Platform, 'spec'>): readonly string[] => [
  ...new Set([
    ...platform.spec.source.trustedProxies,
    ...proxiesOf(platform).flatMap(({ networks }) => networks),
  ]),
];

/** The namespaces that may call pages and API; any when empty. */
export const callingNamespaces = (
  platform: Pick<Platform, 'spec'>,
): readonly { readonly namespace: string }[] => [
  ...platform.spec.networkPolicies.pagesFrom,
  ...proxiesOf(platform).flatMap(({ namespace }) => (namespace === undefined ? [] : [{ namespace }])),
];
