import {
  type DecodedEvent,
  decodeEvent,
  peekVersion,
  type ReadSellerEvent,
  versionInValue,
} from '#contracts/event-codec.ts';
import { MOVED_TYPE, versionInId } from '#contracts/events.ts';
import { REPAIR_TYPE, REPLACES_HEADER, readWrongRow, type WrongRow } from '#contracts/repair.ts';
import type { BusMessage } from './bus.ts';

/** A message and its partition. */
export interface Received {
  readonly partition: number;
  readonly message: BusMessage;
  /** `keyText` of the message, where somebody has read it. */
  readonly keyText?: string;
}

/** The key, byte by byte, so that keys differ as their bytes do; '' where there is none. */
export const keyText = (message: BusMessage): string =>
  message.keyText ?? message.key?.toString('latin1') ?? '';

export interface Applicable extends Received {
  readonly event: ReadSellerEvent;
}

/** A message that cannot be read or applied: it is parked (dead-lettered). */
export interface PoisonMessage extends Received {
  readonly sellerId: number | null;
  readonly reason: string;
  /** Its event, where it could be read and the view refused it. */
  readonly event?: ReadSellerEvent;
}

/** A message that replaces a wrong row of some view; its list, if it has one, is among the events. */
export interface Repair extends Received {
  readonly sellerId: number;
  /** Null when it is meant for older rows alone. */
  readonly wrong: WrongRow | null;
}

export interface LatestPerKey {
  /** The newest event of each seller. */
  readonly events: Applicable[];
  /** All repairs, also those that a newer message follows: that one does not replace a row of a higher version. */
  readonly repairs: Repair[];
  /**
   * Unreadable messages that no good event of their seller follows. Of each seller at most two: the newest, and the
   * last one that tells no version.
   */
  readonly unreadable: PoisonMessage[];
  /** Messages that a newer one of their seller supersedes. */
  readonly superseded: number;
  /** Further copies of the newest event of their seller. */
  readonly duplicates: number;
  /** Tombstones that add nothing: beside the erasure that they follow, or of a repair. */
  readonly tombstones: number;
  /** Markers of keys that moved to another partition. */
  readonly moved: number;
  /** Tombstones that tell no version: they change nothing. */
  readonly unversioned: readonly Received[];
}

/**
 * The newest readable event of each seller. The messages may be of any partitions, those of one partition in order. A
 * superseded message is not decoded, unless it is a repair: the beginning of its text tells its version. If a message
 * of a seller begins in another way, all messages of the seller are decoded, with the same result.
 */
export function latestPerKey(received: readonly Received[]): LatestPerKey {
  const events: Applicable[] = [];
  const repairs: Repair[] = [];
  const unreadable: PoisonMessage[] = [];
  let superseded = 0;
  let duplicates = 0;
  let tombstones = 0;
  let moved = 0;
  const unversioned: Received[] = [];
  /** Tombstones of erasures. */
  const endings = new Set<BusMessage>();
  const bySeller = new Map<string, Received | Received[]>();
  for (const one of received) {
    const seller = one.keyText ?? keyText(one.message);
    if (isTombstone(one.message) && one.message.key !== null) {
      const type = header(one.message, 'ce_type');
      if (type === MOVED_TYPE) {
        moved += 1;
        continue;
      }
      if (type === REPAIR_TYPE) {
        tombstones += 1;
        const repair = repairIn(one);
        if (repair) repairs.push(repair);
        continue;
      }
      if (decode(one, type).kind !== 'event') {
        unversioned.push(one);
        continue;
      }
      // The erasure may be gone from the topic already: its tombstone means the same.
      endings.add(one.message);
    }
    if (seller === '' && one.message.key === null) {
      unreadable.push({ ...one, sellerId: null, reason: 'the message has no key' });
      continue;
    }
    const others = bySeller.get(seller);
    if (others === undefined) bySeller.set(seller, one);
    else if (Array.isArray(others)) others.push(one);
    else bySeller.set(seller, [others, one]);
  }
  for (const candidates of bySeller.values()) {
    const {
      good,
      bads = [],
      copies = 0,
      ends = 0,
    } = Array.isArray(candidates) ? latestOf(candidates, repairs, endings) : judge(candidates, repairs);
    if (good) events.push(good);
    unreadable.push(...bads);
    duplicates += copies;
    tombstones += ends;
    superseded +=
      (Array.isArray(candidates) ? candidates.length : 1) - (good ? 1 : 0) - bads.length - copies - ends;
  }
  return { events, repairs, unreadable, superseded, duplicates, tombstones, moved, unversioned };
}

/**
 * Like `latestPerKey`, in parts that must be written one after another. The result is then the same as if the messages
 * were applied one by one. A repair begins a new part if a message of its seller comes before it: that message may
 * write the row that the repair replaces.
 */
export function latestPerKeyInParts(received: readonly Received[]): readonly LatestPerKey[] {
  const whole = latestPerKey(received);
  if (whole.repairs.length === 0) return [whole];
  const repairs = new Set(whole.repairs.map(({ message }) => message));
  const parts: Received[][] = [[]];
  const sellers = new Set<string>();
  for (const one of received) {
    const seller = one.keyText ?? keyText(one.message);
    if (repairs.has(one.message) && sellers.has(seller)) {
      parts.push([]);
      sellers.clear();
    }
    parts.at(-1)!.push(one);
    sellers.add(seller);
  }
  return parts.length === 1 ? [whole] : parts.map(latestPerKey);
}

interface Judgement {
  good?: Applicable;
  bads?: readonly PoisonMessage[];
  /** Further messages of the same version as `good`. */
  copies?: number;
  /** Tombstones of that version, beside their erasure or beside each other; not counted in `copies`. */
  ends?: number;
}

/** @param repairs receives the message if it is a repair */
function judge(
  one: Received,
  repairs: Repair[],
  type: string | null = header(one.message, 'ce_type'),
): Judgement {
  const decoded = decode(one, type);
  if (type === REPAIR_TYPE && decoded.kind === 'event') repairs.push(toRepair(one, decoded.event.sellerId));
  if (decoded.kind === 'event')
    return { good: { partition: one.partition, message: one.message, event: decoded.event } };
  if (decoded.kind !== 'unreadable') return {};
  return { bads: [{ ...one, sellerId: decoded.sellerId, reason: decoded.reason }] };
}

/** A repair without a list: the source does not know the seller. */
function repairIn(tombstone: Received): Repair | null {
  if (header(tombstone.message, 'ce_type') !== REPAIR_TYPE) return null;
  const sellerId = Number(tombstone.message.key);
  return Number.isSafeInteger(sellerId) ? toRepair(tombstone, sellerId) : null;
}

const toRepair = (one: Received, sellerId: number): Repair => ({
  ...one,
  sellerId,
  wrong: readWrongRow(header(one.message, REPLACES_HEADER)),
});

/**
 * @param candidates of one seller, in the order of their offsets
 * @param repairs receives every repair among them
 * @param endings the tombstones among them
 */
function latestOf(
  candidates: readonly Received[],
  repairs: Repair[],
  endings: ReadonlySet<BusMessage>,
): Judgement {
  // The versions that the messages claim; the true one takes its place once a message is read.
  const versions = candidates.map(({ message }) => claimedVersion(message));
  const order = candidates.map((_, index) => index);
  const trusted = versions.every((version) => version > 0);
  // Highest version first; among equals the last offset first.
  if (trusted) order.sort((a, b) => versions[b]! - versions[a]! || b - a);
  let best: { at: number; good: Applicable } | undefined;
  // Whether no other message claims a newer version.
  let isFound = false;
  const unread: Unread[] = [];
  for (const at of order) {
    const one = candidates[at]!;
    const type = header(one.message, 'ce_type');
    if (isFound && type !== REPAIR_TYPE) continue;
    const claimed = versions[at];
    const { good, bads = [] } = judge(one, repairs, type);
    for (const bad of bads) unread.push({ at, bad, version: versionTold(bad.message, bad.sellerId) });
    if (!good) continue;
    const { version } = good.event;
    versions[at] = version;
    if (best === undefined || best.good.event.version < version) best = { at, good };
    else if (best.good.event.version === version && best.at < at) best = { at, good };
    if (trusted && version === claimed) isFound = true;
  }
  const version = best?.good.event.version;
  // By version where the message tells one: after a topic has grown, or in a replay, the older message may come later.
  const open = unread.filter(
    (one) =>
      best === undefined ||
      (one.version !== null && one.version !== version ? one.version > version! : one.at > best.at),
  );
  // A message that tells a version is kept beside one that tells none: the next program may be able to read its list.
  const told = latest(open.filter((one) => one.version !== null));
  const untold = latest(
    // A later message of its partition that tells a version replaces it, as when both are parked one by one.
    open.filter(
      (one) =>
        one.version === null && !(told && told.bad.partition === one.bad.partition && told.at > one.at),
    ),
  );
  const kept = [told, untold].filter((one) => one !== undefined);
  const same = candidates.filter((_, at) => kept.every((one) => one.at !== at) && versions[at] === version);
  const ends = endings.size === 0 ? 0 : same.filter(({ message }) => endings.has(message)).length;
  const events = same.length - ends;
  // The erasure's own message stands for both: it tells when it was sent. Its tombstone may be sent again much later.
  const erasure =
    best && events > 0 && endings.has(best.good.message)
      ? same.findLast(({ message }) => !endings.has(message))
      : undefined;
  return {
    // One of these messages is the event; a tombstone is the event only where there is no erasure.
    copies: Math.max(0, events - 1),
    ends: events > 0 ? ends : Math.max(0, ends - 1),
    ...(best ? { good: erasure ? { ...best.good, ...erasure } : best.good } : {}),
    bads: kept.map(({ bad }) => bad),
  };
}

interface Unread {
  /** Index among the candidates. */
  readonly at: number;
  readonly bad: PoisonMessage;
  readonly version: number | null;
}

/** The one of the highest version; among equals the last one. */
const latest = (unread: readonly Unread[]): Unread | undefined =>
  unread.toSorted((a, b) => (a.version ?? 0) - (b.version ?? 0) || a.at - b.at).at(-1);

/** The version that a message claims, without decoding it; a tombstone tells it in its id. NaN where it tells none. */
function claimedVersion(message: BusMessage): number {
  const { key, value } = message;
  if (value !== null) return peekVersion(value);
  return versionInId(Number(key), header(message, 'ce_id')) ?? Number.NaN;
}

/**
 * The version of a message that cannot be read, from its text or else its id.
 * @returns null where neither tells a version of this seller
 */
export function versionTold(message: BusMessage, sellerId: number | null): number | null {
  if (sellerId === null) return null;
  const told = message.value && versionInValue(message.value, sellerId);
  return told ?? versionInId(sellerId, header(message, 'ce_id'));
}

/** A header as text, the first where it is repeated. */
export function header(message: BusMessage, name: string): string | null {
  if (message.header) return message.header(name);
  const values = message.headers?.[name];
  const value = Array.isArray(values) ? values[0] : (values as Buffer | string | undefined);
  return value?.toString() ?? null;
}

/** Looks at the value only where its length does not tell. */
const isTombstone = (message: BusMessage): boolean => !message.valueLength && message.value === null;

function decode({ message, keyText }: Received, type: string | null): DecodedEvent {
  const value = message.valueIn ?? message.value;
  return decodeEvent({
    // In digits the bytes are the text.
    key: keyText && DIGITS.test(keyText) ? keyText : (message.key?.toString() ?? null),
    value,
    type,
    // Looked up for tombstones alone, which are few.
    ...(value === null
      ? { id: header(message, 'ce_id'), time: header(message, 'ce_time') ?? timeOf(message) }
      : {}),
  });
}

const DIGITS = /^\d+$/;

const timeOf = ({ timestamp }: BusMessage): string | null => {
  const at = new Date(Number(timestamp));
  return Number.isNaN(at.getTime()) ? null : at.toISOString();
};
