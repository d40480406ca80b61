import { plainArray, runStatement } from '#platform/postgres-statement.ts';
import type { Projection } from '../projection.ts';
import { beginCopy, versionColumns } from './columns.ts';

/** A row of the views that keep ids and leave the contents to the source of truth. */
export interface ClientIdsRow {
  readonly sellerId: number;
  readonly version: number;
  readonly committedAt: string;
  readonly clientIds: readonly string[];
}

const UPSERT = {
  name: 'upsert-client-ids',
  // A list of lists cannot go through unnest, which would flatten it: each travels as one array literal.
  text: `insert into top_clients as held (seller_id, version, committed_at, client_ids)
    select seller_id, version, committed_at, ids::uuid[]
    from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[]) as row (seller_id, version, committed_at, ids)
    on conflict (seller_id) do update
      set version = excluded.version, committed_at = excluded.committed_at, client_ids = excluded.client_ids
      where held.version < excluded.version`,
};

/** The view under `hybrid`, of every page: it tells which sellers are worth a call, and for which clients. */
export const clientIds: Projection<ClientIdsRow> = {
  migrations: new URL('./client-ids/', import.meta.url),

  toRow: ({ sellerId, version, committedAt, clients }) => ({
    sellerId,
    version,
    committedAt,
    clientIds: clients.map((client) => client.id),
  }),

  async upsert(db, rows) {
    const { count } = await runStatement(db, UPSERT, [
      ...versionColumns(rows),
      plainArray(rows.map((row) => `"${plainArray(row.clientIds)}"`)),
    ]);
    return count;
  },

  copy: {
    statement: 'copy top_clients (seller_id, version, committed_at, client_ids) from stdin (format binary)',
    write(row, to) {
      beginCopy(to, 4, row);
      to.uuids(row.clientIds);
    },
  },

  surface: 'seller_id, version, committed_at, client_ids',
};
