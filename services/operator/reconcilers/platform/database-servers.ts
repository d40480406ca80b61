import type { TopClientsStatus } from '#cdk8s/api/page-view.ts';
import type { DatabaseServers } from '#cdk8s/api/shared.ts';
import type { TopClientsSpec } from '#cdk8s/api/top-clients.ts';
import {
  databaseServers,
  dividedBy,
  holdsSource,
  serverOfDatabase,
  serversOnlyUnder,
} from '#cdk8s/constructs/database-servers.ts';
import { names, type Platform } from '#cdk8s/platform.ts';
import type { ClusterSnapshot } from '../../runtime/cluster-snapshot.ts';
import { type ConditionValue, no, type Trouble, yes } from '../../runtime/conditions.ts';
import type { Kind, Kube, StoredObject } from '../../runtime/kube.ts';
import { CLAIM, CLUSTER } from '../kinds.ts';

const SERVER: Readonly<Record<'embedded' | 'cnpg', Kind>> = {
  embedded: { apiVersion: 'apps/v1', kind: 'StatefulSet' },
  cnpg: CLUSTER,
};

/**
 * How the databases are divided among servers: as it was decided, else as the servers show that are there, or the
 * claims that an embedded one has left; what the spec wants only where nothing is. So no database is ever looked for on
 * a server that does not have it. Undefined where the servers are not ours.
 */
export async function observeDivision(
  kube: Pick<Kube, 'get'>,
  object: StoredObject,
  spec: TopClientsSpec,
  snapshot: ClusterSnapshot,
): Promise<DatabaseServers | undefined> {
  const { mode } = spec.postgres;
  if (mode === 'external') return undefined;
  const decided = (object.status as TopClientsStatus | undefined)?.databaseServers;
  if (decided !== undefined) return decided;
  const { namespace = '' } = object.metadata;
  const stands = async (name: string): Promise<boolean> =>
    snapshot.find({ ...SERVER[mode], namespace, name }) !== undefined ||
    (mode === 'embedded' && (await kube.get({ ...CLAIM, namespace, name: `data-${name}-0` })) !== null);
  for (const division of ['separate', 'each'] as const) {
    for (const name of serversOnlyUnder(division)) if (await stands(name)) return division;
  }
  return (await stands(names.postgres)) ? 'shared' : dividedBy({ spec });
}

const SERVERS_OF: Readonly<Record<DatabaseServers, string>> = {
  separate: 'those of the pages have a server beside that of the source',
  each: 'each page has a server of its own',
  shared: 'all share one server',
};

/** Something is wrong where the spec wants the databases otherwise than they are: they are not moved. */
export function divisionTroubles(platform: Platform): Trouble[] {
  const { mode, servers } = platform.spec.postgres;
  const division = dividedBy(platform);
  if (mode === 'external' || servers === undefined || servers === division) return [];
  return [
    {
      reason: 'DatabaseServersFixed',
      message:
        `spec.postgres.servers is ${servers}, but the databases of this installation are ${division} (${SERVERS_OF[division]}), ` +
        `and nothing moves them: what runs goes on with them. Set it to ${division} or remove it; for ${servers} install a second platform ` +
        'in a namespace of its own and move over',
    },
  ];
}

/** The condition StoresApart: whether pages have what they need while the source's database is away. */
export function storesApart(platform: Platform): ConditionValue {
  if (platform.spec.postgres.mode === 'external') {
    return {
      status: 'Unknown',
      reason: 'External',
      message: 'which databases share a server is in their addresses, in secrets of yours',
    };
  }
  const { name } = serverOfDatabase(platform, 'source');
  const others = databaseServers(platform)
    .filter((server) => !holdsSource(server))
    .map((server) => server.name);
  return others.length > 0
    ? yes('Apart', `the source's database is on ${name}, those of the pages are on ${others.join(', ')}`)
    : no(
        'Shared',
        `all databases are on ${name}: a failover of the source's database takes the pages down as well. Only another installation, with postgres.servers separate, has them apart`,
      );
}

/** As far as it is read here. */
interface LiveSynchronous {
  readonly number?: number;
  readonly dataDurability?: string;
}

/** The condition WritesDurable: whether a write of a seller that was acknowledged outlives the server it went to. */
export function writesDurable(platform: Platform, snapshot: ClusterSnapshot): ConditionValue {
  const { mode } = platform.spec.postgres;
  if (mode === 'external') {
    return {
      status: 'Unknown',
      reason: 'External',
      message:
        'whether your server waits for its standbys is in its synchronous_standby_names, which is yours',
    };
  }
  const { name } = serverOfDatabase(platform, 'source');
  if (mode === 'embedded') {
    return no('OneCopy', `${name} is a single server for development: what its volume loses is lost`);
  }
  const live = snapshot.find({ ...CLUSTER, namespace: platform.namespace, name });
  if (!live) return { status: 'Unknown', reason: 'NotThere', message: `there is no Cluster ${name} yet` };
  const instances: number = live.spec?.instances ?? 1;
  const ready: number = live.status?.readyInstances ?? 0;
  const { number = 0, dataDurability = 'required' }: LiveSynchronous =
    live.spec?.postgresql?.synchronous ?? {};
  if (instances === 1) {
    return no(
      'OneInstance',
      `${name} has one instance: what its volume loses is lost; raise postgres.cnpg.instances`,
    );
  }
  if (number === 0) {
    return no(
      'Asynchronous',
      `${name} acknowledges writes that no standby has yet: a failover loses those of the last moments; set postgres.cnpg.synchronous.number`,
    );
  }
  const promise = `a write is on ${number + 1} of ${instances} servers before it is acknowledged`;
  if (ready > number) return yes('Synchronous', promise);
  const away = `${ready} of ${instances} instances of ${name} are ready`;
  return dataDurability === 'preferred'
    ? no(
        'StandbysAway',
        `${away}, and dataDurability is preferred: writes go on, and those acknowledged now may be lost with the primary`,
      )
    : yes('WritesWait', `${promise}, and only ${away}: writes wait until more are`);
}
