import type { Recovery } from '../api/cnpg-backup.ts';
import type { DatabaseServers } from '../api/shared.ts';
import type { PostgresSpec } from '../api/top-clients.ts';
import { DATABASES, type DatabaseName, names, type Platform } from '../platform.ts';

type Divided = Pick<Platform, 'spec' | 'databaseServers'>;

/** A PostgreSQL server, or cluster of servers, that this platform runs. */
export interface DatabaseServer {
  /** Of its StatefulSet and Service, or of its Cluster. */
  readonly name: string;
  /** Distinguishes its objects by label. */
  readonly instance: string;
  /** The first is created with the server. */
  readonly databases: readonly DatabaseName[];
}

/** How databases are divided among servers: as they were when the platform was installed, else as the spec wants it. */
export const dividedBy = ({ spec, databaseServers }: Divided): DatabaseServers =>
  databaseServers ?? spec.postgres.servers ?? 'separate';

/**
 * The self-view shows nothing without the source, so a server of its own would only be one more that can fail. Pages
 * show their lists while the source's database is away, so their databases are not on its server.
 */
const WITH_THE_SOURCE: readonly DatabaseName[] = ['source', 'selfView'];
const OF_PAGES = DATABASES.filter((one) => !WITH_THE_SOURCE.includes(one));

const ofSource = (...pages: readonly DatabaseName[]): DatabaseServer => ({
  name: names.postgres,
  instance: 'postgres',
  databases: DATABASES.filter((one) => WITH_THE_SOURCE.includes(one) || pages.includes(one)),
});
const ofPages = (suffix: string, databases: readonly DatabaseName[]): DatabaseServer => ({
  name: `${names.postgres}-${suffix}`,
  instance: `postgres-${suffix}`,
  databases,
});

const SERVERS: Readonly<Record<DatabaseServers, readonly DatabaseServer[]>> = {
  separate: [ofSource(), ofPages('pages', OF_PAGES)],
  each: [ofSource(), ...OF_PAGES.map((page) => ofPages(page, [page]))],
  shared: [ofSource(...OF_PAGES)],
};

/** The names of servers that exist only under this division; under `shared` there are none. */
export const serversOnlyUnder = (divided: DatabaseServers): readonly string[] =>
  SERVERS[divided].slice(1).map(({ name }) => name);

/** The servers of a platform; none where they are not ours to run. */
export const databaseServers = (platform: Divided): readonly DatabaseServer[] =>
  platform.spec.postgres.mode === 'external' ? [] : SERVERS[dividedBy(platform)];

/** The server that holds a database. Only for a platform that runs its servers. */
export const serverOfDatabase = (platform: Divided, database: DatabaseName): DatabaseServer =>
  databaseServers(platform).find(({ databases }) => databases.includes(database))!;

export const holdsSource = ({ databases }: DatabaseServer): boolean => databases.includes('source');

/** Whether other instances than the primary can be read. */
export const hasReplica = (platform: Divided, server: DatabaseServer): boolean =>
  platform.spec.postgres.mode === 'cnpg' && cnpgServer(platform, server).instances > 1;

/** The secret with `username` and `password` of the owner of all databases on a server. */
export const ownerSecret = ({ spec: { postgres } }: Divided, { name }: DatabaseServer): string =>
  postgres.mode === 'cnpg' ? `${name}-app` : (postgres.embedded.existingSecret ?? name);

type Cnpg = PostgresSpec['cnpg'];
/** What a Cluster of CloudNativePG is to be. */
export interface CnpgServer
  extends Pick<Cnpg, 'instances' | 'storage' | 'resources' | 'maxConnections' | 'backup'> {
  /** What it is made from; null: from nothing. */
  readonly recovery: Recovery | null;
  /** Of how many standbys a write must be confirmed before it is acknowledged; null where none is waited for. */
  readonly synchronous: {
    readonly number: number;
    readonly dataDurability: Cnpg['synchronous']['dataDurability'];
    readonly failoverQuorum: boolean;
  } | null;
}

/** Of each server; what is not said for the pages is as for the source. */
export function cnpgServer({ spec }: Divided, server: DatabaseServer): CnpgServer {
  const { pages, ...cnpg } = spec.postgres.cnpg;
  if (holdsSource(server)) {
    const number = cnpg.synchronous.number ?? Math.min(1, cnpg.instances - 1);
    return {
      ...cnpg,
      recovery: cnpg.recovery.source ?? null,
      synchronous: synchronous(number, cnpg.synchronous),
    };
  }
  const { instances = cnpg.instances, storage = cnpg.storage, resources = cnpg.resources } = pages;
  // A source that is recovered begins another archive, and pages go on with theirs.
  const { maxConnections = cnpg.maxConnections, backup = { ...cnpg.backup, serverSuffix: '' } } = pages;
  return {
    ...{ instances, storage, resources, maxConnections, backup },
    recovery: cnpg.recovery[server.name.slice(names.postgres.length + 1) as PageServer] ?? null,
    synchronous: synchronous(pages.synchronous.number, { ...pages.synchronous, failoverQuorum: false }),
  };
}

/** Behind the name of a server of pages. */
type PageServer = Exclude<keyof Cnpg['recovery'], 'source'>;

const synchronous = (
  number: number,
  { dataDurability, failoverQuorum }: Omit<NonNullable<CnpgServer['synchronous']>, 'number'>,
): CnpgServer['synchronous'] => (number > 0 ? { number, dataDurability, failoverQuorum } : null);
