import { expect, test } from '@jest/globals';
import { judge } from '../../../dashboards/testing/promql-gate.ts';
import { picture, roundUp, SIZE, scaleOf } from './plot-picture.ts';
import { inWords, legendOf } from './plot-words.ts';
import { PLOTS, type Plot } from './plots.ts';

test.each(PLOTS.map((plot) => [plot.id, plot] as const))('%s asks only for what there is', (_id, plot) => {
  for (const { expr, legend } of plot.queries) {
    const { faults, labels } = judge(expr.text);
    expect(faults).toEqual([]);
    for (const [, label] of legend.matchAll(/\{\{(\w+)\}\}/g)) expect([...labels]).toContain(label);
  }
});

test('every plot has an id of its own', () => {
  expect(new Set(PLOTS.map(({ id }) => id)).size).toBe(PLOTS.length);
});

test('a value is written with its unit, in three digits', () => {
  expect([0, 0.00042, 0.0123, 1.24, 75.26, 600].map((value) => inWords(value, 'seconds'))).toEqual([
    '0 s',
    '420 µs',
    '12.3 ms',
    '1.2 s',
    '75.3 s',
    '10 min',
  ]);
  expect(inWords(0.995, 'share')).toBe('99.5 %');
  expect(inWords(12_345.6, 'count')).toBe('12,346');
  expect(legendOf('{{page}} {{delivery}}', { page: 'gig' })).toBe('gig');
});

test('the scale ends at a round number above the curves', () => {
  expect([0.3, 1, 1.1, 3, 7, 9, 42, 1_000].map(roundUp)).toEqual([0.4, 1, 2, 4, 8, 10, 60, 1_000]);
});

const lag: Plot = PLOTS.find(({ id }) => id === 'lag-seconds')!;
const line = (...values: (number | null)[]) => [{ label: 'gig', look: 'is-gig', values }];

test('a limit far above the curves stays outside, and comes in before they reach it', () => {
  expect(scaleOf(lag, line(0.2, 0.1)).limits).toEqual([]);
  const near = scaleOf(lag, line(0, 2));
  expect(near.limits).toMatchObject([{ at: 5 }]);
  expect(near.limits[0]!.y).toBeGreaterThan(0);
  expect(near.limits[0]!.y).toBeLessThan(near.y(2));
});

test('where there is no value there is no line, and a lone value can be seen', () => {
  const lines = line(1, 1, null, 1);
  const [, path] = /curve-line.* d="(.*?)"/.exec(picture(scaleOf(lag, lines), lines))!;
  expect(path).toMatch(new RegExp(`^M0\\.0 \\S+L100\\.0 \\S+M${SIZE.width}\\.0 \\S+h\\.1$`));
});

test('on a logarithmic scale ten times more is the same step, and zero is at the bottom', () => {
  const plot = PLOTS.find(({ id }) => id === 'latency-most')!;
  const { y } = scaleOf(plot, line(0.002, 0.2));
  expect(y(0.01) - y(0.1)).toBeCloseTo(y(0.1) - y(1));
  expect(y(0)).toBe(SIZE.height);
});
