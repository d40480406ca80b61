/** Which measurements are made, and in which order. Pure. */
import type { PageName } from '#contracts/pages.ts';
import { randomFor } from '../../services/seed/random.ts';
import type { ComparisonOptions } from './options.ts';
import { shuffled } from './sample.ts';
import type { ConditionName, VariantName } from './variants.ts';

/** A condition is set up once, and every page and variant is visited under it. */
export interface Leg {
  readonly round: number;
  readonly condition: ConditionName;
  readonly visits: readonly { readonly page: PageName; readonly variant: VariantName }[];
}

/**
 * Every round visits all conditions, pages and variants in its own order, so that other load on the machine falls on
 * all of them. The same seed gives the same order.
 * @param share faults are measured only under the first share of the options
 */
export function plan(options: ComparisonOptions, share: number): Leg[] {
  const conditions = options.conditions.filter((one) => one === 'healthy' || share === options.shares[0]);
  // A quick look at the faults shows one page.
  const pagesUnder = (condition: ConditionName) =>
    options.quick && condition !== 'healthy' ? options.pages.slice(0, 1) : options.pages;
  return Array.from({ length: options.rounds }, (_, index) => {
    const random = randomFor(`round-${share}`, index, options.seed);
    return shuffled(conditions, random).map((condition): Leg => {
      const visits = pagesUnder(condition).flatMap((page) =>
        options.variants.map((variant) => ({ page, variant })),
      );
      return { round: index + 1, condition, visits: shuffled(visits, random) };
    });
  }).flat();
}

/** Roughly how long everything takes, in seconds, so that nobody starts an hour by mistake. */
export function estimateSeconds(options: ComparisonOptions): number {
  return options.shares.reduce((total, share) => {
    const legs = plan(options, share);
    const measuring = legs.reduce(
      (sum, leg) =>
        sum +
        leg.visits.length *
          (options.seconds + 0.8 + (leg.condition === 'healthy' ? options.saturationSeconds : 0)) +
        (leg.condition === 'healthy' ? 0 : 8),
      0,
    );
    return total + measuring + 30 + options.pages.length * options.variants.length * 2;
  }, 0);
}
