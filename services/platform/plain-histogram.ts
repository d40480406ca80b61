import type { HistogramConfiguration } from 'prom-client';
import Histogram from 'prom-client/lib/histogram.js';

/** What is used of the library's inside. */
interface Inside {
  hashMap: Record<string, { sum: number; count: number; bucketValues: Record<number, number> }>;
  getForPromString(): Promise<unknown>;
}
/** The library's key of a series without labels. */
const NO_LABELS = '';

/**
 * A histogram without labels, for what is observed hundreds of times a second. The library's own checks labels, hashes them
 * and makes texts of numbers at every value, which took a fifteenth of a busy process's time. Here a value is counted in an array,
 * and the library learns of it when it is asked.
 */
export function openPlainHistogram(
  options: HistogramConfiguration<never> & { readonly buckets: number[] },
): Histogram {
  const histogram = new Histogram(options);
  const inside = histogram as unknown as Inside;
  const bounds = options.buckets;
  // What the library has not learnt of yet: how many values were in each bucket, behind the last those above all.
  const counts = new Float64Array(bounds.length + 1);
  let sum = 0;
  const forget = () => {
    counts.fill(0);
    sum = 0;
  };
  const pour = () => {
    if (inside.hashMap[NO_LABELS] === undefined) histogram.zero({});
    const series = inside.hashMap[NO_LABELS]!;
    for (let bucket = 0; bucket < counts.length; bucket++) {
      series.count += counts[bucket]!;
      const bound = bounds[bucket];
      if (bound !== undefined) series.bucketValues[bound]! += counts[bucket]!;
    }
    series.sum += sum;
    forget();
  };

  // A timer of the library gives labels before the value: none.
  histogram.observe = ((first: number | object, value: number = first as number) => {
    if (!Number.isFinite(value)) throw new TypeError(`${value} is no number to observe`);
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket += 1;
    counts[bucket]! += 1;
    sum += value;
  }) as typeof histogram.observe;
  const tell = inside.getForPromString.bind(histogram);
  inside.getForPromString = () => {
    pour();
    return tell();
  };
  const reset = histogram.reset.bind(histogram);
  histogram.reset = () => {
    forget();
    reset();
  };
  return histogram;
}
