/** How soon a projector looks again who owns what. */
import { expect, test } from '@jest/globals';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { BalancePace, Rest } from './pace.ts';

let now = 0;
const clock: Clock = { ...SYSTEM_CLOCK, monotonic: () => now };
const settled = { isBalanced: true, isAlone: false, lacks: 0 };

test('seldom while alone, more often beside others, and most often while others have its partitions', () => {
  const pace = new BalancePace(clock, 6_000);
  expect(pace.nextMs()).toBe(200);
  pace.saw({ ...settled, isAlone: true });
  expect(pace.nextMs()).toBe(1_000);
  pace.saw(settled);
  expect(pace.nextMs()).toBe(500);
  pace.saw({ ...settled, isBalanced: false });
  expect(pace.nextMs()).toBe(200);
  pace.saw({ isBalanced: false, isAlone: false, lacks: 3 });
  expect(pace.nextMs()).toBe(20);
});

test('partitions that are not given up are waited for with less haste after a while, until the next time', () => {
  const pace = new BalancePace(clock, 6_000);
  const waiting = { isBalanced: false, isAlone: false, lacks: 1 };
  pace.saw(waiting);
  now += 2_999;
  pace.saw(waiting);
  expect(pace.nextMs()).toBe(20);
  now += 1;
  pace.saw(waiting);
  expect(pace.nextMs()).toBe(200);
  pace.saw(settled);
  pace.saw(waiting);
  expect(pace.nextMs()).toBe(20);
});

test('never so seldom that the database takes the session for dead', () => {
  const pace = new BalancePace(clock, 1_500);
  pace.saw({ ...settled, isAlone: true });
  expect(pace.nextMs()).toBe(375);
});

/** Ends no pause by itself. */
const stopped: Clock = {
  ...SYSTEM_CLOCK,
  pause: (_, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) resolve();
      else signal?.addEventListener('abort', () => resolve(), { once: true });
    }),
};

test('a pause is cut short, also one that has yet to begin, and the one after it is whole', async () => {
  const stopping = new AbortController();
  const rest = new Rest(stopped, stopping.signal);
  const first = rest.of(1_000);
  rest.cutShort();
  await first;
  rest.cutShort();
  await rest.of(1_000);
  let isOver = false;
  const third = rest.of(1_000).then(() => {
    isOver = true;
  });
  await new Promise(setImmediate);
  expect(isOver).toBe(false);
  stopping.abort();
  await third;
});
