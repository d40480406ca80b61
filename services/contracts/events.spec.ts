import { expect, test } from '@jest/globals';
import {
  cloudEventId,
  cloudEventType,
  decodeEvent,
  MOVED_TYPE,
  movedId,
  type SellerEvent,
  versionInId,
} from './events.ts';

const client = {
  id: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff',
  name: 'Spotify',
  industry: 'Music',
  description: '',
  logo: 'spotify',
  from: '2021-03',
  to: null,
};
const event: SellerEvent = {
  sellerId: 7,
  version: 3,
  committedAt: '2026-11-23T10:00:00.000Z',
  change: { type: 'client-added', client, position: 0 },
  clients: [client],
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
  const value = JSON.stringify({ ...event, mood: 'sunny', clients: [{ ...client, mood: 'sunny' }] });
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

test.each([
  ['7/3', 3],
  ['7/3/repair/9', 3],
  ['7/3/moved', 3],
  ['8/3', null],
  ['7/3x', null],
  ['7/', null],
  ['7/0', null],
  ['7/9999999999999999', null],
  [null, null],
])('of the id %s it reads version %s of seller 7', (id, version) => {
  expect(versionInId(7, id)).toBe(version);
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
