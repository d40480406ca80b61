import { type DecodedEvent, decodeEvent, type ReadSellerEvent } from '#contracts/events.ts';
import { REPAIR_TYPE, REPLACES_HEADER, readWrongRow, type WrongRow } from '#contracts/repair.ts';
import type { Message } from './bus.ts';

/** A message with where it stands. */
export interface Received {
  readonly partition: number;
  readonly message: Message;
}

export interface Applicable extends Received {
  readonly event: ReadSellerEvent;
}

export interface Unapplicable extends Received {
  readonly sellerId: number | null;
  readonly reason: string;
}

/** A message that stands against a wrong row of some view; its list, if it has one, is among the events. */
export interface Repair extends Received {
  readonly sellerId: number;
  /** Null when it is meant for older rows alone. */
  readonly wrong: WrongRow | null;
}

export interface Newest {
  /** The newest event of each seller. */
  readonly events: Applicable[];
  /** All of them, those included that something newer follows: that leaves a row above it alone. */
  readonly repairs: Repair[];
  /** Unreadable messages that no good event of their seller follows, the latest of each seller. */
  readonly unreadable: Unapplicable[];
  /** Messages that a newer one of their seller supersedes. */
  readonly superseded: number;
  /** Further copies of the newest event of their seller. */
  readonly duplicates: number;
  readonly tombstones: number;
}

/**
 * The newest readable event of each seller among messages of any partitions, each partition's in order. A message
 * that a newer one of its seller supersedes is not even decoded: the beginning of its text tells its version.
 */
export function newestPerSeller(received: readonly Received[]): Newest {
  const events: Applicable[] = [];
  const repairs: Repair[] = [];
  const unreadable: Unapplicable[] = [];
  let superseded = 0;
  let duplicates = 0;
  let tombstones = 0;
  const bySeller = new Map<string, Received | Received[]>();
  for (const one of received) {
    const { key, value } = one.message;
    if (value === null && key !== null) {
      // The erasure before it has told everything; the tombstone only lets Kafka forget the seller.
      tombstones += 1;
      const repair = repairIn(one);
      if (repair) repairs.push(repair);
      continue;
    }
    if (key === null) {
      unreadable.push({ ...one, sellerId: null, reason: 'the message has no key' });
      continue;
    }
    const seller = key.toString('latin1');
    const others = bySeller.get(seller);
    if (others === undefined) bySeller.set(seller, one);
    else if (Array.isArray(others)) others.push(one);
    else bySeller.set(seller, [others, one]);
  }
  for (const candidates of bySeller.values()) {
    const {
      good,
      bad,
      copies = 0,
    } = Array.isArray(candidates) ? newestOf(candidates, repairs) : judge(candidates, repairs);
    if (good) events.push(good);
    if (bad) unreadable.push(bad);
    duplicates += copies;
    superseded +=
      (Array.isArray(candidates) ? candidates.length : 1) - (good ? 1 : 0) - (bad ? 1 : 0) - copies;
  }
  return { events, repairs, unreadable, superseded, duplicates, tombstones };
}

/**
 * As `newestPerSeller`, in parts that are to be written one after another so that they come to what the messages would
 * come to one by one. A repair begins a new part where messages of its seller stand before it: the row that it stands
 * against may be what they write.
 */
export function newestInParts(received: readonly Received[]): readonly Newest[] {
  const whole = newestPerSeller(received);
  if (whole.repairs.length === 0) return [whole];
  const repairs = new Set(whole.repairs.map(({ message }) => message));
  const parts: Received[][] = [[]];
  const sellers = new Set<string>();
  for (const one of received) {
    const seller = one.message.key?.toString('latin1') ?? '';
    if (repairs.has(one.message) && sellers.has(seller)) {
      parts.push([]);
      sellers.clear();
    }
    parts.at(-1)!.push(one);
    sellers.add(seller);
  }
  return parts.length === 1 ? [whole] : parts.map(newestPerSeller);
}

interface Judgement {
  good?: Applicable;
  bad?: Unapplicable;
  /** Further messages of the good one's version, as far as their texts begin with it. */
  copies?: number;
}

/** @param repairs receives it if it is one */
function judge(one: Received, repairs: Repair[]): Judgement {
  const type = header(one.message, 'ce_type');
  const decoded = decode(one.message, type);
  if (type === REPAIR_TYPE && decoded.kind === 'event') repairs.push(toRepair(one, decoded.event.sellerId));
  if (decoded.kind === 'event') return { good: { ...one, event: decoded.event } };
  if (decoded.kind === 'tombstone') return {};
  return { bad: { ...one, sellerId: decoded.sellerId, reason: decoded.reason } };
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
 * @param repairs receives every repair among them: its text begins in another way, so that all are read then
 */
function newestOf(candidates: readonly Received[], repairs: Repair[]): Judgement {
  const claimed = candidates.map(({ message }) => claimedVersion(message));
  const order = candidates.map((_, index) => index);
  const trusted = claimed.every((version) => version > 0);
  // The last offset first among equals.
  if (trusted) order.sort((a, b) => claimed[b]! - claimed[a]! || b - a);
  let best: { at: number; good: Applicable } | undefined;
  let latestBad: { at: number; bad: Unapplicable } | undefined;
  for (const at of order) {
    const { good, bad } = judge(candidates[at]!, repairs);
    if (bad && (latestBad === undefined || latestBad.at < at)) latestBad = { at, bad };
    if (good && (best === undefined || best.good.event.version < good.event.version)) best = { at, good };
    // None of the others begins like a newer one.
    if (trusted && good && good.event.version === claimed[at]) break;
  }
  const unread = latestBad && (best === undefined || latestBad.at > best.at) ? latestBad : undefined;
  const isCopy = (version: number, at: number) =>
    version === best?.good.event.version && at !== best.at && at !== unread?.at;
  return {
    copies: claimed.filter(isCopy).length,
    ...(best ? { good: best.good } : {}),
    ...(unread ? { bad: unread.bad } : {}),
  };
}

/** The version as the beginning of the value tells it; NaN where it is written in another way. */
function claimedVersion({ value }: Message): number {
  const beginning = value?.toString('latin1', 0, 64) ?? '';
  return Number(/^\{"sellerId":\d+,"version":(\d+),/.exec(beginning)?.[1]);
}

/** A header as text, the first where it is repeated. */
export function header(message: Message, name: string): string | null {
  if (message.header) return message.header(name);
  const values = message.headers?.[name];
  const value = Array.isArray(values) ? values[0] : (values as Buffer | string | undefined);
  return value?.toString() ?? null;
}

const decode = (message: Message, type: string | null): DecodedEvent =>
  decodeEvent({
    key: message.key?.toString() ?? null,
    value: message.value?.toString() ?? null,
    type,
  });
