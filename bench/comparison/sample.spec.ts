import { expect, test } from '@jest/globals';
import { randomFor } from '../../services/seed/random.ts';
import { ranksWithClients, sellersByRank, shareOfVisits, shuffled, visits } from './sample.ts';

test.each([0.05, 0.33, 0.9])(
  'a share of %d of the visits meets clients, however skewed visits are',
  (share) => {
    const ranks = ranksWithClients(5_000, share);
    expect(Math.abs(shareOfVisits(ranks) - share)).toBeLessThan(0.001);
    // And about as many of the sellers, so that stored bytes and visits speak of the same share.
    expect(Math.abs(ranks.filter(Boolean).length / 5_000 - share)).toBeLessThan(0.1);
  },
);

test('sellers are taken in order from those with and those without clients', () => {
  expect(sellersByRank([false, true, true], { some: [5, 6, 7], none: [1, 2] })).toEqual([1, 5, 6]);
  expect(() => sellersByRank([true, true], { some: [5], none: [] })).toThrow('--sellers');
});

test('the same seed makes the same visits, the most popular seller first among them', () => {
  const ranked = Array.from({ length: 100 }, (_, i) => 1_000 + i);
  const made = visits('user', ranked, 500, randomFor('spec', 1));
  expect(made).toEqual(visits('user', ranked, 500, randomFor('spec', 1)));
  expect(made).not.toEqual(visits('user', ranked, 500, randomFor('spec', 2)));
  const count = (path: string) => made.filter((one) => one === path).length;
  expect(count('/users/1000')).toBeGreaterThan(count('/users/1050'));
  expect(count('/users/1000')).toBeGreaterThan(60);
  expect(
    visits('search', ranked, 20, randomFor('spec', 1)).every((path) => path.startsWith('/search?q=')),
  ).toBe(true);
});

test('shuffling keeps everything', () => {
  const items = [1, 2, 3, 4, 5, 6, 7, 8];
  const other = shuffled(items, randomFor('spec', 3));
  expect(other).not.toEqual(items);
  expect(other.toSorted()).toEqual(items);
});
