/**
 * The series that recording rules make, with their labels. `objective` is a key of OBJECTIVES; `delivery` is absent
 * where the objective is one of the page's data and not of its renders (freshness).
 */
const OF_AN_OBJECTIVE = ['objective', 'namespace', 'page', 'delivery'] as const;

export const WINDOWS = ['5m', '30m', '1h', '6h', '3d', '30d'] as const;
export type RuleWindow = (typeof WINDOWS)[number];

const ratios = Object.fromEntries(
  WINDOWS.map((window) => [`topclients:objective_bad:ratio_${window}`, OF_AN_OBJECTIVE]),
) as Record<`topclients:objective_bad:ratio_${RuleWindow}`, typeof OF_AN_OBJECTIVE>;

export const RECORDED = {
  /** Events an objective counts, a second. */
  'topclients:objective_all:rate5m': OF_AN_OBJECTIVE,
  /** Those of them that are not as the objective wants them, a second. */
  'topclients:objective_bad:rate5m': OF_AN_OBJECTIVE,
  /** Share of bad ones in a window, each event weighing the same; NaN where nothing happened. */
  ...ratios,
} as const;

export type RecordedName = keyof typeof RECORDED;
