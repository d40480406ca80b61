import { expect, test } from '@jest/globals';
import { RecentLists } from './recent-lists.ts';

const answer = (version: number, name?: string) =>
  `${version} 1.000500 ${JSON.stringify(name === undefined ? [] : [{ id: '1', name, logo: null }])}`;

test('the same list object comes back until the view answers with another version', () => {
  const recent = new RecentLists();
  const first = recent.read(1, answer(1, 'Spotify & Sons'), undefined);
  expect(first).toEqual({
    version: 1,
    committedAt: 1_001,
    clients: [{ id: '1', name: 'Spotify & Sons', logo: null }],
    total: 1,
  });
  expect(recent.get(1)).toBe(first);
  expect(recent.read(1, '', recent.get(1))).toBe(first);
  const second = recent.read(1, answer(2), first);
  expect(recent.get(1)).toBe(second);
});

test('a list that another request replaced meanwhile is still the answer to this one', () => {
  const recent = new RecentLists();
  const asked = recent.read(1, answer(1), undefined);
  recent.read(1, answer(2), undefined);
  expect(recent.read(1, '', asked)).toBe(asked);
});

test('a row that is gone is forgotten', () => {
  const recent = new RecentLists();
  recent.read(1, answer(1), undefined);
  expect(recent.read(1, null, recent.get(1))).toBeUndefined();
  expect(recent.get(1)).toBeUndefined();
});

test('what was read longest ago goes first when there is no room, and empty lists take room too', () => {
  const recent = new RecentLists(3 * (200 + answer(1).length));
  for (const id of [1, 2, 3]) recent.read(id, answer(1), undefined);
  recent.get(1);
  recent.read(4, answer(1), undefined);
  expect([1, 2, 3, 4].map((id) => recent.get(id) !== undefined)).toEqual([true, false, true, true]);
});

test('forgetting and replacing give their room back', () => {
  const recent = new RecentLists(2 * 300);
  for (let i = 0; i < 100; i++) recent.read(1, answer(i, 'Spotify'), undefined);
  recent.read(2, answer(1, 'Nike'), undefined);
  expect(recent.get(1)).toBeDefined();
  for (let i = 0; i < 100; i++) recent.forget(2);
  recent.read(2, answer(1, 'Nike'), undefined);
  expect(recent.get(1)).toBeDefined();
});
