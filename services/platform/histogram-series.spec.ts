import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Histogram, Registry } from 'prom-client';
import { openSeries } from './histogram-series.ts';
import { openCatalogue } from './metrics.ts';

const BUCKETS = [0.005, 0.1, 1, 10];
const open = (registry: Registry, labels: readonly string[]) =>
  new Histogram({
    ...{ name: 'took_seconds', help: 'how long it took', buckets: BUCKETS },
    ...{ registers: [registry], labelNames: [...labels] },
  });

test('tells what the library itself tells, asked at any time, whatever was reset', async () => {
  const values = fc.oneof(fc.double({ noNaN: true, min: -1, max: 20 }), fc.constantFrom(0, ...BUCKETS));
  const pages = fc.constantFrom({ page: 'gig' }, { page: 'user', kind: 1 }, { page: 'user' });
  const steps = fc.array(
    fc.oneof({ weight: 6, arbitrary: fc.tuple(pages, values) }, fc.constantFrom('ask', 'text', 'reset')),
  );
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const [mine, theirs] = [new Registry(), new Registry()];
      const [ours, library] = [open(mine, ['page', 'kind']), open(theirs, ['page', 'kind'])];
      const series = new Map<string, (value: number) => void>();
      for (const step of [...all, 'ask'] as const) {
        if (step === 'ask')
          expect(sorted(await mine.getMetricsAsJSON())).toEqual(sorted(await theirs.getMetricsAsJSON()));
        else if (step === 'text') expect((await mine.metrics()).length > 0).toBe(true);
        else if (step === 'reset') for (const one of [ours, library]) one.reset();
        else {
          const [labels, value] = step as [Record<string, string>, number];
          const key = JSON.stringify(labels);
          if (!series.has(key)) series.set(key, openSeries(ours, labels));
          series.get(key)!(value);
          library.observe(labels, value);
        }
      }
    }),
  );
});

/** Series come in the order in which the library learnt of them, and sums are added up in another order. */
const sorted = (metrics: unknown) =>
  (metrics as { values: { value: number }[] }[])
    .flatMap(({ values }) => values)
    .map((one) => JSON.stringify({ ...one, value: Number(one.value.toPrecision(9)) }))
    .sort();

test('two series of the same labels are one', async () => {
  const registry = new Registry();
  const histogram = open(registry, ['page']);
  for (const observe of [openSeries(histogram, { page: 'gig' }), openSeries(histogram, { page: 'gig' })])
    observe(1);
  expect(await registry.metrics()).toContain('took_seconds_count{page="gig"} 2');
});

test('a library that looks different is asked to count by itself', () => {
  const told: unknown[] = [];
  const other = { observe: (...one: unknown[]) => told.push(one) } as unknown as Histogram;
  openSeries(other, { page: 'gig' })(3);
  expect(told).toEqual([[{ page: 'gig' }, 3]]);
});

test('refuses what is no number', () => {
  const observe = openSeries(open(new Registry(), []), {});
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, undefined, '1'])
    expect(() => observe(value as number)).toThrow(TypeError);
});

test('a histogram of the catalogue without labels is observed and timed as the library does', async () => {
  const { registry, histogram } = openCatalogue(
    { took_seconds: { type: 'histogram', help: 'how long it took', labels: [], buckets: BUCKETS } },
    { processMetrics: false },
  );
  histogram('took_seconds');
  expect(await registry.metrics()).toContain('took_seconds_count 0');
  histogram('took_seconds').observe(3);
  histogram('took_seconds').startTimer()();
  expect(await registry.metrics()).toContain('took_seconds_count 2');
});
