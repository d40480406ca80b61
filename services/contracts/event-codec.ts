import {
  CLOUD_EVENTS,
  cloudEventId,
  cloudEventType,
  MOVED_TYPE,
  SellerEvent,
  versionInId,
} from './events.ts';
import { readPlainSellerEvent, readPlainSellerEventIn } from './plain-event.ts';
import { TextInBytes } from './text-in-bytes.ts';

/*
 * The format of an event in a message: the one place that writes its JSON and reads it. What a message means never
 * depends on the order of members, on blanks between them, or on members that a reader does not know: parser and schema
 * judge that. Code that expects a text exactly as `encodeEvent` writes it only saves time, and decides nothing about
 * any other text.
 */

/** An event whose two larger members are JSON text already, as they are stored on their own as well. */
export interface EventParts {
  readonly sellerId: number;
  readonly version: number;
  /** In ISO 8601, UTC. */
  readonly committedAt: string;
  readonly changeJson: string;
  readonly clientsJson: string;
}

export const encodeEventParts = ({
  sellerId,
  version,
  committedAt,
  changeJson,
  clientsJson,
}: EventParts): string =>
  `{"sellerId":${sellerId},"version":${version},"committedAt":"${committedAt}","change":${changeJson},"clients":${clientsJson}}`;

export const encodeEvent = ({ sellerId, version, committedAt, change, clients }: SellerEvent): string =>
  JSON.stringify({ sellerId, version, committedAt, change, clients });

/**
 * A short cut that reads the version of an event and nothing else; NaN where the text does not begin as `encodeEvent`
 * writes it.
 */
export const peekVersion = (value: Buffer): number => beginningOf(value)?.version ?? Number.NaN;

/**
 * The version that a value tells, even if it is no event.
 * @returns null where it tells no version of this seller
 */
export function versionInValue(value: Buffer, sellerId: number): number | null {
  const beginning = beginningOf(value);
  if (beginning) return beginning.sellerId === sellerId ? beginning.version : null;
  try {
    const data = JSON.parse(value.toString()) as { sellerId?: unknown; version?: unknown } | null;
    return data?.sellerId === sellerId ? versionOf(data.version) : null;
  } catch {
    return null;
  }
}

const versionOf = (told: unknown): number | null =>
  Number.isSafeInteger(told) && (told as number) >= 1 ? (told as number) : null;

// Byte by byte: most of a backlog is looked at only here, and a string for a regular expression costs twice as much.
function beginningOf(value: Buffer): { sellerId: number; version: number } | null {
  const sellerAt = behind(value, 0, '{"sellerId":');
  const sellerEnd = behindDigits(value, sellerAt);
  const versionAt = behind(value, sellerEnd, ',"version":');
  const versionEnd = behindDigits(value, versionAt);
  if (behind(value, versionEnd, ',') < 0) return null;
  return { sellerId: numberAt(value, sellerAt, sellerEnd), version: numberAt(value, versionAt, versionEnd) };
}

/** The index after this ASCII text, if it begins at this place; -1 if it does not. */
function behind(bytes: Buffer, at: number, text: string): number {
  if (at < 0) return -1;
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return -1;
  return at + text.length;
}

/** Like `behind`, for a whole number from 1 on, with no more digits than every number holds exactly. */
function behindDigits(bytes: Buffer, at: number): number {
  if (at < 0 || bytes[at] === ZERO) return -1;
  let end = at;
  while (bytes[end]! >= ZERO && bytes[end]! <= NINE) end += 1;
  return end > at && end - at <= 15 ? end : -1;
}

function numberAt(bytes: Buffer, at: number, end: number): number {
  let number = 0;
  for (let i = at; i < end; i++) number = number * 10 + bytes[i]! - ZERO;
  return number;
}

const ZERO = 0x30;
const NINE = 0x39;

/** An event as a reader gets it. */
export interface ReadSellerEvent extends SellerEvent {
  /** The list as JSON text, where the message held it as `JSON.stringify` would write it. */
  readonly clientsJson?: string;
  /** The same as the message holds it, where that is ASCII. */
  readonly clientsInBytes?: TextInBytes;
}

const TYPE = /^dev\.topclients\.seller\.([a-z-]+)\.v([1-9]\d*)$/;
const ERASED_TYPE = cloudEventType('seller-erased');

export type DecodedEvent =
  /** Also the tombstone of an erasure: it says what the erasure said. */
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

/** The erasure that a tombstone stands for: compaction may have left the tombstone alone. */
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

const readPlain = (value: string | Buffer | TextInBytes) =>
  (typeof value === 'string'
    ? readPlainSellerEvent(value)
    : readPlainSellerEventIn(
        value instanceof TextInBytes ? value : new TextInBytes(value, 0, value.length),
      )) as ReadSellerEvent | null;

/** NaN where it is not one of ours. */
const versionOfType = (type: string | null): number =>
  type === null ? CLOUD_EVENTS.schemaVersion : Number(TYPE.exec(type)?.[2]);

/**
 * Reads one message. Never throws: what cannot be read comes back with its reason, and with the seller where the
 * key still tells, so that only that seller waits.
 * @param message its value as it came, where it stands among other bytes, or as text; `id` and `time` are the headers `ce_id` and `ce_time`, which only a tombstone needs
 */
export function decodeEvent(message: {
  key: string | null;
  value: string | Buffer | TextInBytes | null;
  type: string | null;
  id?: string | null;
  time?: string | null;
}): DecodedEvent {
  // Checked before the key, because some markers are nobody's.
  if (message.value === null && message.type === MOVED_TYPE) return { kind: 'moved' };
  const sellerId = sellerOf(message.key);
  const unreadable = (reason: string): DecodedEvent => ({ kind: 'unreadable', sellerId, reason });
  if (sellerId === null) return unreadable(`the key ${JSON.stringify(message.key)} is not a seller id`);
  if (message.value === null) {
    const { type, id = null, time = null } = message;
    const event = type === ERASED_TYPE ? erasureIn(sellerId, id, time) : null;
    return event ? { kind: 'event', event } : { kind: 'tombstone', sellerId };
  }
  const version = versionOfType(message.type);
  if (!(version <= CLOUD_EVENTS.schemaVersion)) {
    return unreadable(
      `the type ${message.type} is newer than this reader or not one of ours; update the reader`,
    );
  }
  const current = version === CLOUD_EVENTS.schemaVersion;
  const plain = current ? readPlain(message.value) : null;
  if (plain?.sellerId === sellerId) return { kind: 'event', event: plain };
  let data: unknown;
  try {
    data = JSON.parse(message.value.toString());
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
