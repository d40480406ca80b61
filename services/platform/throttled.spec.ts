import { expect, test } from '@jest/globals';
import { throttled } from './throttled.ts';

/** Time passes only in pauses, and in `pass`. */
function virtualClock() {
  let now = 0;
  const pass = async (ms: number) => {
    now += ms;
  };
  return { now: () => now, monotonic: () => now, pause: pass, pass };
}
const neverFull = async () => false;

test('portions begin no sooner than the rate allows, and what a portion takes itself counts', async () => {
  const clock = virtualClock();
  const begun: number[] = [];
  await throttled({ perSecond: 100, isFull: neverFull, clock }, async () => {
    begun.push(clock.now());
    await clock.pass(begun.length === 2 ? 900 : 30);
    return { items: 50, isLast: begun.length === 4 };
  });
  expect(begun).toEqual([0, 500, 1_400, 1_900]);
  expect(clock.now()).toBe(1_930);
});

test('nothing is done while there is no room for the results', async () => {
  const clock = virtualClock();
  let portions = 0;
  const isFull = async () => clock.now() < 1_000;
  await throttled({ perSecond: 1, isFull, clock }, async () => {
    expect(clock.now()).toBeGreaterThanOrEqual(1_000);
    portions += 1;
    return { items: 1, isLast: true };
  });
  expect(portions).toBe(1);
});

test('it ends with the reason of the signal before the next portion, or while there is no room', async () => {
  const clock = virtualClock();
  const stop = new AbortController();
  const running = throttled({ perSecond: 1, isFull: neverFull, clock, signal: stop.signal }, async () => {
    stop.abort(new Error('was stopped'));
    return { items: 1, isLast: false };
  });
  await expect(running).rejects.toThrow('was stopped');
  const waiting = throttled({ perSecond: 1, isFull: async () => true, clock, signal: stop.signal }, () => {
    throw new Error('has no room');
  });
  await expect(waiting).rejects.toThrow('was stopped');
});
