import { DATABASES, type DatabaseName, names, type Platform } from '../platform.ts';
import type { EnvironmentVariable, Volume } from './role-pod.ts';

/** The name of each database on a server of ours. */
export const databaseOn: Readonly<Record<DatabaseName, string>> = {
  source: 'source',
  gig: 'gig',
  user: 'user',
  search: 'search',
  selfView: 'self_view',
};

const CA_FOLDER = '/etc/postgres-ca';

/** The secret with `username` and `password` of a PostgreSQL that this platform runs. */
export const postgresSecret = ({ spec: { postgres } }: Platform): string =>
  postgres.mode === 'cnpg' ? `${names.postgres}-app` : (postgres.embedded.existingSecret ?? names.postgres);

/**
 * What a role needs to reach databases: for each setting that takes an address, the database it shall lead to.
 * Passwords come from secrets; where the address is put together here they must be fit for one (no `@`, `/`, `:`).
 */
export function databaseAccess(
  platform: Platform,
  settings: Readonly<Record<`TC_${string}`, DatabaseName>>,
): { readonly env: readonly EnvironmentVariable[]; readonly volumes: readonly Volume[] } {
  const { postgres } = platform.spec;
  const secret = (name: string, from: string, key: string): EnvironmentVariable => ({
    name,
    valueFrom: { secretKeyRef: { name: from, key } },
  });
  const addresses = (address: (database: DatabaseName, name: string) => EnvironmentVariable) =>
    Object.entries(settings).map(([name, database]) => address(database, name));
  const authority = authorityOf(platform);
  const tls = {
    env: addresses((database, name) => ({
      name: name.replace(/_URL$/, '_CA_FILE'),
      value: `${CA_FOLDER}/${authority?.files[database]}`,
    })),
    volumes: [{ name: 'postgres-ca', mountPath: CA_FOLDER, source: { secret: authority?.secret } }],
  };
  const { env: caFiles, volumes } = authority ? tls : { env: [], volumes: [] };
  if (postgres.mode === 'external') {
    const { existingSecret, keys } = postgres.external;
    // The API server refuses external without a secret.
    return {
      env: [...addresses((database, name) => secret(name, existingSecret!, keys[database])), ...caFiles],
      volumes,
    };
  }
  const host = postgres.mode === 'cnpg' ? `${names.postgres}-rw` : names.postgres;
  return {
    env: [
      // Kubernetes fills $(…) from variables that stand before.
      secret('DATABASE_USER', postgresSecret(platform), 'username'),
      secret('DATABASE_PASSWORD', postgresSecret(platform), 'password'),
      ...addresses((database, name) => ({
        name,
        value: `postgresql://$(DATABASE_USER):$(DATABASE_PASSWORD)@${host}:5432/${databaseOn[database]}`,
      })),
      ...caFiles,
    ],
    volumes,
  };
}

/** The secret with the authorities to trust, by keys that are names of files, and the file of each database; null: none. */
function authorityOf({ spec: { postgres } }: Platform) {
  switch (postgres.mode) {
    case 'embedded':
      return null;
    case 'cnpg':
      return {
        // The certificate alone: the secret also holds the key that signs for the servers.
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
