import { expect, test } from '@jest/globals';
import { TOLD_NOTHING, type ToldOfChanges } from './page.ts';
import { LONGEST_TRUST_MS, RecentLists } from './recent-lists.ts';

const answer = (version: number, name?: string) =>
  `-7${version} ${version} 1.000500 ${JSON.stringify(name === undefined ? [] : [{ id: '1', name, logo: null }])}`;

/** Lists of gigs whose numbers are those of their sellers, and what is asked of them at the same instant. */
function rig(told: ToldOfChanges = TOLD_NOTHING, capacity?: number) {
  const recent = new RecentLists(told, undefined, capacity);
  return {
    recent,
    get: (id: number) => recent.get(id),
    isCurrent: (id: number, least = 0) => recent.isCurrent(recent.get(id)!, least),
    read: (id: number, text: string | null, remembered = recent.get(id), askedAt = performance.now()) =>
      recent.read(id, id, text, remembered, askedAt),
  };
}
const TOLD_ALL: ToldOfChanges = { isUnchanged: () => true, hasChanged: () => false };

test('the same list object comes back until the view answers with another version', () => {
  const { get, read } = rig();
  const first = read(1, answer(1, 'Spotify & Sons'));
  expect(first).toEqual({
    version: 1,
    committedAt: 1_001,
    clients: [{ id: '1', name: 'Spotify & Sons', logo: null }],
    total: 1,
  });
  expect(get(1)?.list).toBe(first);
  expect(read(1, '')).toBe(first);
  const second = read(1, answer(2));
  expect(second).not.toBe(first);
  expect(get(1)?.list).toBe(second);
});

test('a list that another request replaced meanwhile is still the answer to this one', () => {
  const { get, read } = rig();
  const first = read(1, answer(1));
  const asked = get(1);
  read(1, answer(2));
  expect(read(1, '', asked)).toBe(first);
  expect(get(1)?.list?.version).toBe(2);
});

test('a row that is gone is remembered as gone', () => {
  const { get, read } = rig();
  read(1, answer(1));
  expect(read(1, null)).toBeNull();
  expect(get(1)?.list).toBeNull();
});

test('what was read longest ago goes first when there is no room, and empty lists take room too', () => {
  const { get, read } = rig(TOLD_NOTHING, 3 * (200 + answer(1).length));
  for (const id of [1, 2, 3]) read(id, answer(1));
  get(1);
  read(4, answer(1));
  expect([1, 2, 3, 4].map((id) => get(id) !== undefined)).toEqual([true, false, true, true]);
  for (let id = 5; id < 100; id++) read(id, null);
  expect([1, 3, 4].map((id) => get(id))).toEqual([undefined, undefined, undefined]);
});

test('replacing gives its room back', () => {
  const { get, read } = rig(TOLD_NOTHING, 2 * 300);
  for (let i = 0; i < 100; i++) read(1, answer(i, 'Spotify'));
  read(2, answer(1, 'Nike'));
  expect(get(1)).toBeDefined();
});

test('who is told nothing has to ask each time', () => {
  const { read, isCurrent } = rig();
  read(1, answer(1));
  expect(isCurrent(1)).toBe(false);
});

test('nothing older than the reader has seen is current, a row that is not there included', () => {
  const { read, isCurrent } = rig(TOLD_ALL);
  read(1, answer(3));
  read(2, null);
  expect([isCurrent(1, 3), isCurrent(1, 4), isCurrent(2, 0), isCurrent(2, 1)]).toEqual([
    true,
    false,
    true,
    false,
  ]);
});

test('changes are asked about since the statement that read the list was sent, or confirmed it last', () => {
  const asked: unknown[] = [];
  const { get, read, isCurrent } = rig({
    isUnchanged: (...about) => {
      asked.push(about);
      return true;
    },
    hasChanged: () => false,
  });
  const now = performance.now();
  read(7, answer(3), undefined, now - 20);
  isCurrent(7);
  read(7, '', get(7), now - 10);
  // Its answer comes later, but it was asked before.
  read(7, '', get(7), now - 15);
  isCurrent(7);
  expect(asked).toEqual([
    [7, now - 20],
    [7, now - 10],
  ]);
});

test('what somebody told of is forgotten, so that the whole list is asked for', () => {
  let hasChanged = false;
  const { get, read } = rig({ isUnchanged: () => false, hasChanged: () => hasChanged });
  read(1, answer(3));
  expect(get(1)?.digest).toBe('-73');
  hasChanged = true;
  expect(get(1)).toBeUndefined();
  hasChanged = false;
  expect(get(1)).toBeUndefined();
});

test('an answer that comes behind that to a later question is not remembered', () => {
  const { get, read } = rig();
  const asked = performance.now();
  read(1, answer(3), undefined, asked);
  expect(read(1, answer(2), undefined, asked - 1)?.version).toBe(2);
  expect(get(1)?.list?.version).toBe(3);
});

test('a row that took the place of another at the same version is told by its digest', () => {
  const { get, read } = rig();
  const wrong = read(1, '11 10 1.0 []');
  const right = read(1, '12 10 1.0 []');
  expect(right).not.toBe(wrong);
  expect(get(1)).toMatchObject({ digest: '12', list: right });
  read(1, null);
  expect(get(1)).toMatchObject({ digest: null, list: null });
});

test('after the trust time it is asked again, whatever nobody told', () => {
  let now = 1_000;
  const recent = new RecentLists(TOLD_ALL, { monotonic: () => now });
  recent.read(1, 1, answer(1), undefined, recent.now());
  now += LONGEST_TRUST_MS - 1;
  expect(recent.isCurrent(recent.get(1)!, 0)).toBe(true);
  now += 1;
  expect(recent.isCurrent(recent.get(1)!, 0)).toBe(false);
});

test('an erased seller is forgotten, and not remembered from an answer that was on its way', () => {
  const { recent, get, read } = rig();
  const before = performance.now();
  for (const id of [1, 2]) read(id, answer(1, 'Secret'));
  recent.forgetSeller(1);
  expect([1, 2].map((id) => get(id) !== undefined)).toEqual([false, true]);
  // Right for who asked before.
  expect(read(1, answer(1, 'Secret'), undefined, before)?.clients).toHaveLength(1);
  expect(get(1)).toBeUndefined();
  read(1, answer(2));
  expect(get(1)?.list?.version).toBe(2);
});

test('who cannot report remembers nothing for longer than it is trusted', () => {
  const { recent, get, read } = rig();
  const now = performance.now();
  read(1, answer(1), undefined, now - LONGEST_TRUST_MS - 1);
  read(2, answer(1), undefined, now);
  recent.forgetUnlessAskedWithin(LONGEST_TRUST_MS);
  expect([1, 2].map((id) => get(id) !== undefined)).toEqual([false, true]);
  recent.forgetUnlessAskedWithin(0);
  read(2, answer(1), undefined, now);
  expect(get(2)).toBeUndefined();
});

test('whoever remembers lists can be told to forget', () => {
  const remembering: unknown[] = [];
  const { recent } = rig({ ...TOLD_NOTHING, remembering: (memory) => remembering.push(memory) });
  expect(remembering).toEqual([recent]);
});
