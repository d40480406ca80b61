import type { TextInBytes } from '#contracts/text-in-bytes.ts';
import { runStatement } from '#platform/postgres-statement.ts';
import type { Projection } from '../projection.ts';
import { beginCopy, jsonTexts, versionColumns } from './columns.ts';

/** A row of the views that keep whole lists. */
export interface FullListRow {
  readonly sellerId: number;
  readonly version: number;
  readonly committedAt: string;
  /** The list as JSON text: it is stored as it came, and nobody parses it on the way. */
  readonly clients: string | TextInBytes;
}

const UPSERT = {
  name: 'upsert-full-list',
  text: `insert into top_clients as held (seller_id, version, committed_at, clients)
    select * from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], string_to_array($4, $5)::json[])
    on conflict (seller_id) do update
      set version = excluded.version, committed_at = excluded.committed_at, clients = excluded.clients
      where held.version < excluded.version`,
};

/** The view of pages that show every client of one seller. An erasure carries an empty list, so nothing is left. */
export const fullList: Projection<FullListRow> = {
  migrations: new URL('./full-list/', import.meta.url),

  toRow: (event) => ({
    sellerId: event.sellerId,
    version: event.version,
    committedAt: event.committedAt,
    clients: event.clientsInBytes ?? event.clientsJson ?? JSON.stringify(event.clients),
  }),

  async upsert(db, rows) {
    const { count } = await runStatement(db, UPSERT, [
      ...versionColumns(rows),
      ...jsonTexts(rows.map((row) => row.clients)),
    ]);
    return count;
  },

  copy: {
    statement: 'copy top_clients (seller_id, version, committed_at, clients) from stdin (format binary)',
    write(row, to) {
      beginCopy(to, 4, row);
      to.text(row.clients);
    },
  },

  surface: 'seller_id, version, committed_at, clients, json_array_length(clients) as total',
};
