import { PAGE_NAMES, type ViewPage } from '#contracts/pages.ts';
import type { ExternalSpec } from './api/external-page.ts';
import type { PageViewSpec, ShownViewId, ViewId } from './api/page-view.ts';
import type { DatabaseServers } from './api/shared.ts';
import type { TopClientsSpec } from './api/top-clients.ts';

/** Which APIs of other operators the cluster has; objects that need an absent one are left out. */
export interface Capabilities {
  /** keda.sh/v1alpha1 */
  readonly keda: boolean;
  /** monitoring.coreos.com/v1 */
  readonly monitoring: boolean;
}

/** Everything that the objects of a platform are built from. */
export interface Platform {
  readonly namespace: string;
  readonly spec: TopClientsSpec;
  /** Reference of the image that runs every role. */
  readonly image: string;
  readonly capabilities: Capabilities;
  /** Among how many partitions messages are divided now; when absent (unknown), the spec's number is used. */
  readonly partitions?: number;
  /** How databases are divided among servers; when absent (nothing is there yet), as the spec wants it. */
  readonly databaseServers?: DatabaseServers;
  /** A value that changes with every rotation of the callers' keys; absent when they were never rotated. */
  readonly callersRotated?: string;
  /** A value that changes with the passwords of an embedded PostgreSQL; absent when they are not known. */
  readonly passwords?: string;
}

/** Among how many partitions messages are divided: the present layout, not the wanted one. */
export const partitionsOf = ({ spec, partitions }: Pick<Platform, 'spec' | 'partitions'>): number =>
  partitions ?? spec.kafka.partitions;

/** A page, whoever serves it. */
export interface PageOf {
  readonly name: ViewPage;
  readonly spec: Pick<PageViewSpec, 'external'>;
  /** Of a page of somebody else: a value that changes with the secrets of its database; absent when unknown. */
  readonly secretsRevision?: string;
}

/** A page as it should run now; while a view is being built, more than one is projected. */
export interface PagePlan extends PageOf {
  readonly spec: PageViewSpec;
  /** The views that projectors keep up, each in a Deployment of its own. */
  readonly projected: readonly ViewId[];
  /** Those projected views that were shown before and may be shown again; absent: none. */
  readonly keptUp?: readonly ViewId[];
  readonly shown: ShownView;
}

/** How a page gets the data: the view it shows, or a delivery that needs none. */
export type ShownView = ShownViewId | { readonly delivery: 'synchronous' | 'off' };

export const isView = (shown: ShownView): shown is ShownViewId => 'version' in shown;
/** A view that took over from another one. The first view of a page is shown as soon as it stands. */
export type SwitchedTo = ShownViewId & { readonly since: string };
export const isSwitchedTo = (shown: ShownView): shown is SwitchedTo =>
  isView(shown) && shown.since !== undefined;
export const isSameView = (a: ShownView, b: ShownView): boolean =>
  a.delivery === b.delivery && (isView(a) ? a.version : 0) === (isView(b) ? b.version : 0);

/** The view that a page's spec asks for; null when its delivery has no view. */
export function wantedView({ delivery, view }: Pick<PageViewSpec, 'delivery' | 'view'>): ViewId | null {
  return delivery === 'asynchronous' || delivery === 'hybrid' ? { delivery, version: view.version } : null;
}

/** A page without a transition: it shows what its spec asks for. */
export function settledPage(name: ViewPage, spec: PageViewSpec): PagePlan {
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

/** The names of all objects, in one place, so that constructs, operator and policies use the same. */
export const names = {
  source: 'top-clients',
  relay: 'top-clients-relay',
  issuer: 'top-clients-issuer',
  callers: 'top-clients-callers',
  kafka: 'top-clients-kafka',
  postgres: 'top-clients-postgres',
  page: (page: string) => `top-clients-page-${page}`,
  /** The secret by which a page of somebody else reaches the source. */
  caller: (page: ViewPage) => `top-clients-caller-${page}`,
  watcher: (page: ViewPage) => `top-clients-watch-${page}`,
  projector: (page: ViewPage, view: ViewId) =>
    `top-clients-projector-${page}-${view.delivery}-v${view.version}`,
} as const;

/** The port of pages and API, and that of /livez, /readyz and /metrics, in every pod of ours. */
export const PORTS = { http: 8080, health: 9090 } as const;

export const DATABASES = ['source', ...PAGE_NAMES, 'selfView'] as const;
export type DatabaseName = (typeof DATABASES)[number];
/** A database of ours by its name, or one of somebody else. */
export type DatabaseOf = DatabaseName | ExternalSpec['database'];

/** The database that a page reads from. */
export const databaseOf = ({ name, spec }: PageOf): DatabaseOf =>
  // The operator refuses a page without `external` whose name is not ours.
  spec.external?.database ?? (name as DatabaseName);
