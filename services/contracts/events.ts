import { z } from 'zod';
import { Client, ClientId, SellerId } from './client.ts';

/** What happened, as the event log keeps it: enough, in order, to rebuild the list. */
export const SellerChange = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('client-added'), client: Client, position: z.int().min(0) }),
    z.object({ type: z.literal('client-updated'), client: Client }),
    z.object({ type: z.literal('client-removed'), clientId: ClientId }),
    z.object({ type: z.literal('clients-reordered'), clientIds: z.array(ClientId) }),
    z.object({ type: z.literal('seller-erased') }),
  ])
  .meta({ id: 'Change' });
export type SellerChange = z.infer<typeof SellerChange>;
export type ChangeType = SellerChange['type'];

/**
 * The value of a message on the topic of seller events: what changed and the full resulting list, so that the
 * newest message of a seller is enough to build a view. Readers ignore members they do not know.
 */
export const SellerEvent = z
  .object({
    sellerId: SellerId,
    version: z.int().min(1).meta({ description: 'Contiguous per seller: 1, 2, 3 …' }),
    committedAt: z.iso.datetime().meta({ description: 'When the transaction committed, UTC' }),
    change: SellerChange,
    clients: z.array(Client),
  })
  .meta({ id: 'SellerEvent' });
export type SellerEvent = z.infer<typeof SellerEvent>;

/** CloudEvents 1.0 attributes, Kafka binary mode: header `ce_<attribute>`. */
export const CLOUD_EVENTS = {
  specversion: '1.0',
  source: '/top-clients',
  contentType: 'application/json',
  schemaVersion: 1,
} as const;

/**
 * Marks a key that moved to another partition when the topic grew: a null value, so that compaction forgets what the
 * old partition has of the seller. It says nothing of the seller, and readers skip it. A marker with the key 0, which
 * is no seller's, is written to every partition now and then.
 */
export const SELLER_MOVED = 'seller-moved';

/** `client-added` → `dev.topclients.seller.client-added.v1`; repairs are explained in `repair.ts` */
export const cloudEventType = (type: ChangeType | 'seller-repaired' | typeof SELLER_MOVED): string =>
  `dev.topclients.seller.${type}.v${CLOUD_EVENTS.schemaVersion}`;

export const MOVED_TYPE = cloudEventType(SELLER_MOVED);

/** `<seller>/<version>` is the same for every copy of an event, so that `ce_source` + `ce_id` identify it. */
export const cloudEventId = (sellerId: number, version: number): string => `${sellerId}/${version}`;

/** The marker's own id: it is no copy of the event of that version. */
export const movedId = (sellerId: number, version: number): string =>
  `${cloudEventId(sellerId, version)}/moved`;

/**
 * The version that a `ce_id` names, of an event, a repair or a marker.
 * @returns null where it names none, or another seller
 */
export function versionInId(sellerId: number, id: string | null): number | null {
  const [, seller, version] = /^([1-9]\d{0,15})\/([1-9]\d{0,15})(?:\/|$)/.exec(id ?? '') ?? [];
  return Number(seller) === sellerId && Number.isSafeInteger(Number(version)) ? Number(version) : null;
}
