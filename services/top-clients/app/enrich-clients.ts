import type { Client } from '#contracts/client.ts';
import type { ListAnswer, Sellers } from './ports.ts';

/** Those of the ids that are in the seller's list, in its order, as they are now. Ids that are not there are left out. */
export async function enrichClients(
  sellers: Sellers,
  sellerId: number,
  clientIds: ReadonlySet<string>,
): Promise<ListAnswer> {
  const { version, updatedAt, clients } = await sellers.list(sellerId);
  const wanted = (JSON.parse(clients) as Client[]).filter(({ id }) => clientIds.has(id));
  return { sellerId, version, clients: wanted, updatedAt };
}
