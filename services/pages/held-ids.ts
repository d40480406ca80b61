import type { ClientIds } from './page.ts';

/** A row of a page's `withIds` statement, joined with `top_clients.client_ids`. */
export interface RowWithIds {
  readonly seller_id: number;
  /** These three are null where the view has no row of the seller. */
  readonly held_version: number | null;
  readonly held_committed_at: Date | null;
  readonly held_client_ids: readonly string[] | null;
}

/** @returns what the view holds, by seller; sellers without a row in it are left out */
export function heldIn(rows: readonly RowWithIds[]): ReadonlyMap<number, ClientIds> {
  const held = new Map<number, ClientIds>();
  for (const row of rows) {
    if (row.held_version === null) continue;
    held.set(row.seller_id, {
      version: row.held_version,
      committedAt: row.held_committed_at!.getTime(),
      clientIds: row.held_client_ids!,
    });
  }
  return held;
}
