import type { DatabaseUser } from '#contracts/database-users.ts';

const READ = 'select';
const WRITE = 'select, insert, update, delete';
/** To lock a row takes the right to update one of its columns; in this column there is nothing to falsify. */
const LOCK = 'select, update (updated_at)';

/**
 * What each user may do with the source's tables: the rights that its programs need for the statements in this folder.
 * `services/migrate/grants.ts` applies them, and documents the keys.
 */
export const SOURCE_GRANTS = {
  source: { '*': WRITE },
  relay: {
    // It adds markers of seller 0 for idle partitions.
    outbox: 'select, insert, delete',
    partition_layout: 'select, insert, update (all_written_at)',
    republish: READ,
    erasure: READ,
    erasure_store: 'select, update',
    // For `pg_sequence_last_value`, which answers null to a user without the right.
    'sequence outbox_id_seq': READ,
  },
  republish: {
    seller: LOCK,
    seller_event: READ,
    outbox: 'select, insert',
    partition_layout: 'select, update',
    republish: WRITE,
  },
  watcher: {
    // A seller whom the source does not know gets an empty row, so that there is one to lock.
    seller: `insert, ${LOCK}`,
    seller_event: READ,
    outbox: 'select, insert',
    'sequence outbox_id_seq': READ,
    erasure: READ,
    erasure_store: 'select, insert, update',
    erasure_reporter: 'select, insert, delete',
  },
} as const satisfies Readonly<Partial<Record<DatabaseUser, Readonly<Record<string, string>>>>>;
