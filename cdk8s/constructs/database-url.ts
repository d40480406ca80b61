import { type DatabaseName, names, type Platform } from '../platform.ts';
import type { EnvironmentVariable } from './role-pod.ts';

/** The name of each database on a server of ours. */
export const databaseOn: Readonly<Record<DatabaseName, string>> = {
  source: 'source',
  gig: 'gig',
  user: 'user',
  search: 'search',
  selfView: 'self_view',
};

/** The secret with `username` and `password` of a PostgreSQL that this platform runs. */
export const postgresSecret = ({ spec: { postgres } }: Platform): string =>
  postgres.mode === 'cnpg' ? `${names.postgres}-app` : (postgres.embedded.existingSecret ?? names.postgres);

/** The address of one database, as the setting `name` of a role; the password comes from a secret. */
export function databaseUrl(
  platform: Platform,
  database: DatabaseName,
  name = 'TC_DATABASE_URL',
): EnvironmentVariable[] {
  const { postgres } = platform.spec;
  const secret = (variable: string, from: string, key: string): EnvironmentVariable => ({
    name: variable,
    valueFrom: { secretKeyRef: { name: from, key } },
  });
  if (postgres.mode === 'external') {
    // The API server refuses external without a secret.
    return [secret(name, postgres.external.existingSecret!, postgres.external.keys[database])];
  }
  const host = postgres.mode === 'cnpg' ? `${names.postgres}-rw` : names.postgres;
  // Kubernetes fills $(…) from variables that stand before.
  return [
    secret('DATABASE_USER', postgresSecret(platform), 'username'),
    secret('DATABASE_PASSWORD', postgresSecret(platform), 'password'),
    {
      name,
      value: `postgresql://$(DATABASE_USER):$(DATABASE_PASSWORD)@${host}:5432/${databaseOn[database]}`,
    },
  ];
}
