import {
  type Database,
  type DatabaseProgram,
  type DatabaseUser,
  USER_OF_PROGRAM,
  userName,
  usersOf,
} from '#contracts/database-users.ts';
import { eachPage, PAGE_NAMES, type PageName } from '#contracts/pages.ts';
import {
  DATABASES,
  type DatabaseName,
  type DatabaseOf,
  names,
  type PageOf,
  type Platform,
} from '../platform.ts';
import { type DatabaseServer, hasReplica, ownerSecret, serverOfDatabase } from './database-servers.ts';
import type { EnvironmentVariable, RolePod, Volume } from './role-pod.ts';

/** The name of each database on a server of ours. */
export const databaseOn: Readonly<Record<DatabaseName, Database>> = {
  source: 'source',
  ...eachPage((page) => page),
  selfView: 'self_view',
};

const EXTERNAL_CA_FOLDER = '/etc/page-postgres-ca';

/** A PostgreSQL user on a server that this platform runs, and the secret with its `username` and `password`. */
export interface Account {
  readonly name: string;
  readonly secret: string;
}

const accountOf = (user: DatabaseUser, database: Database): Account => {
  const name = userName(user, database);
  return { name, secret: `${names.postgres}-${name.replace(/^top_clients_/, '').replaceAll('_', '-')}` };
};

/**
 * Every account except the owner's, once, of those who work in these databases. Whoever runs PostgreSQL creates users;
 * the operator makes the secrets. Who works on several servers has the same name and password on each.
 */
export const accounts = (on: readonly DatabaseName[] = DATABASES): readonly Account[] => {
  const all = on.flatMap((database) =>
    usersOf(databaseOn[database]).map((user) => accountOf(user, databaseOn[database])),
  );
  return [...new Map(all.map((one) => [one.name, one])).values()];
};

/** What a program needs to reach databases. */
export interface DatabaseAccess {
  readonly env: readonly EnvironmentVariable[];
  readonly volumes: readonly Volume[];
}

/** A setting that takes the address of a database of ours. */
interface Address {
  readonly setting: string;
  readonly database: DatabaseName;
  /** Of any instance that follows the primary. */
  readonly replica?: boolean;
}

/**
 * What a program needs to reach databases as its own user. `settings` names the database for each setting that takes an
 * address. Passwords come from secrets. Where the address is composed here they must be valid in a URL (no `@`, `/`,
 * `:`).
 */
export function databaseAccess(
  platform: Platform,
  program: DatabaseProgram,
  settings: Readonly<Record<`TC_${string}`, DatabaseOf>>,
): DatabaseAccess {
  const all = Object.entries(settings);
  const ours = all.flatMap(([setting, database]) =>
    typeof database === 'string' ? [{ setting, database }] : [],
  );
  const theirs = all.flatMap(([name, database]) =>
    typeof database === 'string' ? [] : [accessToExternal(name, database)],
  );
  const accesses = [...(ours.length > 0 ? [accessToOurs(platform, program, ours)] : []), ...theirs];
  return { env: accesses.flatMap(({ env }) => env), volumes: accesses.flatMap(({ volumes }) => volumes) };
}

/** What a page's server needs to read its database, from a replica too where there is one. */
export function pageDatabaseAccess(platform: Platform, database: DatabaseName): DatabaseAccess {
  const primary = { setting: 'TC_DATABASE_URL', database };
  const replica = { setting: 'TC_DATABASE_REPLICA_URL', database, replica: true };
  return accessToOurs(
    platform,
    'page-server',
    isReplicated(platform, database) ? [primary, replica] : [primary],
  );
}

/** The self-view has no replica: it shows nothing that lags. */
function isReplicated(platform: Platform, database: DatabaseName): boolean {
  if (!isPage(database)) return false;
  const { mode, external } = platform.spec.postgres;
  return mode === 'external'
    ? external.replicaKeys[database] !== undefined
    : hasReplica(platform, serverOfDatabase(platform, database));
}
const isPage = (database: DatabaseName): database is PageName => PAGE_NAMES.includes(database as PageName);

const secret = (name: string, from: string, key: string): EnvironmentVariable => ({
  name,
  valueFrom: { secretKeyRef: { name: from, key } },
});
const caFileOf = (setting: string): string => setting.replace(/_URL$/, '_CA_FILE');

/** One user of theirs owns all that is ours in there, so every program signs in as that one. */
function accessToExternal(
  setting: string,
  { existingSecret, key, caSecret, caKey }: Exclude<DatabaseOf, string>,
): DatabaseAccess {
  const env = [secret(setting, existingSecret, key)];
  if (caSecret === undefined) return { env, volumes: [] };
  const source = { secret: filesOf(caSecret, [caKey]) };
  return {
    env: [...env, { name: caFileOf(setting), value: `${EXTERNAL_CA_FOLDER}/${caKey}` }],
    volumes: [{ name: 'page-postgres-ca', mountPath: EXTERNAL_CA_FOLDER, source }],
  };
}

function accessToOurs(
  platform: Platform,
  program: DatabaseProgram,
  addresses: readonly Address[],
): DatabaseAccess {
  const { postgres } = platform.spec;
  const user = USER_OF_PROGRAM[program];
  if (postgres.mode === 'external') {
    const { existingSecret, keys, replicaKeys, userSecrets } = postgres.external;
    const from = user === 'owner' ? existingSecret : (userSecrets[user] ?? existingSecret);
    const keyOf = ({ database, replica }: Address) =>
      replica && isPage(database) ? replicaKeys[database]! : keys[database];
    const tls = externalAuthority(platform, addresses);
    return {
      // The API server refuses an external database without a secret.
      env: [...addresses.map((address) => secret(address.setting, from!, keyOf(address))), ...tls.env],
      volumes: tls.volumes,
    };
  }
  const reached = addresses.map(({ setting, database, replica = false }) => {
    const server = serverOfDatabase(platform, database);
    // The owners of two servers have different passwords; every other user has the same one everywhere.
    const account =
      user === 'owner' ? ownerSecret(platform, server) : accountOf(user, databaseOn[database]).secret;
    return { setting, database, replica, server, account };
  });
  const accountsUsed = [...new Set(reached.map(({ account }) => account))];
  const variable = (account: string) => {
    const i = accountsUsed.indexOf(account);
    return i === 0 ? 'DATABASE' : `DATABASE_${i + 1}`;
  };
  const tls = clusterAuthority(platform, reached);
  return {
    env: [
      // Kubernetes expands $(…) only from variables listed before.
      ...accountsUsed.flatMap((account) => [
        secret(`${variable(account)}_USER`, account, 'username'),
        secret(`${variable(account)}_PASSWORD`, account, 'password'),
      ]),
      ...reached.map(({ setting, database, replica, server, account }) => ({
        name: setting,
        value:
          `postgresql://$(${variable(account)}_USER):$(${variable(account)}_PASSWORD)` +
          `@${hostOf(platform, server, replica)}:5432/${databaseOn[database]}`,
      })),
      ...tls.env,
    ],
    volumes: tls.volumes,
  };
}

/** Of CloudNativePG's services `-ro` leads to any instance that follows, and to none while there is none. */
const hostOf = ({ spec: { postgres } }: Platform, { name }: DatabaseServer, replica: boolean): string =>
  postgres.mode === 'cnpg' ? `${name}-${replica ? 'ro' : 'rw'}` : name;

/** What pods that use a page's database have because of whose it is: they start anew with its secrets. */
export const pagePod = ({
  name,
  spec,
  secretsRevision,
}: PageOf): Pick<RolePod, 'annotations' | 'externalPage'> =>
  spec.external === undefined
    ? {}
    : {
        externalPage: name,
        ...(secretsRevision === undefined
          ? {}
          : { annotations: { 'topclients.dev/database-secrets': secretsRevision } }),
      };

/** Tells `migrate` the users of a database besides its owner: by name, or by an address that holds the name. */
export function databaseUsers({ spec: { postgres } }: Platform, database: DatabaseOf): EnvironmentVariable[] {
  if (typeof database !== 'string') return [];
  return usersOf(databaseOn[database]).flatMap((user): EnvironmentVariable[] => {
    const name = `TC_${user.toUpperCase()}_USER`;
    if (postgres.mode !== 'external') return [{ name, value: userName(user, databaseOn[database]) }];
    const { userSecrets, keys } = postgres.external;
    const from = userSecrets[user];
    return from === undefined
      ? []
      : [{ name, valueFrom: { secretKeyRef: { name: from, key: keys[database] } } }];
  });
}

const NONE: DatabaseAccess = { env: [], volumes: [] };

/** Where the certificates of a server of ours are trusted by. */
const caFolder = ({ name }: DatabaseServer): string => name.replace(names.postgres, '/etc/postgres-ca');

/** CloudNativePG gives each cluster an authority of its own. */
function clusterAuthority(
  { spec: { postgres } }: Platform,
  reached: readonly (Address & { readonly server: DatabaseServer })[],
): DatabaseAccess {
  if (postgres.mode !== 'cnpg') return NONE;
  return {
    env: reached.map(({ setting, server }) => ({
      name: caFileOf(setting),
      value: `${caFolder(server)}/ca.crt`,
    })),
    volumes: [...new Set(reached.map(({ server }) => server))].map((server) => ({
      name: server.name.replace(names.postgres, 'postgres-ca'),
      mountPath: caFolder(server),
      // Only the certificate: the secret also holds the key that signs the servers' certificates.
      source: { secret: filesOf(`${server.name}-ca`, ['ca.crt']) },
    })),
  };
}

function externalAuthority({ spec: { postgres } }: Platform, addresses: readonly Address[]): DatabaseAccess {
  const { caSecret, caKeys } = postgres.external;
  if (caSecret === undefined) return NONE;
  const mountPath = '/etc/postgres-ca';
  return {
    env: addresses.map(({ setting, database }) => ({
      name: caFileOf(setting),
      value: `${mountPath}/${caKeys[database]}`,
    })),
    volumes: [
      { name: 'postgres-ca', mountPath, source: { secret: filesOf(caSecret, Object.values(caKeys)) } },
    ],
  };
}

const filesOf = (secretName: string, keys: readonly string[]) => ({
  secretName,
  items: [...new Set(keys)].map((key) => ({ key, path: key })),
});
