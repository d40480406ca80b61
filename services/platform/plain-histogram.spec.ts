import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Histogram, Registry } from 'prom-client';
import { openPlainHistogram } from './plain-histogram.ts';

const options = (registry: Registry) => ({
  ...{ name: 'took_seconds', help: 'how long it took', registers: [registry] },
  buckets: [0.005, 0.1, 1, 10],
});

test('tells what the library’s own histogram tells, asked at any time', async () => {
  const values = fc.oneof(
    fc.double({ noNaN: true, min: -1, max: 20 }),
    fc.constantFrom(0, 0.005, 0.1, 1, 10),
  );
  const steps = fc.array(fc.oneof({ weight: 5, arbitrary: values }, fc.constantFrom('ask', 'reset')));
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const [mine, theirs] = [new Registry(), new Registry()];
      const plain = openPlainHistogram(options(mine));
      const library = new Histogram(options(theirs));
      for (const step of [...all, 1, 'ask']) {
        if (step === 'ask') {
          const [ours, expected] = [await mine.getMetricsAsJSON(), await theirs.getMetricsAsJSON()];
          // Sums are added up in another order.
          const rounded = (one: unknown) =>
            JSON.stringify(one, (_, value) => (typeof value === 'number' ? value.toPrecision(9) : value));
          expect(rounded(ours)).toBe(rounded(expected));
          expect((await mine.metrics()).split('\n').length).toBe((await theirs.metrics()).split('\n').length);
        } else if (step === 'reset') {
          for (const one of [plain, library]) {
            one.reset();
            one.zero({});
          }
        } else {
          plain.observe(step as number);
          library.observe(step as number);
        }
      }
    }),
  );
});

test('refuses what is no number', () => {
  const plain = openPlainHistogram(options(new Registry()));
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, undefined, '1'])
    expect(() => plain.observe(value as number)).toThrow(TypeError);
});

test('times as the library does', async () => {
  const registry = new Registry();
  const plain = openPlainHistogram(options(registry));
  plain.startTimer()();
  expect(await registry.metrics()).toContain('took_seconds_count 1');
});
