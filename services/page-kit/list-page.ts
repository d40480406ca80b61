import { ListCache, listIfNewer, readThroughCache } from '#pages/list-cache.ts';
import type { ClientIds, ClientList, InvalidationFeed, PageClient, Reads } from '#pages/page.ts';

/** A page that is nothing but lists: what `deliver` needs to know of the readers of the package. */

const oneList = (sellerId: number, cached: string | null) => ({
  name: 'one-list',
  text: `select $1::bigint as seller_id, ${listIfNewer('$1::bigint', '$2')} as held`,
  values: [sellerId, cached],
});

const manyLists = (sellerIds: readonly number[]) => ({
  name: 'many-lists',
  text: 'select seller_id, version, committed_at, clients from top_clients.lists where seller_id = any ($1)',
  values: [[...sellerIds]],
});

const ids = (sellerIds: readonly number[]) => ({
  name: 'client-ids',
  text: `select seller_id, version, committed_at, client_ids::text[] as client_ids
    from top_clients.client_ids where seller_id = any ($1)`,
  values: [[...sellerIds]],
});

interface Held {
  readonly seller_id: number;
  readonly version: number;
  readonly committed_at: Date;
}

/** Reads of sellers, by their ids. There is nothing of a page's own beside the lists. */
export type ListReads = Reads<readonly number[], readonly number[]>;

/** One seller at a time, through a cache. */
export function openListReads(feed: InvalidationFeed): ListReads {
  const cache = new ListCache(feed);
  return {
    ...common,
    async withLists(db, sellers, minVersion) {
      const [sellerId] = sellers as [number];
      const read = await readThroughCache(
        cache,
        sellerId,
        db,
        minVersion,
        async () => ({ seller_id: sellerId }),
        (cached) => db.query(oneList(sellerId, cached)),
      );
      return { own: sellers, held: read!.held };
    },
  };
}

const common: ListReads = {
  own: async (_, sellers) => sellers,
  sellersFirst: async (_, sellers) => ({ sellers, own: async () => sellers }),

  async withLists(db, sellers) {
    const rows = await db.query<Held & { readonly clients: readonly PageClient[] }>(manyLists(sellers));
    const held = new Map<number, ClientList>(
      rows.map(({ seller_id, version, committed_at, clients }) => [
        seller_id,
        { version, committedAt: committed_at.getTime(), clients, total: clients.length },
      ]),
    );
    return { own: sellers, held };
  },

  async withIds(db, sellers) {
    const rows = await db.query<Held & { readonly client_ids: readonly string[] }>(ids(sellers));
    const held = new Map<number, ClientIds>(
      rows.map(({ seller_id, version, committed_at, client_ids }) => [
        seller_id,
        { version, committedAt: committed_at.getTime(), clientIds: client_ids },
      ]),
    );
    return { own: sellers, held };
  },
};

/** Many sellers at once, without a cache. */
export const MANY_LISTS: ListReads = common;
