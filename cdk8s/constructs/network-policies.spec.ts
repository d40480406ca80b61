import { describe, expect, test } from '@jest/globals';
import { build } from '../build.ts';
import type { PageOf, Platform } from '../platform.ts';
import { built, OWN_ISSUER, pageOf, platformOf } from '../testing/platforms.ts';
import { externalPageLabel } from './labels.ts';
import { externalPagePolicies, networkPolicies } from './network-policies.ts';

type Labels = Readonly<Record<string, string>>;
interface Selector {
  readonly matchLabels?: Labels;
}
interface Peer {
  readonly podSelector?: Selector;
  readonly namespaceSelector?: Selector;
  readonly ipBlock?: { readonly cidr: string };
}
interface Rule {
  readonly from?: readonly Peer[];
  readonly to?: readonly Peer[];
  readonly ports: readonly { readonly protocol: string; readonly port: number }[];
}
interface Policy {
  readonly spec: {
    readonly podSelector: Selector;
    readonly policyTypes: readonly ('Ingress' | 'Egress')[];
    readonly ingress?: readonly Rule[];
    readonly egress?: readonly Rule[];
  };
}
interface Pod {
  readonly namespace: string;
  readonly labels: Labels;
}

const pod = (component: string, instance = component): Pod => ({
  namespace: 'shop',
  labels: {
    'app.kubernetes.io/part-of': 'top-clients',
    'app.kubernetes.io/component': component,
    'app.kubernetes.io/instance': instance,
  },
});
const stranger = (namespace: string): Pod => ({ namespace, labels: { app: 'theirs' } });
const anywhere: Pod = { namespace: 'the internet', labels: {} };

const matches = (selector: Selector | undefined, labels: Labels) =>
  Object.entries(selector?.matchLabels ?? {}).every(([name, value]) => labels[name] === value);
const isPeer = (peer: Peer, { namespace, labels }: Pod) =>
  !peer.ipBlock &&
  (peer.namespaceSelector
    ? matches(peer.namespaceSelector, { 'kubernetes.io/metadata.name': namespace })
    : namespace === 'shop') &&
  matches(peer.podSelector, labels);

/** Judges as the network does: denied once any policy selects the pod, allowed again by any rule of any of them. */
function judgeOf(platform: Platform, pages: readonly PageOf[] = []) {
  const policies = [
    ...build((scope) => networkPolicies(scope, platform)),
    ...pages.flatMap((page) => build((scope) => externalPagePolicies(scope, platform, page))),
  ] as unknown as Policy[];
  const side = (type: 'Ingress' | 'Egress', of: Pod, other: Pod, port: number) => {
    const applying = policies.filter(
      ({ spec }) =>
        of.namespace === 'shop' && spec.policyTypes.includes(type) && matches(spec.podSelector, of.labels),
    );
    if (applying.length === 0) return true;
    return applying
      .flatMap(({ spec }) => (type === 'Ingress' ? spec.ingress : spec.egress) ?? [])
      .some((rule) => {
        const peers = type === 'Ingress' ? rule.from : rule.to;
        return (
          rule.ports.some((one) => one.port === port) &&
          (peers === undefined || peers.some((peer) => isPeer(peer, other)))
        );
      });
  };
  return (from: Pod, to: Pod, port: number) =>
    side('Egress', from, to, port) && side('Ingress', to, from, port);
}

const COMPONENTS = [
  'source',
  'outbox-relay',
  'projector',
  'page-server',
  'migrate',
  'compare-views',
  'watch-view',
  'drop-view',
  'republish',
  'seed',
  'issuer',
  'kafka',
  'postgres',
];
const PORTS = [8080, 9090, 9092, 9094, 5432];
/** All that is allowed among our own pods: `from -> to:port`. */
const arrowsOf = (platform: Platform): string[] => {
  const may = judgeOf(platform);
  return COMPONENTS.flatMap((from) =>
    COMPONENTS.flatMap((to) =>
      PORTS.filter((port) => may(pod(from), pod(to), port)).map((port) => `${from} -> ${to}:${port}`),
    ),
  );
};
const all = { demoData: { enabled: true } };

describe('with everything in one namespace', () => {
  const platform = platformOf(all);
  const may = judgeOf(platform);

  test('as written', () => {
    expect(built((scope) => networkPolicies(scope, platform))).toMatchSnapshot();
  });

  test('there are exactly the arrows of the design', () => {
    expect(arrowsOf(platform).sort()).toEqual(
      [
        ...[
          'source',
          'outbox-relay',
          'projector',
          'page-server',
          'migrate',
          'compare-views',
          'watch-view',
          'drop-view',
          'republish',
          'seed',
        ].map((from) => `${from} -> postgres:5432`),
        ...[
          'outbox-relay',
          'projector',
          'migrate',
          'compare-views',
          'watch-view',
          'drop-view',
          'republish',
        ].map((from) => `${from} -> kafka:9092`),
        'page-server -> source:8080',
        'page-server -> issuer:8080',
        'source -> issuer:8080',
      ].sort(),
    );
  });

  test('users reach pages, API and issuer from anywhere, and nothing else', () => {
    const reached = COMPONENTS.flatMap((to) =>
      PORTS.filter((port) => may(stranger('elsewhere'), pod(to), port)).map((port) => `${to}:${port}`),
    );
    expect(reached.sort()).toEqual(['issuer:8080', 'page-server:8080', 'source:8080']);
  });

  test('metrics are read from the namespaces that are named, and of projectors and relays by the operator', () => {
    for (const component of ['source', 'outbox-relay', 'projector', 'watch-view', 'page-server', 'issuer']) {
      expect(may(stranger('monitoring'), pod(component), 9090)).toBe(true);
      expect(may(stranger('elsewhere'), pod(component), 9090)).toBe(false);
    }
    const operator = { ...pod('operator'), namespace: 'operators' };
    expect(may(operator, pod('projector'), 9090)).toBe(true);
    expect(may(operator, pod('outbox-relay'), 9090)).toBe(true);
    expect(may(operator, pod('source'), 9090)).toBe(false);
    expect(may(operator, pod('kafka'), 9092)).toBe(false);
  });

  test('everybody may ask for names, and nobody gets out', () => {
    const dns = { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } };
    for (const component of COMPONENTS) {
      expect(may(pod(component), dns, 53)).toBe(true);
      expect(may(pod(component), anywhere, 443)).toBe(false);
      expect(may(pod(component), anywhere, 53)).toBe(false);
    }
  });

  test("every part asks OpenShift's DNS servers at their own port, and nobody else there", () => {
    const openshift = {
      namespace: 'openshift-dns',
      labels: { 'dns.operator.openshift.io/daemonset-dns': 'default' },
    };
    for (const component of COMPONENTS) {
      expect(may(pod(component), openshift, 5353)).toBe(true);
      expect(may(pod(component), stranger('elsewhere'), 5353)).toBe(false);
    }
    const own = judgeOf(platformOf({ networkPolicies: { dnsIn: [{ namespace: 'names' }] } }));
    expect([own(pod('source'), stranger('names'), 53), own(pod('source'), openshift, 5353)]).toEqual([
      true,
      false,
    ]);
  });
});

test('pages are open to the named namespaces alone, and go on reaching each other', () => {
  const platform = platformOf({ ...all, networkPolicies: { pagesFrom: [{ namespace: 'ingress' }] } });
  const may = judgeOf(platform);
  expect(may(stranger('ingress'), pod('page-server'), 8080)).toBe(true);
  expect(may(stranger('elsewhere'), pod('page-server'), 8080)).toBe(false);
  expect(may(pod('page-server', 'gig'), pod('source'), 8080)).toBe(true);
  expect(may(pod('page-server', 'self-view'), pod('issuer'), 8080)).toBe(true);
  expect(may(pod('source'), pod('issuer'), 8080)).toBe(true);
  expect(may(pod('projector'), pod('source'), 8080)).toBe(false);
});

test('KEDA asks Kafka for the lag where it is there', () => {
  const asks = (platform: Platform) => judgeOf(platform)(stranger('keda'), pod('kafka'), 9092);
  expect(asks(platformOf())).toBe(false);
  expect(asks(platformOf({}, { keda: true }))).toBe(true);
  expect(
    asks(platformOf({ networkPolicies: { kedaFrom: [{ namespace: 'scaling' }] } }, { keda: true })),
  ).toBe(false);
});

test('stores by operators are reached at their pods, by those who need them', () => {
  const may = judgeOf(platformOf({ kafka: { mode: 'strimzi', replication: 3 }, postgres: { mode: 'cnpg' } }));
  const broker = { namespace: 'shop', labels: { 'strimzi.io/cluster': 'top-clients-kafka' } };
  const server = (name: string) => ({ namespace: 'shop', labels: { 'cnpg.io/cluster': name } });
  expect(may(pod('projector'), broker, 9093)).toBe(true);
  expect(may(pod('page-server'), broker, 9093)).toBe(false);
  expect(may(pod('migrate'), broker, 9093)).toBe(false);
  expect(may(pod('page-server'), server('top-clients-postgres'), 5432)).toBe(true);
  expect(may(pod('page-server'), server('top-clients-postgres-pages'), 5432)).toBe(true);
  expect(may(pod('page-server'), server('theirs'), 5432)).toBe(false);
});

test('external stores and an external issuer are reached by their ports, by those who need them', () => {
  const may = judgeOf(
    platformOf({
      kafka: { mode: 'external', external: { brokers: ['a.example.com:9094', 'b.example.com:9094'] } },
      postgres: { mode: 'external', external: { existingSecret: 'databases', port: 6432 } },
      ...OWN_ISSUER,
    }),
  );
  const reached = (component: string) =>
    [443, 5432, 6432, 9094].filter((port) => may(pod(component), anywhere, port));
  expect(reached('outbox-relay')).toEqual([6432, 9094]);
  expect(reached('projector')).toEqual([6432, 9094]);
  expect(reached('source')).toEqual([443, 6432]);
  expect(reached('page-server')).toEqual([443, 6432]);
  expect(reached('drop-view')).toEqual([6432, 9094]);
});

test('those who make traces reach what collects them, wherever it is, and nobody else does', () => {
  const reaching = (endpoint: string, port: number) => {
    const may = judgeOf(platformOf({ ...all, tracing: { endpoint } }));
    return COMPONENTS.filter((component) => may(pod(component), anywhere, port));
  };
  const traced = ['source', 'outbox-relay', 'projector', 'page-server'];
  expect(reaching('http://collector.monitoring:4318', 4318)).toEqual(traced);
  expect(reaching('https://traces.example.com', 443)).toEqual(traced);
  expect(reaching('https://traces.example.com', 4318)).toEqual([]);
});

test('what works for a page of somebody else reaches its database, and nobody else; its callers reach the source', () => {
  const callers = [
    {
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'theirs' } },
      podSelector: { matchLabels: { app: 'theirs' } },
    },
  ];
  const database = { existingSecret: 'theirs', port: 6_432 };
  const page = pageOf('shop', { external: { database, callers } });
  const may = judgeOf(platformOf({ networkPolicies: { pagesFrom: [{ namespace: 'ingress' }] } }), [page]);
  const projector = pod('projector');
  const theirs = { ...projector, labels: { ...projector.labels, ...externalPageLabel('shop') } };
  expect([may(theirs, anywhere, 6_432), may(theirs, anywhere, 5_432)]).toEqual([true, false]);
  expect(may(theirs, pod('kafka'), 9_092)).toBe(true);
  expect(may(projector, anywhere, 6_432)).toBe(false);
  expect(may(stranger('theirs'), pod('source'), 8_080)).toBe(true);
  expect(may(stranger('elsewhere'), pod('source'), 8_080)).toBe(false);
  expect(may({ namespace: 'theirs', labels: {} }, pod('source'), 8_080)).toBe(false);
  expect(may(stranger('theirs'), pod('page-server'), 8_080)).toBe(false);
});

test('none where somebody else guards the network', () => {
  expect(built((scope) => networkPolicies(scope, platformOf({ networkPolicies: { enabled: false } })))).toBe(
    '',
  );
});
