import { FRESH_SECONDS, type ObjectiveName } from '../objectives.ts';
import {
  atLeast,
  calc,
  calcOn,
  combine,
  type Matcher,
  max,
  rate,
  type Series,
  sum,
  sumOverTime,
  type Vector,
} from '../promql.ts';
import { type RecordedName, type RuleWindow, WINDOWS } from './recorded.ts';

export interface RecordingRule {
  readonly record: RecordedName;
  readonly expr: string;
  readonly labels?: { readonly objective: ObjectiveName };
}

/**
 * The view version that each page shows; 0 for none. Its servers report it, so a page is missing when none of them
 * answers; of pages of others the operator does.
 */
const viewVersions = (series: Series) =>
  combine(
    max(series('topclients_page_view_version'), 'namespace', 'page'),
    'or',
    max(series('topclients_external_page_view_version'), 'namespace', 'page'),
  );

/** Pages that show a view now; 1 each. No part of the pipeline reports it, so that it survives a dead one. */
export const pagesWithView = (series: Series) => calc(viewVersions(series), '>', 0);

/** Pages that show no view. */
export const pagesWithoutView = (series: Series) => calc(viewVersions(series), '==', 0);

/**
 * Good and bad events of each objective as rates over 5 minutes, each rule after those it uses. The rates are taken at
 * equal distances, so sums of them over a window weigh every event alike. So the long windows read a few recorded
 * series instead of every pod's.
 */
export function recordingRules(series: Series): readonly RecordingRule[] {
  const ofObjective = (
    objective: ObjectiveName,
    all: Vector<string>,
    bad: Vector<string>,
  ): readonly RecordingRule[] => [
    { record: 'topclients:objective_all:rate5m', labels: { objective }, expr: all.text },
    { record: 'topclients:objective_bad:rate5m', labels: { objective }, expr: bad.text },
  ];
  const renders = (outcome?: Matcher) =>
    sum(
      rate(series('topclients_page_renders_total', outcome === undefined ? {} : { outcome }), '5m'),
      'namespace',
      'page',
      'delivery',
    );
  return [
    ...ofObjective('renders', renders(), renders('error')),
    ...ofObjective('completeness', renders({ not: 'error' }), renders({ re: 'missing|stale' })),
    ...freshness(series),
  ];

  function freshness(series: Series): readonly RecordingRule[] {
    const written = sum(
      rate(series('topclients_canary_writes_total', { result: 'written' }), '5m'),
      'namespace',
    );
    // Every write counts for each page, seen or not: so this side remains when the pipeline is dead.
    const all = calcOn(calc(pagesWithView(series), '*', 0), '+', ['namespace'], written);
    const recorded = series('topclients:objective_all:rate5m', { objective: 'freshness' });
    // A page has two watchers while one replaces the other, and each sees every change.
    const seen = max(
      rate(series('topclients_canary_delay_seconds_bucket', { le: String(FRESH_SECONDS) }), '5m'),
      'namespace',
      'page',
    );
    const none = max(calc(recorded, '*', 0), 'namespace', 'page');
    // Different processes, scraped at different moments, count written and seen: seen may be ahead by a little.
    const bad = atLeast(calc(max(recorded, 'namespace', 'page'), '-', combine(seen, 'or', none)), 0);
    return ofObjective('freshness', all, bad);
  }
}

/** The share of bad events in each window, for all objectives at once. */
export const ratioRule = (series: Series, window: RuleWindow): RecordingRule => {
  const bad = series('topclients:objective_bad:rate5m');
  const all = series('topclients:objective_all:rate5m');
  const ratio =
    window === '5m' ? calc(bad, '/', all) : calc(sumOverTime(bad, window), '/', sumOverTime(all, window));
  return { record: `topclients:objective_bad:ratio_${window}`, expr: ratio.text };
};

/** Evaluated every half minute. The 30 days of the budget are a long read, and change slowly. */
export const FAST_WINDOWS = WINDOWS.filter((window) => window !== '30d');
