import { expect, test } from '@jest/globals';
import { minimise } from './minimise.ts';
import { type Plan, planOf } from './plan.ts';

const hasBoth =
  (first: number, second: number) =>
  ({ actions }: Plan) =>
    [first, second].every((at) => actions.some((action) => action.at === at));

test('what is left of a plan is what it takes, and no process more than that', () => {
  const plan = planOf(7);
  const [first, second] = [plan.actions[3]!.at, plan.actions.at(-2)!.at];
  const least = minimise(plan, hasBoth(first, second));
  expect(new Set(least.actions.map(({ at }) => at))).toEqual(new Set([first, second]));
  expect(least.setup).toMatchObject({ projectors: 1, relays: 1, pages: 1, brokers: 1, watcher: 'none' });
});

test('a watcher without which it does not fail is kept', () => {
  const plan = { ...planOf(7), setup: { ...planOf(7).setup, watcher: 'repairs' as const } };
  expect(minimise(plan, ({ setup }) => setup.watcher === 'repairs').setup.watcher).toBe('repairs');
});

test('the watcher stays with a fault that only it heals', () => {
  const restored = { at: 1_000, kind: 'source restored', forMs: 500 } as const;
  const plan = planOf(7);
  const least = minimise(
    { ...plan, setup: { ...plan.setup, watcher: 'repairs' }, actions: [restored, ...plan.actions] },
    ({ actions }) => actions.some(({ kind }) => kind === 'source restored'),
  );
  expect(least).toMatchObject({ setup: { watcher: 'repairs' }, actions: [restored] });
});
