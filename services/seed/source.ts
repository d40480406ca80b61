import type { SellerEvent } from '#contracts/events.ts';
import type { Queryable } from '#platform/postgres.ts';
import { addHistories } from '../top-clients/adapters/postgres/histories.ts';
import { clientsOf } from './sellers.ts';

/** The events of one seller for log, outbox and state: one for each client, oldest first. */
export function historyOf(sellerId: number, committedAt: string): readonly SellerEvent[] {
  const clients = clientsOf(sellerId);
  return clients.map((client, position) => ({
    sellerId,
    version: position + 1,
    committedAt,
    change: { type: 'client-added', client, position },
    clients: clients.slice(0, position + 1),
  }));
}

/**
 * Gives sellers their clients, in versions from 1 on; sellers that already have a row are skipped.
 * @param committedAt when these changes were made, in ISO 8601, UTC
 * @returns how many events were written
 */
export async function addClients(
  source: Queryable,
  sellerIds: readonly number[],
  committedAt: string,
): Promise<number> {
  const histories = sellerIds
    .map((sellerId) => historyOf(sellerId, committedAt))
    .filter((one) => one.length > 0);
  return addHistories(source, histories, committedAt);
}
