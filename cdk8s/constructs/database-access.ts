import { type DatabaseName, names, type Platform } from '../platform.ts';
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
  if (postgres.mode === 'external') {
    const { existingSecret, keys } = postgres.external;
    // The API server refuses external without a secret.
    return { env: addresses((database, name) => secret(name, existingSecret!, keys[database])), volumes: [] };
  }
  const cnpg = postgres.mode === 'cnpg';
  const host = cnpg ? `${names.postgres}-rw` : names.postgres;
  const options = cnpg ? `?sslmode=verify-full&sslrootcert=${CA_FOLDER}/ca.crt` : '';
  return {
    env: [
      // Kubernetes fills $(…) from variables that stand before.
      secret('DATABASE_USER', postgresSecret(platform), 'username'),
      secret('DATABASE_PASSWORD', postgresSecret(platform), 'password'),
      ...addresses((database, name) => ({
        name,
        value: `postgresql://$(DATABASE_USER):$(DATABASE_PASSWORD)@${host}:5432/${databaseOn[database]}${options}`,
      })),
    ],
    volumes: cnpg
      ? [
          {
            name: 'postgres-ca',
            mountPath: CA_FOLDER,
            // The certificate alone: the secret also holds the key that signs for the servers.
            source: {
              secret: { secretName: `${names.postgres}-ca`, items: [{ key: 'ca.crt', path: 'ca.crt' }] },
            },
          },
        ]
      : [],
  };
}
