import { type Action, isSound, type Plan, type Setup } from './plan.ts';

/** The most runs that a minimisation may take. */
const MOST_RUNS = 600;

/**
 * The smallest part found of a plan that still fails. First it tries fewer processes. Then it removes actions in
 * halves, quarters, … down to single ones (delta debugging). Then it tries fewer processes once more. The watcher stays
 * as long as the plan has a fault that only it heals.
 */
export function minimise(plan: Plan, fails: (candidate: Plan) => boolean): Plan {
  let runs = 0;
  const isBroken = (candidate: Plan): boolean => {
    runs += 1;
    return isSound(candidate) && fails(candidate);
  };
  let least = plan;
  const takeProcesses = () => {
    for (const fewer of fewerProcesses(least.setup)) {
      const candidate = { ...least, setup: { ...least.setup, ...fewer } };
      if (isBroken(candidate)) least = candidate;
    }
  };
  takeProcesses();
  for (let size = Math.ceil(least.actions.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let again = true; again; ) {
      again = false;
      for (let at = 0; at < least.actions.length && runs < MOST_RUNS; ) {
        const candidate = { ...least, actions: without(least.actions, at, size) };
        if (isBroken(candidate)) {
          least = candidate;
          again = size === 1;
        } else at += size;
      }
    }
  }
  takeProcesses();
  return least;
}

const without = (actions: readonly Action[], at: number, size: number): Action[] => [
  ...actions.slice(0, at),
  ...actions.slice(at + size),
];

const fewerProcesses = ({ watcher, projectors, relays, pages, brokers }: Setup): Partial<Setup>[] => [
  ...(watcher === 'none' ? [] : [{ watcher: 'none' as const }]),
  ...(pages > 1 ? [{ pages: 1 }] : []),
  ...(brokers > 1 ? [{ brokers: 1 }] : []),
  ...(relays > 1 ? [{ relays: 1 }] : []),
  ...Array.from({ length: projectors - 1 }, (_, i) => ({ projectors: i + 1 })).reverse(),
];
