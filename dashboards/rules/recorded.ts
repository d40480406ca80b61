/**
 * The series that recording rules make, with their labels. `objective` is a key of OBJECTIVES; `delivery` is absent for
 * an objective about the page's data instead of its renders (freshness).
 */
const OF_AN_OBJECTIVE = ['objective', 'namespace', 'page', 'delivery'] as const;

export const WINDOWS = ['5m', '30m', '1h', '6h', '3d', '30d'] as const;
export type RuleWindow = (typeof WINDOWS)[number];

const ratios = Object.fromEntries(
  WINDOWS.map((window) => [`topclients:objective_bad:ratio_${window}`, OF_AN_OBJECTIVE]),
) as Record<`topclients:objective_bad:ratio_${RuleWindow}`, typeof OF_AN_OBJECTIVE>;

export const RECORDED = {
  /** Events that an objective counts, a second. */
  'topclients:objective_all:rate5m': OF_AN_OBJECTIVE,
  /** The bad ones among them, a second. */
  'topclients:objective_bad:rate5m': OF_AN_OBJECTIVE,
  /** Share of bad events in a window, each event with the same weight; NaN without events. */
  ...ratios,
} as const;

export type RecordedName = keyof typeof RECORDED;
