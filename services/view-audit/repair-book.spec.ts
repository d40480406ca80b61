import { expect, test } from '@jest/globals';
import type { Difference } from './compare-view.ts';
import { ATTEMPTS, RepairBook } from './repair-book.ts';

const RETRY_MS = 60_000;
const wrong = (sellerId: number, held: number | null = 5, digest = 1n): Difference => ({
  sellerId,
  expected: 5,
  held,
  digests: { expected: 9n, held: digest },
});
const ids = (differences: readonly Difference[]) => differences.map(({ sellerId }) => sellerId);

test('what differs is sent, no more than a pass may, and the rest waits', () => {
  const book = new RepairBook(RETRY_MS);
  const { send, waiting, unhealed } = book.plan([wrong(1), wrong(2, null), wrong(3)], 2, 0);
  expect([ids(send), waiting, unhealed]).toEqual([[1, 2], 1, []]);
});

test('a row that stays as it was is sent three times, then called unhealed and sent only now and then', () => {
  const book = new RepairBook(RETRY_MS);
  for (let pass = 0; pass < ATTEMPTS; pass++) {
    const { send, unhealed } = book.plan([wrong(1)], 10, pass);
    expect([ids(send), unhealed]).toEqual([[1], []]);
    book.sent(send, pass);
  }
  expect(book.plan([wrong(1)], 10, 10)).toMatchObject({ send: [], unhealed: [1] });
  const later = book.plan([wrong(1)], 10, ATTEMPTS + RETRY_MS);
  expect([ids(later.send), later.unhealed]).toEqual([[1], [1]]);
  book.sent(later.send, ATTEMPTS + RETRY_MS);
  expect(book.plan([wrong(1)], 10, ATTEMPTS + RETRY_MS + 1)).toMatchObject({ send: [], unhealed: [1] });
});

test('a repair that was planned and not sent does not count', () => {
  const book = new RepairBook(RETRY_MS);
  for (let pass = 0; pass < 9; pass++) expect(book.plan([wrong(1)], 10, pass).send).toHaveLength(1);
});

test('a row that is wrong in another way, or again after it was right, begins anew', () => {
  const book = new RepairBook(RETRY_MS);
  for (let pass = 0; pass < ATTEMPTS; pass++) book.sent([wrong(1), wrong(2)], pass);
  const plan = book.plan([wrong(1, 5, 2n)], 10, 10);
  expect([ids(plan.send), plan.unhealed]).toEqual([[1], []]);
  expect(ids(book.plan([wrong(2)], 10, 11).send)).toEqual([2]);
});

test('a row whose id no message can speak of is unhealed at once', () => {
  expect(new RepairBook(RETRY_MS).plan([wrong(-3), wrong(0)], 10, 0)).toEqual({
    send: [],
    unhealed: [-3, 0],
    waiting: 0,
  });
});
