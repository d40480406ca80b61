import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  decodeEvent,
  encodeEvent,
  encodeEventParts,
  peekVersion,
  type ReadSellerEvent,
  versionInValue,
} from './event-codec.ts';
import { cloudEventId, cloudEventType, MOVED_TYPE, movedId, type SellerEvent } from './events.ts';
import { readPlainSellerEvent } from './plain-event.ts';
import { anyEvent, anyLayout, CLIENT, laidOut, readBothWays } from './testing/any-event.ts';

const event: SellerEvent = {
  sellerId: 7,
  version: 3,
  committedAt: '2026-11-23T10:00:00.000Z',
  change: { type: 'client-added', client: CLIENT, position: 0 },
  clients: [CLIENT],
};
const message = (over: Partial<Parameters<typeof decodeEvent>[0]> = {}) => ({
  key: '7',
  value: JSON.stringify(event),
  type: cloudEventType('client-added'),
  ...over,
});
const reason = (over: Parameters<typeof message>[0]) => {
  const decoded = decodeEvent(message(over));
  if (decoded.kind !== 'unreadable') throw new Error(`it was read as ${decoded.kind}`);
  return decoded;
};

test('an event comes back as it was written', () => {
  const decoded = decodeEvent(message());
  if (decoded.kind !== 'event') throw new Error(`it was read as ${decoded.kind}`);
  const { sellerId, version, committedAt, change, clients } = decoded.event;
  expect({ sellerId, version, committedAt, change, clients }).toEqual(event);
});

test('members a reader does not know are ignored', () => {
  const value = JSON.stringify({ ...event, mood: 'sunny', clients: [{ ...CLIENT, mood: 'sunny' }] });
  expect(decodeEvent(message({ value }))).toEqual({ kind: 'event', event });
});

test('a null value is a tombstone', () => {
  expect(decodeEvent(message({ value: null }))).toEqual({ kind: 'tombstone', sellerId: 7 });
});

const erased = {
  value: null,
  type: cloudEventType('seller-erased'),
  id: cloudEventId(7, 3),
  time: '2026-11-23T10:00:00.000Z',
};

test('the tombstone of an erasure says what the erasure said', () => {
  expect(decodeEvent(message(erased))).toEqual({
    kind: 'event',
    event: {
      sellerId: 7,
      version: 3,
      committedAt: '2026-11-23T10:00:00.000Z',
      change: { type: 'seller-erased' },
      clients: [],
      clientsJson: '[]',
    },
  });
});

test.each([
  ['names no version', { id: null }],
  ['names another seller', { id: cloudEventId(8, 3) }],
  ['names version 0', { id: '7/0' }],
  ['has an id of something else', { id: '7/3/repair/1' }],
  ['has no time', { time: null }],
  ['has a time that is none', { time: 'yesterday' }],
  ['is a repair', { type: cloudEventType('seller-repaired') }],
  ['is of another kind', { type: 'dev.topclients.seller.seller-thanked.v1' }],
  ['is of no kind', { type: null }],
])('a tombstone that %s says nothing of a list', (_, changes) => {
  expect(decodeEvent(message({ ...erased, ...changes }))).toEqual({ kind: 'tombstone', sellerId: 7 });
});

test('the marker of a move is no tombstone, whatever its id', () => {
  for (const id of [movedId(7, 3), cloudEventId(7, 3), null]) {
    expect(decodeEvent(message({ ...erased, type: MOVED_TYPE, id }))).toEqual({ kind: 'moved' });
  }
});

test('what cannot be read says why and which seller waits', () => {
  expect(reason({ value: '{' })).toMatchObject({ sellerId: 7, reason: expect.stringContaining('not JSON') });
  expect(reason({ value: '{"sellerId":7}' }).reason).toContain('version');
  expect(reason({ value: JSON.stringify({ ...event, sellerId: 8 }) }).reason).toContain('seller 8');
});

test('a newer schema or a stranger on the topic is not guessed at', () => {
  expect(reason({ type: 'dev.topclients.seller.client-added.v2' }).reason).toContain('update the reader');
  expect(reason({ type: 'com.example.order-placed' }).reason).toContain('not one of ours');
});

test('a key that is no seller leaves the seller unknown', () => {
  for (const key of [null, '', 'abc', '0', '-1', '1e3', '99999999999999999']) {
    expect(reason({ key }).sellerId).toBeNull();
  }
});

test('an event is written as JSON.stringify writes it, also from texts that are ready', () => {
  fc.assert(
    fc.property(anyEvent, (one) => {
      const { change, clients, ...rest } = one;
      const parts = { ...rest, changeJson: JSON.stringify(change), clientsJson: JSON.stringify(clients) };
      expect(encodeEvent(one)).toBe(JSON.stringify(one));
      expect(encodeEventParts(parts)).toBe(JSON.stringify(one));
    }),
    { numRuns: 500 },
  );
});

const plainly = ({ sellerId, version, committedAt, change, clients }: ReadSellerEvent) => ({
  sellerId,
  version,
  committedAt,
  change,
  clients,
});

test('what an event says does not hang on how it is laid out', () => {
  let shortCuts = 0;
  fc.assert(
    fc.property(anyEvent, anyLayout, (one, layout) => {
      const [written, other] = readBothWays(one, layout);
      if (written.clientsJson !== undefined) shortCuts += 1;
      expect(plainly(written)).toEqual(one);
      expect(plainly(other)).toEqual(one);
    }),
    { numRuns: 1_000 },
  );
  // About one in five takes it: both ways to read are held against each other.
  expect(shortCuts).toBeGreaterThan(50);
});

test('a short cut to the version tells the version or nothing, and the text tells it in any layout', () => {
  fc.assert(
    fc.property(anyEvent, anyLayout, (one, layout) => {
      expect(peekVersion(Buffer.from(encodeEvent(one)))).toBe(one.version);
      const value = Buffer.from(laidOut(one, layout));
      expect([one.version, Number.NaN]).toContainEqual(peekVersion(value));
      expect(versionInValue(value, one.sellerId)).toBe(one.version);
      expect(versionInValue(value, one.sellerId + 1)).toBeNull();
    }),
    { numRuns: 1_000 },
  );
});

test.each([
  ['{"sellerId":7,"version":3,"x', 3],
  ['{"sellerId":8,"version":3,"x', null],
  ['{"version":3,"sellerId":7,"x', null],
  ['{"version":3,"sellerId":7}', 3],
  ['{"version":"3","sellerId":7}', null],
  ['{"version":0,"sellerId":7}', null],
  ['{"sellerId":7,"version":9999999999999999}', null],
  ['null', null],
  ['7', null],
  ['', null],
])('what is no event, %s, tells the version %s of seller 7', (value, version) => {
  expect(versionInValue(Buffer.from(value), 7)).toBe(version);
});

test('what is written of ordinary texts takes the short cut', () => {
  expect(readPlainSellerEvent(encodeEvent(event))).not.toBeNull();
});
