import type { Client } from '#contracts/client.ts';
import type { Sellers } from './ports.ts';

/** One client and the version of the list it was read from; null when the list has no such client. */
export async function readClient(
  sellers: Sellers,
  sellerId: number,
  clientId: string,
): Promise<{ version: number; client: Client } | null> {
  const { version, clients } = await sellers.list(sellerId);
  const client = (JSON.parse(clients) as Client[]).find(({ id }) => id === clientId);
  return client ? { version, client } : null;
}
