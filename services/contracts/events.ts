import { z } from 'zod';
import { Client, ClientId, SellerId } from './client.ts';
import { readPlainSellerEvent } from './plain-event.ts';

/** What happened, as the event log keeps it: enough, in order, to rebuild the list. */
export const Change = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('client-added'), client: Client, position: z.int().min(0) }),
    z.object({ type: z.literal('client-updated'), client: Client }),
    z.object({ type: z.literal('client-removed'), clientId: ClientId }),
    z.object({ type: z.literal('clients-reordered'), clientIds: z.array(ClientId) }),
    z.object({ type: z.literal('seller-erased') }),
  ])
  .meta({ id: 'Change' });
export type Change = z.infer<typeof Change>;
export type ChangeType = Change['type'];

/**
 * The value of a message on the topic of seller events: what changed and the full resulting list, so that the
 * newest message of a seller is enough to build a view. Readers ignore members they do not know.
 */
export const SellerEvent = z
  .object({
    sellerId: SellerId,
    version: z.int().min(1).meta({ description: 'Contiguous per seller: 1, 2, 3 …' }),
    committedAt: z.iso.datetime().meta({ description: 'When the transaction committed, UTC' }),
    change: Change,
    clients: z.array(Client),
  })
  .meta({ id: 'SellerEvent' });
export type SellerEvent = z.infer<typeof SellerEvent>;

/** An event as a reader gets it. */
export interface ReadSellerEvent extends SellerEvent {
  /** The list as JSON text, where the message held it as `JSON.stringify` would write it. */
  readonly clientsJson?: string;
}

/** CloudEvents 1.0 attributes, Kafka binary mode: header `ce_<attribute>`. */
export const CLOUD_EVENTS = {
  specversion: '1.0',
  source: '/top-clients',
  contentType: 'application/json',
  schemaVersion: 1,
} as const;

const TYPE = /^dev\.topclients\.seller\.([a-z-]+)\.v([1-9]\d*)$/;

/**
 * Marks a key that moved to another partition when the topic grew: a null value, so that compaction forgets what the
 * old partition has of the seller. It says nothing of the seller, and readers pass over it. One with the key 0, of nobody,
 * comes to every partition now and then.
 */
export const SELLER_MOVED = 'seller-moved';

/** `client-added` → `dev.topclients.seller.client-added.v1`; what is repaired is told in `repair.ts` */
export const cloudEventType = (type: ChangeType | 'seller-repaired' | typeof SELLER_MOVED): string =>
  `dev.topclients.seller.${type}.v${CLOUD_EVENTS.schemaVersion}`;

export const MOVED_TYPE = cloudEventType(SELLER_MOVED);
const ERASED_TYPE = cloudEventType('seller-erased');

/** `<seller>/<version>` is the same for every copy of an event, so that `ce_source` + `ce_id` identify it. */
export const cloudEventId = (sellerId: number, version: number): string => `${sellerId}/${version}`;

/** The marker's own: it is no copy of the event of that version. */
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

export type DecodedEvent =
  /** The tombstone of an erasure too: it says what the erasure said. */
  | { kind: 'event'; event: ReadSellerEvent }
  /** A null value that says nothing of a list: a repair's (see `repair.ts`), or one that names no version. */
  | { kind: 'tombstone'; sellerId: number }
  /** A marker that says nothing of anybody's list. */
  | { kind: 'moved' }
  | { kind: 'unreadable'; sellerId: number | null; reason: string };

/** Steps from an old schema version to the next; a new version adds one entry. Index 0 is v1 → v2. */
const UPCASTS: ReadonlyArray<(data: unknown) => unknown> = [];

const sellerOf = (key: string | null): number | null => {
  const sellerId = key !== null && /^\d{1,16}$/.test(key) ? Number(key) : 0;
  return Number.isSafeInteger(sellerId) && sellerId >= 1 ? sellerId : null;
};

/** What the erasure before a tombstone said: compaction may have left the tombstone alone. */
function erasureIn(sellerId: number, id: string | null, time: string | null): ReadSellerEvent | null {
  const version = versionInId(sellerId, id);
  // A repair and a marker have longer ids, and other types.
  if (version === null || id !== cloudEventId(sellerId, version)) return null;
  const at = Date.parse(time ?? '');
  if (Number.isNaN(at)) return null;
  const committedAt = new Date(at).toISOString();
  return {
    sellerId,
    version,
    committedAt,
    change: { type: 'seller-erased' },
    clients: [],
    clientsJson: '[]',
  };
}

/**
 * Reads one message. Never throws: what cannot be read comes back with its reason, and with the seller where the
 * key still tells, so that only that seller waits.
 * @param message `id` and `time` are the headers `ce_id` and `ce_time`, which only a tombstone needs
 */
export function decodeEvent(message: {
  key: string | null;
  value: string | null;
  type: string | null;
  id?: string | null;
  time?: string | null;
}): DecodedEvent {
  // Before the key is looked at: there are markers of nobody.
  if (message.value === null && message.type === MOVED_TYPE) return { kind: 'moved' };
  const sellerId = sellerOf(message.key);
  const unreadable = (reason: string): DecodedEvent => ({ kind: 'unreadable', sellerId, reason });
  if (sellerId === null) return unreadable(`the key ${JSON.stringify(message.key)} is not a seller id`);
  if (message.value === null) {
    const { type, id = null, time = null } = message;
    const event = type === ERASED_TYPE ? erasureIn(sellerId, id, time) : null;
    return event ? { kind: 'event', event } : { kind: 'tombstone', sellerId };
  }
  const version = message.type === null ? CLOUD_EVENTS.schemaVersion : Number(TYPE.exec(message.type)?.[2]);
  if (!(version <= CLOUD_EVENTS.schemaVersion)) {
    return unreadable(
      `the type ${message.type} is newer than this reader or not one of ours; update the reader`,
    );
  }
  const current = version === CLOUD_EVENTS.schemaVersion;
  const plain = current ? (readPlainSellerEvent(message.value) as ReadSellerEvent | null) : null;
  if (plain?.sellerId === sellerId) return { kind: 'event', event: plain };
  let data: unknown;
  try {
    data = JSON.parse(message.value);
  } catch (cause) {
    return unreadable(`the value is not JSON: ${(cause as Error).message}`);
  }
  for (const upcast of UPCASTS.slice(version - 1)) data = upcast(data);
  const parsed = SellerEvent.safeParse(data);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return unreadable(`the value does not fit the schema: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  if (parsed.data.sellerId !== sellerId) {
    return unreadable(`the key names seller ${sellerId}, the value seller ${parsed.data.sellerId}`);
  }
  return { kind: 'event', event: parsed.data };
}
