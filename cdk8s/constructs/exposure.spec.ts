import { describe, expect, test } from '@jest/globals';
import { brokenRules } from '../api/rules.ts';
import { TopClientsSpec } from '../api/top-clients.ts';
import type { KubeObject } from '../kube-object.ts';
import { EXAMPLES, OWN_ISSUER, objectsOf, podOf, wanted } from '../testing/platforms.ts';

// biome-ignore lint/suspicious/noExplicitAny: a manifest is as deep as it is
type Any = any;
const PUBLIC_URLS = {
  api: 'https://api.example.com',
  gig: 'https://gigs.example.com:8443/',
  user: 'http://users.example.com',
  selfView: 'https://my.example.com',
};
const objectsWith = (topClients: Any, pages: Any = { gig: {}, user: {}, search: {} }): KubeObject[] =>
  objectsOf(wanted({ topClients: { publicUrls: PUBLIC_URLS, ...topClients }, pages }));
const of = (kind: string, objects: readonly KubeObject[]): Any[] =>
  objects.filter((object) => object.kind === kind);
const trusted = (objects: readonly KubeObject[], component: string) =>
  objects
    .flatMap((object) => podOf(object) ?? [])
    .filter(({ metadata }) => metadata.labels['app.kubernetes.io/component'] === component)
    .flatMap(({ spec }) => spec.containers.flatMap(({ env = [] }) => env))
    .filter(({ name }) => name === 'TC_TRUSTED_PROXIES')
    .map(({ value }) => value);

test('nothing is exposed unless it is asked for', () => {
  const objects = objectsWith({});
  expect([...of('Ingress', objects), ...of('HTTPRoute', objects)]).toEqual([]);
});

test('each public address gets an Ingress to its Service, and TLS where it says https', () => {
  const ingresses = of(
    'Ingress',
    objectsWith({ ingress: { enabled: true, className: 'nginx', annotations: { 'example.com/a': 'b' } } }),
  );
  expect(
    ingresses.map(({ metadata, spec }) => [
      metadata.name,
      spec.rules[0].host,
      spec.rules[0].http.paths[0].backend.service,
      spec.tls,
    ]),
  ).toEqual(
    [
      ['top-clients', 'api.example.com'],
      ['top-clients-page-self-view', 'my.example.com'],
      ['top-clients-page-gig', 'gigs.example.com'],
      ['top-clients-page-user', 'users.example.com'],
    ].map(([name, host]) => [
      name,
      host,
      { name, port: { name: 'http' } },
      host === 'users.example.com' ? undefined : [{ hosts: [host], secretName: `${name}-tls` }],
    ]),
  );
  for (const { metadata, spec } of ingresses) {
    expect([spec.ingressClassName, metadata.annotations]).toEqual(['nginx', { 'example.com/a': 'b' }]);
  }
});

test('one certificate may do for all, and TLS may end before', () => {
  const tlsOf = (tls: Any) =>
    of('Ingress', objectsWith({ ingress: { enabled: true, tls } })).map(
      ({ spec }) => spec.tls?.[0].secretName,
    );
  expect(tlsOf({ secretName: 'wildcard' })).toEqual(['wildcard', 'wildcard', 'wildcard', undefined]);
  expect(tlsOf({ enabled: false })).toEqual([undefined, undefined, undefined, undefined]);
});

test('each public address gets an HTTPRoute at the Gateways that are named', () => {
  const parentRefs = [{ name: 'public', namespace: 'gateways' }];
  const routes = of('HTTPRoute', objectsWith({ httpRoute: { enabled: true, parentRefs } }));
  expect(
    routes.map(({ metadata, spec }) => [
      metadata.name,
      spec.hostnames,
      spec.parentRefs,
      spec.rules[0].backendRefs,
    ]),
  ).toEqual(
    [
      ['top-clients', 'api.example.com'],
      ['top-clients-page-self-view', 'my.example.com'],
      ['top-clients-page-gig', 'gigs.example.com'],
      ['top-clients-page-user', 'users.example.com'],
    ].map(([name, host]) => [name, [host], parentRefs, [{ name, port: 8080 }]]),
  );
});

test('a page that is not deployed, one of somebody else, and a self-view that does not run are not exposed', () => {
  const objects = objectsWith(
    { ingress: { enabled: true }, selfView: { enabled: false } },
    { shop: { external: { database: { existingSecret: 'theirs' } } } },
  );
  expect(of('Ingress', objects).map(({ metadata }) => metadata.name)).toEqual(['top-clients']);
});

describe.each([
  ['ingress', 'controller', {}],
  ['httpRoute', 'gateway', { parentRefs: [{ name: 'public' }] }],
])('what serves %s', (kind, whose, further) => {
  const exposed = (settings: Any, others: Any = {}) =>
    objectsWith({ ...others, [kind]: { enabled: true, [whose]: settings, ...further } });

  test('is believed whose visit it forwards, by source, pages and self-view', () => {
    const objects = exposed({ networks: ['fd00:7::/64'] }, { source: { trustedProxies: ['fd00:8::/64'] } });
    expect(trusted(objects, 'source')).toEqual(['fd00:8::/64,fd00:7::/64']);
    expect(new Set(trusted(objects, 'page-server'))).toEqual(new Set(['fd00:8::/64,fd00:7::/64']));
    expect(trusted(exposed({}), 'source')).toEqual(['uniquelocal']);
  });

  test('is let in by the network policies, and `helm test` still is', () => {
    const policies = of('NetworkPolicy', exposed({ namespace: 'front' }));
    for (const name of ['top-clients-source', 'top-clients-page-server']) {
      const { spec } = policies.find(({ metadata }) => metadata.name === name);
      const { from } = spec.ingress.find(({ ports }: Any) => ports.some(({ port }: Any) => port === 8080));
      expect(from).toEqual(
        expect.arrayContaining([
          { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'front' } } },
          {
            podSelector: {
              matchLabels: {
                'app.kubernetes.io/part-of': 'top-clients',
                'app.kubernetes.io/component': 'test',
              },
            },
          },
        ]),
      );
    }
  });
});

test('what cannot be exposed is refused with what to change', () => {
  const broken = (spec: Any) =>
    brokenRules(TopClientsSpec, TopClientsSpec.parse({ profile: 'demo', ...spec }), ['topClients']);
  expect(broken({ ingress: { enabled: true } })).toEqual([
    expect.stringContaining('ingress and httpRoute take their hosts from publicUrls'),
  ]);
  expect(broken({ httpRoute: { enabled: true }, publicUrls: { gig: 'https://a.example.com' } })).toEqual([
    expect.stringContaining('httpRoute needs httpRoute.parentRefs'),
  ]);
  expect(broken({ ...OWN_ISSUER, ingress: { enabled: true } })).toEqual([]);
});

test('the examples expose all there is', () => {
  const count = (example: string, kind: string) => of(kind, objectsOf(EXAMPLES[example]!('shop'))).length;
  expect([count('an ingress', 'Ingress'), count('the Gateway API', 'HTTPRoute')]).toEqual([5, 5]);
});
