import { readFileSync } from 'node:fs';
import { stringify } from 'yaml';
import type { ViewPage } from '#contracts/pages.ts';
import { build } from '../build.ts';
import type { KubeObject } from '../kube-object.ts';
import { compareJob, dropAllJob, dropJob, pageObjects, platformObjects } from '../manifests.ts';
import { type PagePlan, type Platform, settledPage } from '../platform.ts';
import { readValues, type Wanted } from '../values.ts';

const CHART = new URL('../../charts/top-clients/', import.meta.url);
const read = (file: string) => ({ file, text: readFileSync(new URL(file, CHART), 'utf8') });
const IMAGE = 'registry.example.com/top-clients:1.2.3';

/** Most objects are the same in both profiles, and this one needs nothing from outside. */
export const DEMO = { topClients: { profile: 'demo', demoData: { enabled: false } } };

/** What the given values ask for, on a cluster with the given capabilities. */
export const wanted = (
  values: unknown = {},
  { keda = false, monitoring = false, namespace = 'shop' } = {},
): Wanted =>
  readValues(
    [
      { file: 'demo', text: stringify(DEMO) },
      { file: 'values', text: stringify(values) },
    ],
    {
      namespace,
      image: IMAGE,
      capabilities: { keda, monitoring },
    },
  );
export const platformOf = (topClients: unknown = {}, cluster?: Parameters<typeof wanted>[1]): Platform =>
  wanted({ topClients }, cluster).platform;
export const pageOf = (name: ViewPage, spec: unknown = {}): PagePlan =>
  wanted({ pages: { [name]: spec } }).pages[0] ?? settledPage(name, spec as never);

/** Sellers' tokens come from an identity provider of the user's own. */
export const OWN_ISSUER = {
  auth: { demoIssuer: false, issuer: 'https://a.example.com', jwksUrl: 'https://a.example.com/keys' },
  publicUrls: { selfView: 'https://my.example.com' },
};

const fromChart =
  (files: readonly string[], cluster: { keda?: boolean; monitoring?: boolean } = {}) =>
  (namespace: string): Wanted =>
    readValues(['values.yaml', ...files].map(read), {
      namespace,
      image: IMAGE,
      capabilities: { keda: cluster.keda ?? false, monitoring: cluster.monitoring ?? false },
    });

/** The chart's values and examples, and further values that lead to other objects; each for a namespace. */
export const EXAMPLES: Readonly<Record<string, (namespace: string) => Wanted>> = {
  'a demo': fromChart(['examples/demo.yaml']),
  'a demo with KEDA': fromChart(['examples/demo.yaml'], { keda: true }),
  'a demo with a Prometheus operator': fromChart(['examples/demo.yaml'], { monitoring: true }),
  'one pod of everything': fromChart(['examples/development.yaml']),
  'Strimzi and CloudNativePG': fromChart(['examples/production-strimzi-cnpg.yaml'], {
    keda: true,
    monitoring: true,
  }),
  'every setting of other operators’ resources': (namespace) =>
    wanted(
      {
        topClients: {
          kafka: {
            mode: 'strimzi',
            strimzi: {
              rackTopologyKey: 'topology.kubernetes.io/zone',
              spread: 'required',
              heapSize: '3g',
              jvmFlags: { MaxGCPauseMillis: '20' },
              config: { 'num.io.threads': '16' },
              listeners: [{ name: 'readers', port: 9094, type: 'loadbalancer' }],
            },
          },
          postgres: {
            mode: 'cnpg',
            servers: 'each',
            cnpg: {
              instances: 5,
              synchronous: { number: 2, failoverQuorum: true },
              primaryLeaseSeconds: 9,
              backup: {
                method: 'volumeSnapshot',
                volumeSnapshotClass: 'csi',
                online: false,
                objectStore: 'log',
                serverSuffix: '2',
              },
              recovery: {
                source: { objectStore: 'log', target: { time: '2026-11-29T12:00:00Z', exclusive: true } },
                gig: { backup: 'top-clients-postgres-gig-20261129' },
                user: { volumeSnapshot: 'user', objectStore: 'log', target: { immediate: true } },
              },
              pages: {
                instances: 2,
                storage: { size: '20Gi', className: 'slow' },
                maxConnections: 500,
                synchronous: { number: 1 },
                backup: { method: 'plugin', objectStore: 'pages', schedule: '@daily', immediate: false },
              },
            },
          },
        },
        pages: { gig: {}, user: {}, search: {} },
      },
      { namespace, keda: true, monitoring: true },
    ),
  backups: fromChart(['examples/backups.yaml']),
  'external stores with TLS and SASL': fromChart(['examples/production-external.yaml'], { keda: true }),
  'three deliveries': fromChart(['examples/compare-deliveries.yaml']),
  'KEDA by name': fromChart(['examples/autoscaling-keda.yaml'], { keda: true }),
  'the built-in scaler': fromChart(['examples/autoscaling-builtin.yaml']),
  'services that scale themselves by CPU': fromChart(['examples/autoscaling-services.yaml']),
  'services that scale themselves by requests': (namespace) => {
    const autoscaling = { mode: 'requests' };
    const monitoring = { prometheusUrl: 'http://prometheus.monitoring:9090' };
    const postgres = { embedded: { maxConnections: 300 } };
    const topClients = { monitoring, postgres, source: { autoscaling }, selfView: { autoscaling } };
    return wanted({ topClients, pages: { gig: { server: { autoscaling } } } }, { namespace, keda: true });
  },
  'no network policies': fromChart(['examples/without-network-policies.yaml']),
  'a private registry': fromChart(['examples/private-registry.yaml']),
  OpenShift: fromChart(['examples/openshift.yaml']),
  'settings of pods': fromChart(['examples/pod-settings.yaml']),
  'an ingress': fromChart(['examples/ingress.yaml']),
  'the Gateway API': fromChart(['examples/gateway-api.yaml']),
  'synchronous pages, one serial and one without the data': (namespace) =>
    wanted(
      {
        pages: {
          gig: { delivery: 'synchronous' },
          user: { delivery: 'synchronous', parallel: false },
          search: { delivery: 'off' },
        },
      },
      { namespace },
    ),
  'a page of somebody else': fromChart(['examples/external-page.yaml']),
  'a view that is built beside the one shown': (namespace) => {
    const { platform, pages, dashboards } = wanted(
      { pages: { gig: { view: { version: 2 } } } },
      { namespace, keda: true },
    );
    const [gig] = pages;
    const one = { delivery: 'asynchronous', version: 1 } as const;
    return {
      platform,
      pages: [{ ...gig!, shown: one, projected: [one, { ...one, version: 2 }] }],
      dashboards,
    };
  },
};

/** Every object ever built from these: a platform, its pages, and the jobs of a view switch. */
export function objectsOf({ platform, pages }: Wanted): KubeObject[] {
  const view = { delivery: 'asynchronous', version: 1 } as const;
  return [
    ...Object.values(platformObjects(platform)).flat(),
    ...pages.flatMap((page) => Object.values(pageObjects(platform, page)).flat()),
    ...pages.flatMap((page) => [
      compareJob(platform, page, view, 1),
      dropJob(platform, page, view, page.shown),
      dropAllJob(platform, page),
    ]),
  ];
}

/** The objects of a construct, as readable text. */
export const built = (construct: Parameters<typeof build>[0]): string =>
  build(construct)
    .map((object) => stringify(object, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false }))
    .join('---\n');

/** The pod template of a workload or Job; undefined for everything else. */
export const podOf = (object: KubeObject): Pod | undefined =>
  (object as { spec?: { template?: Pod } }).spec?.template?.spec?.containers
    ? (object as unknown as { spec: { template: Pod } }).spec.template
    : undefined;

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly secretKeyRef: { readonly name: string; readonly key: string } };
  }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}
export interface Pod {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly serviceAccountName: string;
    readonly initContainers?: readonly Container[];
    readonly containers: readonly Container[];
    readonly volumes?: readonly { readonly name: string }[];
  };
}
