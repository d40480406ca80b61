import { expect, test } from '@jest/globals';
import { silentLog } from '#platform/log.ts';
import { type CanarySighting, watchCanary } from './watch-canary.ts';

/** Lets the watch look once a step: a sighting, none, or an error. */
async function watch(looks: readonly (CanarySighting | null | Error)[]) {
  const ended = new AbortController();
  const delays: number[] = [];
  const seen: number[] = [];
  const left = [...looks];
  let opened = 0;
  await watchCanary(
    async () => {
      opened += 1;
      return {
        async look() {
          const one = left.shift() ?? null;
          if (left.length === 0) ended.abort();
          if (one instanceof Error) throw one;
          return one;
        },
        close: async () => {},
      };
    },
    0,
    { arrived: (ms) => delays.push(ms), seen: (at) => seen.push(at) },
    silentLog,
    ended.signal,
    () => 10_000,
  );
  return { delays, seen, opened };
}
const at = (version: number, committedAt: number): CanarySighting => ({ version, committedAt });

test('each version is timed once, when it is found', async () => {
  const { delays, seen } = await watch([null, at(1, 9_900), at(1, 9_900), at(3, 9_990), at(3, 9_990)]);
  expect([delays, seen]).toEqual([
    [100, 10],
    [9_900, 9_990],
  ]);
});

test('what was there at the first look is seen, not timed', async () => {
  expect(await watch([at(5, 1), at(6, 9_000)])).toMatchObject({ delays: [1_000], seen: [1, 9_000] });
});

test('after a failure it opens anew, and times only what comes then', async () => {
  const { delays, seen, opened } = await watch([at(5, 1), new Error('gone'), at(7, 2), at(8, 9_995)]);
  expect([delays, seen, opened]).toEqual([[5], [1, 2, 9_995], 2]);
});

test('a view that is built anew times no version again, and a clock behind gives no negative time', async () => {
  const looks = [null, at(4, 9_000), at(1, 6_000), at(4, 9_000), at(5, 10_500)];
  expect(await watch(looks)).toMatchObject({ delays: [1_000, 0], seen: [9_000, 10_500] });
});
