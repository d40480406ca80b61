import type { Promised } from './judge.ts';
import { minimise } from './minimise.ts';
import { type Plan, planOf } from './plan.ts';
import { simulate } from './simulate.ts';
import { toldOf } from './trace.ts';

/** Explains a failing seed: the smallest plan that still fails, and what happened to the seller or partition. */
export const explain = (seed: number, promised: Promised): Promise<readonly string[]> =>
  new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        const fails = (plan: Plan) => simulate(plan).findings.some((one) => one.promised === promised);
        resolve(tell(minimise(planOf(seed), fails), promised));
      } catch (err) {
        reject(err);
      }
    });
  });

function tell(plan: Plan, promised: Promised): string[] {
  const outcome = simulate(plan, true);
  const finding = outcome.findings.find((one) => one.promised === promised)!;
  const { projectors, relays, pages, watcher, partitions } = plan.setup;
  return [
    `seed ${plan.seed} breaks “${promised}”: ${finding.what}`,
    `left of it: ${plan.actions.length} actions; ${partitions} partitions, ${projectors} projectors, ${relays} relays, ${pages} pages, watcher: ${watcher}`,
    ...toldOf(outcome.entries, finding.about),
    `repeat: make simulate SEED=${plan.seed}`,
  ];
}
