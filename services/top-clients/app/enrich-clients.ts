import type { Client } from '#contracts/client.ts';
import type { ListAnswer, Sellers } from './ports.ts';

/** The clients with these ids, in the order of the seller's list, as they are now. Ids not in the list are left out. */
export async function enrichClients(
  sellers: Sellers,
  sellerId: number,
  clientIds: ReadonlySet<string>,
): Promise<ListAnswer> {
  const { version, updatedAt, clients } = await sellers.list(sellerId);
  const wanted = (JSON.parse(clients) as Client[]).filter(({ id }) => clientIds.has(id));
  return { sellerId, version, clients: wanted, updatedAt };
}
