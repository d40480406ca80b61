import { expect, test } from '@jest/globals';
import { planOf } from './plan.ts';
import { type Outcome, simulate } from './simulate.ts';

const SEEDS = 150;

/** `simulate` wants a turn of the event loop of its own. */
const run = (seed: number, isTraced = false): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(simulate(planOf(seed), isTraced));
      } catch (err) {
        reject(err);
      }
    });
  });

test(`every promise holds in ${SEEDS} seeds; make simulate SEED=… tells of one that fails`, async () => {
  const failed: string[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { findings } = await run(seed);
    if (findings.length > 0) failed.push(`${seed}: ${findings[0]!.promised}: ${findings[0]!.what}`);
  }
  expect(failed).toEqual([]);
});

test('a seed takes the same course each time, whether it is traced or not', async () => {
  for (const seed of [11, 4_711, 20_262]) {
    const [first, second, traced] = [await run(seed), await run(seed), await run(seed, true)];
    expect([second.hash, second.events, second.tookMs]).toEqual([first.hash, first.events, first.tookMs]);
    expect([traced.hash, traced.events]).toEqual([first.hash, first.events]);
    expect(traced.entries.length).toBeGreaterThan(50);
  }
  expect((await run(1)).hash).not.toBe((await run(2)).hash);
});
