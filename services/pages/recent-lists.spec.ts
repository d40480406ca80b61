import { expect, test } from '@jest/globals';
import { RecentLists } from './recent-lists.ts';

const when = new Date(1_000);
const text = (name: string) => JSON.stringify([{ id: '1', name, logo: null }]);

test('the same list object comes back until another version is remembered', () => {
  const recent = new RecentLists();
  const first = recent.remember(1, 1, when, text('Spotify'));
  expect(recent.get(1)).toBe(first);
  expect(first).toEqual({
    version: 1,
    committedAt: 1_000,
    clients: [{ id: '1', name: 'Spotify', logo: null }],
    total: 1,
  });
  const second = recent.remember(1, 2, when, '[]');
  expect(recent.get(1)).toBe(second);
  recent.forget(1);
  expect(recent.get(1)).toBeUndefined();
});

test('what was read longest ago goes first when there is no room, and empty lists take room too', () => {
  const recent = new RecentLists(3 * 202);
  for (const id of [1, 2, 3]) recent.remember(id, 1, when, '[]');
  recent.get(1);
  recent.remember(4, 1, when, '[]');
  expect([1, 2, 3, 4].map((id) => recent.get(id) !== undefined)).toEqual([true, false, true, true]);
});

test('forgetting and replacing give their room back', () => {
  const recent = new RecentLists(2 * 300);
  for (let i = 0; i < 100; i++) recent.remember(1, i, when, text('Spotify'));
  recent.remember(2, 1, when, text('Nike'));
  expect(recent.get(1)).toBeDefined();
  for (let i = 0; i < 100; i++) recent.forget(2);
  recent.remember(2, 1, when, text('Nike'));
  expect(recent.get(1)).toBeDefined();
});
