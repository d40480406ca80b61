import { PAGE_NAMES, type PageName } from '#contracts/pages.ts';
import type { PageViewSpec, ViewId } from './api/page-view.ts';
import type { TopClientsSpec } from './api/top-clients.ts';

/** Which foreign APIs the cluster has; what needs one that is absent is left out. */
export interface Capabilities {
  /** keda.sh/v1alpha1 */
  readonly keda: boolean;
  /** monitoring.coreos.com/v1 */
  readonly monitoring: boolean;
}

/** All that the objects of a platform are built from. */
export interface Platform {
  readonly namespace: string;
  readonly spec: TopClientsSpec;
  /** Reference of the image that runs every role. */
  readonly image: string;
  readonly capabilities: Capabilities;
  /** By how many partitions messages are divided now; absent where nobody has told, and the spec's number holds. */
  readonly partitions?: number;
  /** What changes whenever the keys of callers are exchanged; absent where they never were. */
  readonly callersRotated?: string;
}

/** By how many partitions messages are divided: what has grown, not what shall. */
export const partitionsOf = ({ spec, partitions }: Pick<Platform, 'spec' | 'partitions'>): number =>
  partitions ?? spec.kafka.partitions;

/** A page as it shall run now; while a view is built, more than one is projected. */
export interface PagePlan {
  readonly name: PageName;
  readonly spec: PageViewSpec;
  /** The views that projectors keep up, each in a Deployment of its own. */
  readonly projected: readonly ViewId[];
  /** Those of them that were shown before and may be shown again; absent: none. */
  readonly keptUp?: readonly ViewId[];
  /** How the servers get the data now: the view they read, or a delivery that needs none. */
  readonly shown: ViewId | { readonly delivery: 'synchronous' | 'off' };
}

/** The view a page's spec asks for; null when its delivery keeps no data in the page's database. */
export function wantedView({ delivery, view }: Pick<PageViewSpec, 'delivery' | 'view'>): ViewId | null {
  return delivery === 'asynchronous' || delivery === 'hybrid' ? { delivery, version: view.version } : null;
}

/** A page with nothing in transition: what its spec asks for is what it shows. */
export function settledPage(name: PageName, spec: PageViewSpec): PagePlan {
  const view = wantedView(spec);
  return {
    name,
    spec,
    projected: view ? [view] : [],
    shown: view ?? { delivery: spec.delivery as 'synchronous' | 'off' },
  };
}

/** An image as a node pulls it; a digest wins over a tag. */
export const imageReference = (image: {
  readonly repository: string;
  readonly tag?: string | undefined;
  readonly digest?: string | undefined;
}): string => `${image.repository}${image.digest ? `@${image.digest}` : `:${image.tag}`}`;

/** Names of everything, in one place: constructs, operator and policies agree by it. */
export const names = {
  source: 'top-clients',
  relay: 'top-clients-relay',
  issuer: 'top-clients-issuer',
  callers: 'top-clients-callers',
  kafka: 'top-clients-kafka',
  postgres: 'top-clients-postgres',
  page: (page: PageName | 'self-view') => `top-clients-page-${page}`,
  watcher: (page: PageName) => `top-clients-watch-${page}`,
  projector: (page: PageName, view: ViewId) =>
    `top-clients-projector-${page}-${view.delivery}-v${view.version}`,
} as const;

/** The port of pages and API, and that of /livez, /readyz and /metrics, in every pod of ours. */
export const PORTS = { http: 8080, health: 9090 } as const;

export const DATABASES = ['source', ...PAGE_NAMES, 'selfView'] as const;
export type DatabaseName = (typeof DATABASES)[number];
