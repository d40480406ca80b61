import { databaseUrl, milliseconds, setting } from '#platform/config.ts';
import { databaseCaFile } from '#platform/database-tls.ts';
import type { DatabaseUrl } from '#platform/database-url.ts';
import { KAFKA_SETTINGS } from '#platform/kafka/client.ts';
import { type Client, connect } from '#platform/postgres.ts';
import type { RoleContext } from '#role/role.ts';

/** What every program is told that removes views. */
export const DROP_SETTINGS = {
  waitMs: setting(
    'TC_WAIT_MS',
    'how long to wait for the last projector to be gone, in ms',
    milliseconds().default(15_000),
  ),
  sourceUrl: setting(
    'TC_SOURCE_DATABASE_URL',
    'PostgreSQL address of the source of truth, whose receipts of erasures wait for the view no longer; without it they are told by the watcher of the page, where there is one',
    databaseUrl().optional(),
  ),
  sourceCaFile: databaseCaFile('TC_SOURCE_DATABASE_CA_FILE'),
  ...KAFKA_SETTINGS,
  // Without Kafka the consumer group is left behind, which does no harm.
  brokers: { ...KAFKA_SETTINGS.brokers, schema: KAFKA_SETTINGS.brokers.schema.optional() },
} as const;

/** A session of a program that removes views; it ends with the program. */
export async function openDropSession(
  url: DatabaseUrl,
  caFile: string | undefined,
  { log, releases }: Pick<RoleContext, 'log' | 'releases'>,
): Promise<Client> {
  const db = await connect(
    {
      url,
      caFile,
      applicationName: 'drop-view',
      statementTimeoutMs: 60_000,
      connectTimeoutMs: 10_000,
      primaryOnly: true,
      // The drop waits for readers, and new readers wait behind it: better fail and be retried.
      parameters: { lock_timeout: '5s' },
    },
    (err) => log.error({ err }, 'lost the database'),
  );
  releases.push('database', () => db.end());
  return db;
}
