import { plainArray, runStatement } from '#platform/postgres-statement.ts';
import type { Projection } from '../projection.ts';
import { beginCopy, jsonTexts, versionColumns } from './columns.ts';

/** How many clients a card names; the others are counted. */
export const NAMED_ON_A_CARD = 3;

export interface CardRow {
  readonly sellerId: number;
  readonly version: number;
  readonly committedAt: string;
  readonly clientCount: number;
  /** The first clients as JSON text, `[{"id", "name", "logo"}]`. */
  readonly firstClients: string;
}

const UPSERT = {
  name: 'upsert-cards',
  text: `insert into top_clients as held (seller_id, version, committed_at, client_count, first_clients)
    select * from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::smallint[], string_to_array($5, $6)::json[])
    on conflict (seller_id) do update
      set version = excluded.version, committed_at = excluded.committed_at,
          client_count = excluded.client_count, first_clients = excluded.first_clients
      where held.version < excluded.version`,
};

/** A card names three clients and counts the rest, and 48 cards are read at once: nothing else is kept. */
export const cards: Projection<CardRow> = {
  migrations: new URL('./cards/', import.meta.url),

  toRow: ({ sellerId, version, committedAt, clients }) => ({
    sellerId,
    version,
    committedAt,
    clientCount: clients.length,
    firstClients: JSON.stringify(
      clients.slice(0, NAMED_ON_A_CARD).map(({ id, name, logo }) => ({ id, name, logo })),
    ),
  }),

  async upsert(db, rows) {
    const { count } = await runStatement(db, UPSERT, [
      ...versionColumns(rows),
      plainArray(rows.map((row) => row.clientCount)),
      ...jsonTexts(rows.map((row) => row.firstClients)),
    ]);
    return count;
  },

  copy: {
    statement:
      'copy top_clients (seller_id, version, committed_at, client_count, first_clients) from stdin (format binary)',
    write(row, to) {
      beginCopy(to, 5, row);
      to.smallint(row.clientCount);
      to.text(row.firstClients);
    },
  },

  surface: 'seller_id, version, committed_at, first_clients as clients, client_count::integer as total',
};
