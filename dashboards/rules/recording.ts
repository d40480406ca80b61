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

/** The version of the view that each page's servers show; 0 for none. A page of which no server answers is not among them. */
const viewVersions = (series: Series) => max(series('topclients_page_view_version'), 'namespace', 'page');

/** Pages whose servers show a view now; 1 each. Asked of the servers, which a dead pipeline does not take along. */
export const pagesWithView = (series: Series) => calc(viewVersions(series), '>', 0);

/** Pages whose servers say that they show no view. */
export const pagesWithoutView = (series: Series) => calc(viewVersions(series), '==', 0);

/**
 * Good and bad events of each objective as rates over 5 minutes, in the order in which they build on each other. Sums
 * of these rates over a window weigh every event alike, for they are taken at equal distances; so the long windows
 * read a few recorded series in place of every pod's.
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
    // What was written counts for each page, seen or not: the pipe's death leaves this side standing.
    const all = calcOn(calc(pagesWithView(series), '*', 0), '+', ['namespace'], written);
    const recorded = series('topclients:objective_all:rate5m', { objective: 'freshness' });
    // A page has two watchers while one replaces the other; each sees every change.
    const seen = max(
      rate(series('topclients_canary_delay_seconds_bucket', { le: String(FRESH_SECONDS) }), '5m'),
      'namespace',
      'page',
    );
    const none = max(calc(recorded, '*', 0), 'namespace', 'page');
    // Written and seen are counted by different processes, scraped at different moments: seen may lead by a little.
    const bad = atLeast(calc(max(recorded, 'namespace', 'page'), '-', combine(seen, 'or', none)), 0);
    return ofObjective('freshness', all, bad);
  }
}

/** The share of bad ones in each window, for all objectives at once. */
export const ratioRule = (series: Series, window: RuleWindow): RecordingRule => {
  const bad = series('topclients:objective_bad:rate5m');
  const all = series('topclients:objective_all:rate5m');
  const ratio =
    window === '5m' ? calc(bad, '/', all) : calc(sumOverTime(bad, window), '/', sumOverTime(all, window));
  return { record: `topclients:objective_bad:ratio_${window}`, expr: ratio.text };
};

/** Read every half minute; the budget's 30 days are a long read, and change slowly. */
export const FAST_WINDOWS = WINDOWS.filter((window) => window !== '30d');
