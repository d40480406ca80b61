import { expect, test } from '@jest/globals';
import { Backoff } from './backoff.ts';

test('waits grow from the shortest to the longest, and begin anew when there was something to do', () => {
  const pace = new Backoff(2, 20, 2);
  expect([pace.next(), pace.next(), pace.next(), pace.next(), pace.next(), pace.next()]).toEqual([
    2, 4, 8, 16, 20, 20,
  ]);
  pace.reset();
  expect(pace.next()).toBe(2);
});
