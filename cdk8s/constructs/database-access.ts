import {
  type Database,
  type DatabaseProgram,
  type DatabaseUser,
  USER_OF_PROGRAM,
  userName,
  usersOf,
} from '#contracts/database-users.ts';
import { PAGE_NAMES, type PageName } from '#contracts/pages.ts';
import {
  DATABASES,
  type DatabaseName,
  type DatabaseOf,
  names,
  type PageOf,
  type Platform,
} from '../platform.ts';
import type { EnvironmentVariable, RolePod, Volume } from './role-pod.ts';

/** The name of each database on a server of ours. */
export const databaseOn: Readonly<Record<DatabaseName, Database>> = {
  source: 'source',
  ...(Object.fromEntries(PAGE_NAMES.map((page) => [page, page])) as Record<PageName, PageName>),
  selfView: 'self_view',
};

const CA_FOLDER = '/etc/postgres-ca';
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

/** Every account except the owner's, once. Whoever runs PostgreSQL creates users; the operator makes the secrets. */
export const accounts = (): readonly Account[] => {
  const all = Object.values(databaseOn).flatMap((database) =>
    usersOf(database).map((user) => accountOf(user, database)),
  );
  return [...new Map(all.map((one) => [one.name, one])).values()];
};

/** The secret with `username` and `password` of the owner of all databases there. */
export const postgresSecret = ({ spec: { postgres } }: Platform): string =>
  postgres.mode === 'cnpg' ? `${names.postgres}-app` : (postgres.embedded.existingSecret ?? names.postgres);

/** What a program needs to reach databases. */
export interface DatabaseAccess {
  readonly env: readonly EnvironmentVariable[];
  readonly volumes: readonly Volume[];
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
  const ours = all.flatMap(([name, database]) =>
    typeof database === 'string' ? [[name, database] as const] : [],
  );
  const theirs = all.flatMap(([name, database]) =>
    typeof database === 'string' ? [] : [accessToExternal(name, database)],
  );
  const accesses = [...(ours.length > 0 ? [accessToOurs(platform, program, ours)] : []), ...theirs];
  return { env: accesses.flatMap(({ env }) => env), volumes: accesses.flatMap(({ volumes }) => volumes) };
}

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
  settings: readonly (readonly [setting: string, database: DatabaseName])[],
): DatabaseAccess {
  const { postgres } = platform.spec;
  const user = USER_OF_PROGRAM[program];
  const addresses = (address: (database: DatabaseName, name: string) => EnvironmentVariable) =>
    settings.map(([name, database]) => address(database, name));
  const authority = authorityOf(platform);
  const tls = {
    env: addresses((database, name) => ({
      name: caFileOf(name),
      value: `${CA_FOLDER}/${authority?.files[database]}`,
    })),
    volumes: [{ name: 'postgres-ca', mountPath: CA_FOLDER, source: { secret: authority?.secret } }],
  };
  const { env: caFiles, volumes } = authority ? tls : { env: [], volumes: [] };
  if (postgres.mode === 'external') {
    const { existingSecret, keys, userSecrets } = postgres.external;
    const from = user === 'owner' ? existingSecret : (userSecrets[user] ?? existingSecret);
    // The API server refuses an external database without a secret.
    return {
      env: [...addresses((database, name) => secret(name, from!, keys[database])), ...caFiles],
      volumes,
    };
  }
  const host = postgres.mode === 'cnpg' ? `${names.postgres}-rw` : names.postgres;
  // A program that uses several databases has the same user name in all of them.
  const account =
    user === 'owner' ? postgresSecret(platform) : accountOf(user, databaseOn[settings[0]![1]]).secret;
  return {
    env: [
      // Kubernetes expands $(…) only from variables listed before.
      secret('DATABASE_USER', account, 'username'),
      secret('DATABASE_PASSWORD', account, 'password'),
      ...addresses((database, name) => ({
        name,
        value: `postgresql://$(DATABASE_USER):$(DATABASE_PASSWORD)@${host}:5432/${databaseOn[database]}`,
      })),
      ...caFiles,
    ],
    volumes,
  };
}

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

/** The secret with the trusted CA certificates (keys are file names), and the file for each database; null: none. */
function authorityOf({ spec: { postgres } }: Platform) {
  switch (postgres.mode) {
    case 'embedded':
      return null;
    case 'cnpg':
      return {
        // Only the certificate: the secret also holds the key that signs the servers' certificates.
        secret: filesOf(`${names.postgres}-ca`, ['ca.crt']),
        files: databases(() => 'ca.crt'),
      };
    case 'external': {
      const { caSecret, caKeys } = postgres.external;
      if (caSecret === undefined) return null;
      return { secret: filesOf(caSecret, Object.values(caKeys)), files: caKeys };
    }
  }
}

const filesOf = (secretName: string, keys: readonly string[]) => ({
  secretName,
  items: [...new Set(keys)].map((key) => ({ key, path: key })),
});
const databases = <T>(of: (database: DatabaseName) => T) =>
  Object.fromEntries(DATABASES.map((one) => [one, of(one)])) as Record<DatabaseName, T>;
