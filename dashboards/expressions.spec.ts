import { describe, expect, test } from '@jest/globals';
import { LABELS, METRICS, type MetricName, MOST_SERIES, seriesOf } from '#contracts/metrics.ts';
import { allExpressions } from './expressions.ts';
import { RECORDED } from './rules/recorded.ts';
import { ruleGroups } from './rules/rules.ts';
import { judge } from './testing/promql-gate.ts';
import { UNUSED } from './unused.ts';
import { substitute } from './variables.ts';

/** The labels that a legend or the template of an alert names. */
const labelsIn = (text: string): string[] =>
  [...text.matchAll(/\$labels\.(\w+)|\{\{\s*(\w+)\s*\}\}/g)]
    .map(([, ofAlert, ofLegend]) => (ofAlert ?? ofLegend)!)
    .filter((word) => word !== 'else' && word !== 'end');

/** All that is wrong with an expression and the text that names its labels. */
function faultsOf(expr: string, text: string): readonly string[] {
  const { faults, labels } = judge(substitute(expr));
  const promised = labelsIn(text).filter((label) => !labels.has(label));
  return [...faults, ...promised.map((label) => `its text names ${label}, which the result does not have`)];
}

describe('the expressions of dashboards and rules', () => {
  test.each(allExpressions())('$where: $expr', ({ expr, text }) => {
    expect(faultsOf(expr, text)).toEqual([]);
  });

  test('each recording rule makes a series of the list, and each of the list is made', () => {
    const made = ruleGroups().flatMap(({ rules }) =>
      rules.flatMap((rule) => ('record' in rule ? [rule.record] : [])),
    );
    expect(new Set(made)).toEqual(new Set(Object.keys(RECORDED)));
  });

  test('a recorded series has the labels that the list says, and no others', () => {
    const labelsOf = new Map<string, Set<string>>();
    for (const rule of ruleGroups().flatMap(({ rules }) => rules)) {
      if (!('record' in rule)) continue;
      const labels = labelsOf.get(rule.record) ?? new Set();
      for (const label of [...judge(rule.expr).labels, ...Object.keys(rule.labels ?? {})]) labels.add(label);
      labelsOf.set(rule.record, labels);
    }
    for (const [name, labels] of Object.entries(RECORDED)) {
      expect([name, [...labelsOf.get(name)!].sort()]).toEqual([name, [...labels].sort()]);
    }
  });

  test.each([
    ['no PromQL', 'sum by (page) (rate(topclients_page_renders_total[5m])', /no PromQL/],
    ['an unknown name', 'topclients_page_render_total', /not in the catalogue/],
    ['the bare name of a histogram', 'sum(topclients_canary_delay_seconds)', /not in the catalogue/],
    ['the bucket of a gauge', 'sum(rate(topclients_outbox_pending_bucket[5m]))', /not in the catalogue/],
    ['a label that the metric lacks', 'topclients_outbox_pending{page="gig"}', /no label page/],
    ['a value that never is', 'topclients_page_breaker_open{page="gigs"}', /never gigs/],
    ['a value in a pattern', 'topclients_page_breaker_open{page=~"gig|usr"}', /never usr/],
    ['a grouping by nothing', 'sum by (page) (topclients_outbox_pending)', /nothing to group by page/],
    ['a counter that is not a rate', 'sum by (page) (topclients_page_renders_total)', /only ever grows/],
    ['a rate of a gauge', 'rate(topclients_outbox_pending[5m])', /no counter/],
    [
      'a quantile without le',
      'histogram_quantile(0.9, sum by (page) (rate(topclients_canary_delay_seconds_bucket[5m])))',
      /needs the label le/,
    ],
    [
      'sides that never match',
      'sum by (page) (topclients_projector_lag_records) / sum by (namespace) (topclients_outbox_pending)',
      /never match/,
    ],
    [
      'a join by a label of one side',
      'topclients_projector_lag_records * on (page) group_left () topclients_outbox_pending',
      /right side has no label page/,
    ],
    [
      'a recorded series with a label of a target',
      'sum by (pod) (topclients:objective_bad:ratio_1h)',
      /nothing to group by pod/,
    ],
  ])('the gate turns red on %s', (_, expr, fault) => {
    expect(faultsOf(expr, '').join('\n')).toMatch(fault);
  });

  test('the gate turns red on a legend or an alert that names what is not there', () => {
    const expr = 'sum by (page) (topclients_projector_lag_records)';
    expect(faultsOf(expr, '{{page}} {{shard}}')).toEqual([
      'its text names shard, which the result does not have',
    ]);
    expect(faultsOf(expr, 'of {{ $labels.delivery }}')).toHaveLength(1);
    expect(faultsOf(expr, '{{page}} of {{ $labels.page }}')).toEqual([]);
  });

  test('a variable that nobody gives a value is refused', () => {
    expect(() => substitute('topclients_outbox_pending{namespace="$nowhere"}')).toThrow(
      /\$nowhere has no value/,
    );
  });
});

describe('the catalogue', () => {
  const used = new Set(allExpressions().flatMap(({ expr }) => [...judge(substitute(expr)).names]));
  const isUsed = (name: MetricName) =>
    used.has(name) || ['bucket', 'sum', 'count'].some((part) => used.has(`${name}_${part}`));
  const names = Object.keys(METRICS) as MetricName[];

  test('each metric is asked for somewhere, or listed with the reason why not', () => {
    expect(names.filter((name) => !isUsed(name) && !UNUSED.has(name))).toEqual([]);
    expect([...UNUSED.keys()].filter(isUsed)).toEqual([]);
  });

  test('no metric can have more series in a process than a store should pay for', () => {
    for (const name of names) expect([name, seriesOf(name) <= MOST_SERIES]).toEqual([name, true]);
    // A label more, or one of a hundred values, and this would be noticed.
    expect(seriesOf('topclients_http_request_duration_seconds') * 100).toBeGreaterThan(MOST_SERIES);
  });

  test('each label has a bound, and no bound is of a label that nobody has', () => {
    const labels = new Set<string>(names.flatMap((name) => [...METRICS[name].labels]));
    expect(new Set(Object.keys(LABELS))).toEqual(labels);
  });
});
