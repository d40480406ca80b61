import { expect, test } from '@jest/globals';
import type { Erasures } from '#contracts/api.ts';
import type { Clock } from '#platform/clock.ts';
import { silentLog } from '#platform/log.ts';
import type { SourceAnswer } from '../source-client/answer.ts';
import type { Erasure } from './change-log.ts';
import { forgetChanges } from './forget.ts';

const NOON = Date.parse('2026-11-28T12:00:00.000Z');
const minutesBefore = (now: number, minutes: number) => new Date(now - minutes * 60_000).toISOString();
const page = (sellers: number[], next: string | null): SourceAnswer<Erasures> => ({
  outcome: 'ok',
  value: {
    erasures: sellers.map((sellerId) => ({ sellerId, version: 2, erasedAt: '2026-11-28T11:59:00.000Z' })),
    next,
  },
});

/** Runs as many rounds as there are answers left; each round's pause moves the clock. */
async function run(answers: SourceAnswer<Erasures>[], rounds: number, failsFor: readonly number[] = []) {
  const stop = new AbortController();
  const asked: string[] = [];
  const erased: number[] = [];
  const confirmed: number[][] = [];
  const forgotten: number[] = [];
  const swept: number[] = [];
  let now = NOON;
  let round = 0;
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    async pause(ms) {
      now += ms;
      round += 1;
      if (round === rounds) stop.abort();
    },
  };
  const changes = {
    async forgetOld() {
      swept.push(now);
      if (failsFor.includes(round)) throw new Error('no database');
    },
    async erase(erasures: readonly Erasure[]) {
      erased.push(...erasures.map(({ sellerId }) => sellerId));
      return erasures.length;
    },
    isErased: async () => true,
  };
  const source = {
    async erasures(since: string) {
      asked.push(since);
      return answers.shift() ?? page([], null);
    },
    async confirmErasures(some: readonly Erasure[]): Promise<SourceAnswer<undefined>> {
      confirmed.push(some.map(({ sellerId }) => sellerId));
      return { outcome: 'ok', value: undefined };
    },
  };
  const deps = { changes, source, forgotten: (at: number) => forgotten.push(at), log: silentLog, clock };
  await forgetChanges(deps, stop.signal);
  return { asked, confirmed, erased, forgotten, swept };
}

test('asks at first for all that may be noted, then for what overlaps the last look, page by page', async () => {
  const second = '2026-11-28T11:59:00.001Z';
  const { asked, erased, forgotten, swept } = await run([page([1, 2], second), page([3], null)], 2);
  expect(asked).toEqual([minutesBefore(NOON, 65), second, minutesBefore(NOON, 10)]);
  expect(erased).toEqual([1, 2, 3]);
  expect(forgotten).toEqual(swept);
  expect(forgotten).toHaveLength(2);
});

test('after a failure asks again from where the last success ended, and says nothing of success', async () => {
  const lost: SourceAnswer<Erasures> = {
    outcome: 'unreachable',
    mayHaveArrived: false,
    cause: new Error('down'),
  };
  const { asked, erased, forgotten } = await run([page([], null), lost, page([4], null)], 4, [2]);
  const from = minutesBefore(NOON, 10);
  // The third round never came to ask.
  expect(asked).toEqual([minutesBefore(NOON, 65), from, from]);
  expect(erased).toEqual([4]);
  expect(forgotten).toEqual([NOON, NOON + 30_000]);
});

test('reports itself at the first look, and confirms each erasure once', async () => {
  const { confirmed } = await run([page([], null), page([1, 2], null), page([1, 2, 3], null)], 4);
  expect(confirmed).toEqual([[], [1, 2], [3]]);
});
