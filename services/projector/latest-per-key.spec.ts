import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { cloudEventId, cloudEventType, MOVED_TYPE, movedId } from '#contracts/events.ts';
import { REPAIR_TYPE } from '#contracts/repair.ts';
import type { BusMessage } from './bus.ts';
import { latestPerKey, type Received, versionTold } from './latest-per-key.ts';

let nextOffset = 0;
const message = (
  sellerId: number,
  version: number,
  changes: { value?: string | null; key?: string | null } = {},
): Received => {
  const value =
    changes.value === undefined
      ? JSON.stringify({
          sellerId,
          version,
          committedAt: '2026-11-23T10:00:00.000Z',
          change: { type: 'seller-erased' },
          clients: [],
        })
      : changes.value;
  const key = changes.key === undefined ? String(sellerId) : changes.key;
  return {
    partition: 0,
    message: {
      offset: String(nextOffset++),
      timestamp: '0',
      key: key === null ? null : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
      headers: { ce_type: Buffer.from(cloudEventType('seller-erased')) },
    } satisfies BusMessage,
  };
};
const versions = (received: readonly Received[]) =>
  latestPerKey(received).events.map(({ event }) => [event.sellerId, event.version]);

test('keeps the newest version of each seller, whatever the order and however often it came', () => {
  const received = [message(1, 1), message(2, 5), message(1, 3), message(1, 2), message(2, 5), message(1, 3)];
  expect(versions(received)).toEqual([
    [1, 3],
    [2, 5],
  ]);
  expect(latestPerKey(received)).toMatchObject({ superseded: 2, duplicates: 2 });
});

test('an unreadable copy of the newest event is reported, not counted as a duplicate', () => {
  const bad = message(1, 2, { value: '{"sellerId":1,"version":2,' });
  expect(latestPerKey([message(1, 1), message(1, 2), message(1, 2), bad])).toMatchObject({
    superseded: 1,
    duplicates: 1,
    unreadable: [{ message: bad.message }],
  });
});

test('an unreadable message is superseded by a good one that follows, unread', () => {
  const { events, unreadable, superseded } = latestPerKey([message(1, 1, { value: '{' }), message(1, 2)]);
  expect([events.length, unreadable.length, superseded]).toEqual([1, 0, 1]);
});

test('an unreadable message that nothing follows is reported, and the good one before it applied', () => {
  const bad = message(1, 3, { value: '{' });
  const { events, unreadable } = latestPerKey([message(1, 1), message(1, 2), bad, message(2, 1)]);
  expect(events.map(({ event }) => [event.sellerId, event.version])).toEqual([
    [1, 2],
    [2, 1],
  ]);
  expect(unreadable).toMatchObject([{ sellerId: 1, message: bad.message }]);
  expect(unreadable[0]!.reason).toContain('not JSON');
});

test('of several unreadable messages the newest by version is reported, and the latest that tells none', () => {
  const unread = (version: number) => message(1, version, { value: `{"sellerId":1,"version":${version},` });
  const [newer, older, early, late] = [
    unread(6),
    unread(5),
    message(1, 1, { value: '{' }),
    message(1, 1, { value: '{' }),
  ];
  const { unreadable, superseded } = latestPerKey([newer, early, older, late]);
  expect(unreadable.map((one) => one.message)).toEqual([newer.message, late.message]);
  expect(superseded).toBe(2);
});

test('only the latest of several unreadable messages of a seller is reported', () => {
  const last = message(1, 3, { value: '{' });
  const { unreadable, superseded } = latestPerKey([message(1, 2, { value: '{' }), last]);
  expect(unreadable.map((one) => one.message)).toEqual([last.message]);
  expect(superseded).toBe(1);
});

/** The same event, its members in another order, or padded. */
const written = (sellerId: number, version: number, how: 'other order' | 'padded') => {
  const rest = {
    committedAt: '2026-11-23T10:00:00.000Z',
    change: { type: 'seller-erased' },
    clients: [],
  };
  return how === 'padded'
    ? ` ${JSON.stringify({ sellerId, version, ...rest })}`
    : JSON.stringify({ ...rest, version, sellerId });
};

test('a value that another writer laid out differently is read as well', () => {
  expect(
    versions([
      message(1, 2),
      message(1, 4, { value: written(1, 4, 'other order') }),
      message(1, 3, { value: written(1, 3, 'padded') }),
    ]),
  ).toEqual([[1, 4]]);
});

const tombstone = (sellerId: number, version: number, headers: Record<string, string> = {}): Received => {
  const { partition, message: one } = message(sellerId, version, { value: null });
  return {
    partition,
    message: {
      ...one,
      timestamp: '1700000000000',
      headers: {
        ce_type: cloudEventType('seller-erased'),
        ce_id: cloudEventId(sellerId, version),
        ce_time: '2026-11-23T10:00:00.000Z',
        ...headers,
      },
    },
  };
};

test('a tombstone beside its erasure adds nothing, and one alone is the erasure', () => {
  expect(latestPerKey([message(1, 2), tombstone(1, 2)])).toMatchObject({
    events: [{ event: { sellerId: 1, version: 2, clients: [] } }],
    unreadable: [],
    tombstones: 1,
    duplicates: 0,
    superseded: 0,
  });
  expect(latestPerKey([message(1, 1), tombstone(1, 2)])).toMatchObject({
    events: [{ event: { version: 2, committedAt: '2026-11-23T10:00:00.000Z', clientsJson: '[]' } }],
    tombstones: 0,
    superseded: 1,
  });
  expect(latestPerKey([tombstone(1, 2), message(1, 3)])).toMatchObject({
    events: [{ event: { version: 3 } }],
    superseded: 1,
  });
});

test('of an erasure and its tombstone the message of the erasure stands for both', () => {
  const [erasure, end] = [message(1, 2), tombstone(1, 2)];
  for (const both of [
    [erasure, end],
    [end, erasure],
  ]) {
    expect(latestPerKey(both).events[0]!.message).toBe(erasure.message);
  }
  expect(latestPerKey([end]).events[0]!.message).toBe(end.message);
});

test('a tombstone without a time is of the time of its message', () => {
  const { partition, message: one } = tombstone(1, 2);
  const { ce_time: _, ...headers } = one.headers as Record<string, string>;
  const [only] = latestPerKey([{ partition, message: { ...one, headers } }]).events;
  expect(only!.event.committedAt).toBe(new Date(1_700_000_000_000).toISOString());
});

test('a tombstone that tells no version, and the marker of a move, are counted and change nothing', () => {
  const unversioned = [message(1, 2, { value: null }), tombstone(1, 2, { ce_id: '2/2' })];
  const moved = tombstone(1, 9, { ce_type: MOVED_TYPE, ce_id: movedId(1, 9) });
  expect(latestPerKey([message(1, 2), ...unversioned, moved])).toMatchObject({
    events: [{ event: { version: 2 } }],
    unreadable: [],
    unversioned,
    moved: 1,
    tombstones: 0,
  });
});

test('an unreadable message that tells an older version is superseded wherever it stands, a newer one nowhere', () => {
  const cut = (version: number) => message(1, version, { value: `{"sellerId":1,"version":${version},` });
  const [older, newer] = [cut(2), cut(4)];
  expect(latestPerKey([message(1, 3), older]).unreadable).toEqual([]);
  expect(latestPerKey([newer, message(1, 3)]).unreadable).toMatchObject([{ message: newer.message }]);
});

test('what cannot be read may tell its version, if it is of this seller', () => {
  const told = (value: string | null, id?: string) =>
    versionTold({ ...message(1, 1, { value }).message, headers: id === undefined ? {} : { ce_id: id } }, 1);
  expect(told('{"sellerId":1,"version":7,"x')).toBe(7);
  expect(told('{"sellerId":2,"version":7,"x')).toBeNull();
  expect(told('nonsense', '1/8')).toBe(8);
  expect(told('nonsense', '2/8')).toBeNull();
  expect(told('nonsense')).toBeNull();
});

test('a message without a readable key is reported with its own reason, each of them', () => {
  const { unreadable } = latestPerKey([
    message(1, 1, { key: null }),
    message(1, 1, { key: null }),
    message(1, 1, { key: 'x' }),
    message(1, 1, { key: null, value: null }),
  ]);
  expect(unreadable.map(({ sellerId }) => sellerId)).toEqual([null, null, null, null]);
});

test('reading lazily finds what reading everything finds', () => {
  const candidate = fc.record({
    sellerId: fc.integer({ min: 1, max: 3 }),
    version: fc.integer({ min: 1, max: 6 }),
    kind: fc.constantFrom('good', 'good', 'good', 'bad', 'cut', 'other order', 'padded', 'tombstone'),
  });
  fc.assert(
    fc.property(fc.array(candidate, { maxLength: 12 }), (all) => {
      const received = all.map(({ sellerId, version, kind }) => {
        if (kind === 'other order' || kind === 'padded') {
          return message(sellerId, version, { value: written(sellerId, version, kind) });
        }
        if (kind === 'tombstone') return tombstone(sellerId, version);
        if (kind === 'bad') return message(sellerId, version, { value: '{' });
        if (kind === 'cut')
          return message(sellerId, version, { value: `{"sellerId":${sellerId},"version":${version},` });
        return message(sellerId, version);
      });
      const { events, unreadable, superseded, duplicates, tombstones } = latestPerKey(received);
      expect(events.length + unreadable.length + superseded + duplicates + tombstones).toBe(all.length);
      for (const sellerId of [1, 2, 3]) {
        const good = all.flatMap((one, at) =>
          one.sellerId === sellerId && one.kind !== 'bad' && one.kind !== 'cut' ? [{ ...one, at }] : [],
        );
        const newest = good.toSorted((a, b) => b.version - a.version)[0];
        expect(events.find(({ event }) => event.sellerId === sellerId)?.event.version).toBe(newest?.version);
      }
    }),
    { numRuns: 500 },
  );
});

test('what messages come to does not hang on the order of their members', () => {
  const kinds = ['event', 'event', 'repair', 'tombstone', 'cut', 'untold'] as const;
  const candidate = fc.record({
    partition: fc.nat(1),
    sellerId: fc.integer({ min: 1, max: 2 }),
    version: fc.integer({ min: 1, max: 4 }),
    kind: fc.constantFrom(...kinds),
    how: fc.constantFrom('as we write it', 'other order', 'padded'),
  });
  type Candidate = typeof candidate extends fc.Arbitrary<infer T> ? T : never;
  const messageOf = ({ partition, sellerId, version, kind, how }: Candidate, offset: number): Received => {
    const value = how === 'as we write it' ? undefined : written(sellerId, version, how);
    const { message: one } =
      kind === 'tombstone'
        ? tombstone(sellerId, version)
        : message(sellerId, version, {
            ...(kind === 'cut' ? { value: `{"sellerId":${sellerId},"version":${version},` } : {}),
            ...(kind === 'untold' ? { value: '{' } : {}),
            ...((kind === 'event' || kind === 'repair') && value !== undefined ? { value } : {}),
          });
    const headers = kind === 'repair' ? { ce_type: REPAIR_TYPE } : one.headers!;
    return { partition, message: { ...one, headers, offset: String(offset) } };
  };
  const comesTo = (all: readonly Candidate[]) => {
    const { events, repairs, unreadable, ...counts } = latestPerKey(all.map(messageOf));
    const offsets = (some: readonly Received[]) =>
      some.map((one) => Number(one.message.offset)).sort((a, b) => a - b);
    return {
      ...counts,
      events: events.map(({ event, message: { offset } }) => [event.sellerId, event.version, offset]),
      repairs: offsets(repairs),
      unreadable: offsets(unreadable),
    };
  };
  fc.assert(
    fc.property(fc.array(candidate, { maxLength: 8 }), (all) => {
      expect(comesTo(all)).toEqual(comesTo(all.map((one) => ({ ...one, how: 'as we write it' }))));
    }),
    { numRuns: 2_000 },
  );
});
