import { type PageViewSpec, PROJECTOR_CONNECTIONS, serverOf } from '#cdk8s/api/page-view.ts';
import { SELF_VIEW_CONNECTIONS } from '#cdk8s/api/service-autoscaling.ts';
import {
  cnpgServer,
  type DatabaseServer,
  databaseServers,
  holdsSource,
} from '#cdk8s/constructs/database-servers.ts';
import { projectorsAtMost } from '#cdk8s/constructs/scaling.ts';
import { podsAtMost, type ScaledService } from '#cdk8s/constructs/service-autoscaler.ts';
import { DATABASES, type DatabaseName, type Platform, partitionsOf, wantedView } from '#cdk8s/platform.ts';
import { eachPage } from '#contracts/pages.ts';
import { type ConditionValue, no, yes } from '../../runtime/conditions.ts';

/** The pages that are there, and can be read. */
export type Pages = readonly { readonly name: string; readonly spec: PageViewSpec }[];

/** Sessions of a watcher in each of its two databases, and of jobs that come and go. */
const WATCHER = 2;
const JOBS = 5;
/** What PostgreSQL keeps for its superusers (`superuser_reserved_connections`). */
const RESERVED = 3;

type Sized = Pick<ScaledService, 'replicas' | 'autoscaling'>;

/**
 * The sessions in each database when every service runs as many pods as it may, and one more, which a rollout takes.
 * Pages of others are in databases of theirs.
 */
function sessionsAtMost(platform: Platform, pages: Pages): Readonly<Record<DatabaseName, number>> {
  const { source, relay, selfView } = platform.spec;
  const pods = (service: Sized) => podsAtMost(platform, service) + 1;
  const sessions: Record<DatabaseName, number> = { source: 0, selfView: 0, ...eachPage(() => 0) };
  const views = pages.filter(({ spec }) => hasView(spec));
  sessions.source =
    pods(source) * source.databasePool +
    (relay.replicas + 1) * (2 + relay.shards) +
    views.length * WATCHER +
    JOBS;
  if (selfView.enabled) sessions.selfView = pods(selfView) * SELF_VIEW_CONNECTIONS + JOBS;
  for (const { name, spec } of pages) {
    const server = serverOf(spec);
    if (server === null) continue;
    sessions[name as keyof typeof sessions] =
      pods(server) * (server.databasePool + 1) +
      (hasView(spec) ? projection(platform, spec) + WATCHER : 0) +
      JOBS;
  }
  return sessions;
}

const hasView = (spec: PageViewSpec): boolean => wantedView(spec) !== null;

/** The sessions of all projectors that a view may have. */
const projection = (platform: Platform, spec: PageViewSpec): number =>
  PROJECTOR_CONNECTIONS *
  (spec.autoscaling.mode === 'none'
    ? Math.min(spec.replicas, partitionsOf(platform))
    : projectorsAtMost(platform, spec));

/**
 * The condition ConnectionsFit: whether each server takes the sessions of all services and pages at once when they run
 * as many pods as they may, with one view being built beside the one that is shown.
 */
export function connectionsFit(platform: Platform, pages: Pages): ConditionValue {
  const { mode, embedded } = platform.spec.postgres;
  const sessions = sessionsAtMost(platform, pages);
  const told = (databases: readonly DatabaseName[]) =>
    databases.flatMap((one) => (sessions[one] > 0 ? [`${one} ${sessions[one]}`] : [])).join(', ');
  if (mode === 'external') {
    return {
      status: 'Unknown',
      reason: 'External',
      message: `with as many pods as services may have, these sessions are held in each database: ${told(DATABASES)}; what your servers take is yours to know`,
    };
  }
  const servers = databaseServers(platform).map((server) => {
    const { databases } = server;
    const built = Math.max(
      0,
      ...pages
        .filter(({ name, spec }) => databases.includes(name as DatabaseName) && hasView(spec))
        .map(({ spec }) => projection(platform, spec)),
    );
    const wanted = databases.reduce((sum, one) => sum + sessions[one], built);
    const allowed =
      mode === 'embedded' ? embedded.maxConnections : cnpgServer(platform, server).maxConnections;
    return { server, wanted, built, allowed: allowed - RESERVED };
  });
  const crowded = servers.filter(({ wanted, allowed }) => wanted > allowed);
  if (crowded.length === 0) {
    const each = servers.map(
      ({ server, wanted, allowed }) => `${server.name} ${wanted} of ${allowed} sessions`,
    );
    return yes('Fit', `with as many pods as services may have: ${each.join(', ')}`);
  }
  const complaints = crowded.map(({ server, wanted, built, allowed }) => {
    const view = built > 0 ? `, a view that is built ${built}` : '';
    return (
      `${server.name} takes ${allowed} sessions, and would be asked for ${wanted} with as many pods as services may have (${told(server.databases)}${view}): ` +
      `raise ${namedValue(server, platform)} to ${wanted + RESERVED}, or lower autoscaling.maxReplicas, replicas or databasePool`
    );
  });
  return no('TooFew', complaints.join('; '));
}

/** The value that says how many sessions a server takes. */
function namedValue(server: DatabaseServer, { spec: { postgres } }: Platform): string {
  if (postgres.mode === 'embedded') return 'postgres.embedded.maxConnections';
  return holdsSource(server) || postgres.cnpg.pages.maxConnections === undefined
    ? 'postgres.cnpg.maxConnections'
    : 'postgres.cnpg.pages.maxConnections';
}
