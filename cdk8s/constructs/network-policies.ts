import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { hasDemoIssuer } from '../api/top-clients.ts';
import { names, type PageOf, type Platform, PORTS } from '../platform.ts';
import { databaseServers } from './database-servers.ts';
import { callingNamespaces } from './exposure.ts';
import { brokersOf } from './kafka-access.ts';
import { externalPageLabel, metadataOf, PART_OF } from './labels.ts';
import { componentsOf } from './service-accounts.ts';

type Peer =
  | Readonly<Record<'podSelector' | 'namespaceSelector', unknown>>
  | Readonly<Record<string, unknown>>;
interface Port {
  readonly protocol: 'TCP' | 'UDP';
  readonly port: number | string;
}
interface Rule {
  /** Absent: any peer. The field must then be absent too; an empty list would mean the same. */
  readonly peers?: readonly Peer[];
  readonly ports: readonly Port[];
}

const tcp = (port: number | string): Port => ({ protocol: 'TCP', port });
const ours = (component: string, instance?: string) => ({
  podSelector: {
    matchLabels: {
      ...PART_OF,
      'app.kubernetes.io/component': component,
      ...(instance ? { 'app.kubernetes.io/instance': instance } : {}),
    },
  },
});
const namespaceOf = (name: string) => ({ matchLabels: { 'kubernetes.io/metadata.name': name } });
const namespaces = (list: readonly { readonly namespace: string }[]): Peer[] =>
  list.map(({ namespace }) => ({ namespaceSelector: namespaceOf(namespace) }));

/** Components that use databases. */
const DATABASE_CALLERS = [
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
];
const KAFKA_CALLERS = [
  'outbox-relay',
  'projector',
  'compare-views',
  'watch-view',
  'drop-view',
  'republish',
  'migrate',
];
/** Components that the operator queries for what no object shows: lag, and the progress of republishing. */
const ASKED_BY_OPERATOR = ['projector', 'outbox-relay'];
const TRACED = ['source', 'outbox-relay', 'projector', 'page-server'];
/** Components that answer users, and may be called from outside. */
const PUBLIC = ['source', 'page-server', 'issuer'];

/** The components that may call Kafka, as peers of a policy; KEDA queries the lag of groups. */
export function kafkaCallers({ capabilities, spec }: Platform): Peer[] {
  return [
    ...KAFKA_CALLERS.filter((one) => spec.kafka.mode !== 'strimzi' || one !== 'migrate').map((one) =>
      ours(one),
    ),
    ...(capabilities.keda ? namespaces(spec.networkPolicies.kedaFrom) : []),
  ];
}

/**
 * First denies all traffic, then allows exactly the arrows of the design. Policies only add to each other: other parts
 * of ours, such as the operator, bring policies that allow them more.
 */
export function networkPolicies(scope: Construct, platform: Platform): void {
  if (!platform.spec.networkPolicies.enabled) return;
  const everyPod = {
    matchLabels: PART_OF,
    matchExpressions: [
      { key: 'app.kubernetes.io/component', operator: 'NotIn', values: ['operator', 'test'] },
    ],
  };
  const policy = (name: string, spec: Readonly<Record<string, unknown>>) =>
    new ApiObject(scope, `policy-${name}`, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: metadataOf(platform, `top-clients-${name}`, 'network-policy', name),
      spec,
    });
  policy('default-deny', { podSelector: everyPod, policyTypes: ['Ingress', 'Egress'] });
  policy('dns', {
    podSelector: everyPod,
    policyTypes: ['Egress'],
    egress: [
      {
        to: [
          ...namespaces(platform.spec.networkPolicies.dnsIn),
          // A DNS cache on each node listens on an address of these ranges, as Kubernetes recommends.
          { ipBlock: { cidr: '169.254.0.0/16' } },
          { ipBlock: { cidr: 'fd00::/8' } },
        ],
        // Policies see the port of the pod, and that of OpenShift's is the second.
        ports: [53, 5353].flatMap((port) => [{ protocol: 'UDP', port }, tcp(port)]),
      },
    ],
  });
  for (const component of componentsOf(platform)) {
    const ingress = ingressOf(platform, component);
    const egress = egressOf(platform, component);
    const written = (rules: readonly Rule[], side: 'from' | 'to') =>
      rules.map(({ peers, ports }) => ({ ...(peers ? { [side]: peers } : {}), ports }));
    policy(component, {
      podSelector: { matchLabels: { ...PART_OF, 'app.kubernetes.io/component': component } },
      policyTypes: ['Ingress', 'Egress'],
      ingress: written(ingress, 'from'),
      egress: written(egress, 'to'),
    });
  }
}

/** Of a page of somebody else: what works for it reaches their database, and their pods the source. */
export function externalPagePolicies(scope: Construct, platform: Platform, { name, spec }: PageOf): void {
  const { external } = spec;
  if (external === undefined || !platform.spec.networkPolicies.enabled) return;
  const policy = (of: 'database' | 'callers', rules: Readonly<Record<string, unknown>>) =>
    new ApiObject(scope, `policy-${of}`, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: metadataOf(platform, `${names.page(name)}-${of}`, 'network-policy', `${name}-${of}`),
      spec: rules,
    });
  policy('database', {
    podSelector: { matchLabels: { ...PART_OF, ...externalPageLabel(name) } },
    policyTypes: ['Egress'],
    // Its host is in a secret.
    egress: [{ ports: [tcp(external.database.port)] }],
  });
  if (external.callers.length === 0) return;
  policy('callers', {
    podSelector: ours('source').podSelector,
    policyTypes: ['Ingress'],
    ingress: [{ from: external.callers, ports: [tcp(PORTS.http)] }],
  });
}

function ingressOf(platform: Platform, component: string): Rule[] {
  const { scrapersFrom } = platform.spec.networkPolicies;
  switch (component) {
    case 'kafka':
      return [{ peers: kafkaCallers(platform), ports: [tcp(9092)] }];
    case 'postgres':
      return [{ peers: DATABASE_CALLERS.map((one) => ours(one)), ports: [tcp(5432)] }];
  }
  const scrapers = [
    ...namespaces(scrapersFrom),
    // The operator, in whatever namespace it runs.
    ...(ASKED_BY_OPERATOR.includes(component) ? [{ namespaceSelector: {}, ...ours('operator') }] : []),
  ];
  return [
    ...(PUBLIC.includes(component)
      ? [{ ...callersOf(component, callingNamespaces(platform)), ports: [tcp(PORTS.http)] }]
      : []),
    ...(scrapers.length > 0 ? [{ peers: scrapers, ports: [tcp(PORTS.health)] }] : []),
  ];
}

/** The peers that may call components which also serve users. */
function callersOf(component: string, from: readonly { readonly namespace: string }[]): { peers?: Peer[] } {
  if (from.length === 0) return {};
  const own: Readonly<Record<string, readonly Peer[]>> = {
    source: [ours('page-server')],
    issuer: [ours('source'), ours('page-server', 'self-view')],
  };
  // `helm test` calls what sellers and buyers call.
  return { peers: [...(own[component] ?? []), ours('test'), ...namespaces(from)] };
}

function egressOf(platform: Platform, component: string): Rule[] {
  const { kafka, postgres, auth, tracing } = platform.spec;
  const rules: Rule[] = [];
  if (DATABASE_CALLERS.includes(component)) {
    rules.push(
      postgres.mode === 'external'
        ? // Its host is in a secret.
          { ports: [tcp(postgres.external.port)] }
        : {
            peers:
              postgres.mode === 'cnpg'
                ? databaseServers(platform).map(({ name }) => ({
                    podSelector: { matchLabels: { 'cnpg.io/cluster': name } },
                  }))
                : [ours('postgres')],
            ports: [tcp(5432)],
          },
    );
  }
  if (KAFKA_CALLERS.includes(component) && !(component === 'migrate' && kafka.mode === 'strimzi')) {
    const ports = [...new Set(brokersOf(platform).map(portOf))].map(tcp);
    rules.push(
      kafka.mode === 'external'
        ? // Its brokers may be anywhere, and lead to further ones.
          { ports }
        : {
            peers: [
              kafka.mode === 'strimzi'
                ? { podSelector: { matchLabels: { 'strimzi.io/cluster': names.kafka } } }
                : ours('kafka'),
            ],
            ports,
          },
    );
  }
  if (component === 'page-server') rules.push({ peers: [ours('source')], ports: [tcp(PORTS.http)] });
  if (component === 'page-server' || component === 'source') {
    rules.push(
      hasDemoIssuer(platform.spec)
        ? { peers: [ours('issuer')], ports: [tcp(PORTS.http)] }
        : { ports: [tcp(portOfUrl(auth.jwksUrl!))] },
    );
  }
  // The collector may have any address.
  if (tracing.endpoint !== undefined && TRACED.includes(component)) {
    rules.push({ ports: [tcp(portOfUrl(tracing.endpoint))] });
  }
  return rules;
}

const portOf = (broker: string): number => Number(broker.slice(broker.lastIndexOf(':') + 1));

const portOfUrl = (address: string): number => {
  const { port, protocol } = new URL(address);
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
};
