import type { Histogram } from 'prom-client';

type Labels = Readonly<Record<string, string | number>>;

/** What is used of the library's inside. */
interface Inside {
  readonly upperBounds: readonly number[];
  hashMap: Record<string, Counted>;
  get(): Promise<unknown>;
  getForPromString?(): Promise<unknown>;
}
interface Counted {
  readonly labels: Labels;
  sum: number;
  count: number;
  readonly bucketValues: Record<number, number>;
}

/** What the library has not learnt of yet. */
class Unpoured {
  readonly labels: Labels;
  readonly #bounds: readonly number[];
  /** How many values were in each bucket, behind the last those above all. */
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(labels: Labels, bounds: readonly number[]) {
    this.labels = labels;
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    if (!Number.isFinite(value)) throw new TypeError(`${value} is no number to observe`);
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket += 1;
    this.#counts[bucket]! += 1;
    this.#sum += value;
  }

  get isEmpty(): boolean {
    return this.#counts.every((count) => count === 0);
  }

  pourInto(series: Counted): void {
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      const count = this.#counts[bucket]!;
      const bound = this.#bounds[bucket];
      series.count += count;
      if (bound !== undefined) series.bucketValues[bound]! += count;
    }
    series.sum += this.#sum;
    this.forget();
  }

  forget(): void {
    this.#counts.fill(0);
    this.#sum = 0;
  }
}

const unpouredOf = new WeakMap<object, Unpoured[]>();

/**
 * One series of a histogram, for what is observed hundreds of times a second. The library checks labels, hashes them and makes
 * texts of numbers at every value, which took a fifteenth of a busy process's time. Here a value is counted in an array, and
 * the library learns of it when it is asked.
 * @param labels all that the histogram has
 * @returns to be told of a value. @throws TypeError for what is no finite number
 */
export function openSeries(histogram: Histogram, labels: Labels): (value: number) => void {
  const inside = histogram as unknown as Inside;
  // A page of others brings the library, in a version of its own.
  if (!Array.isArray(inside.upperBounds) || typeof inside.hashMap !== 'object') {
    const theirs = histogram.observe.bind(histogram);
    return (value) => theirs(labels as never, value);
  }
  const unpoured = new Unpoured(labels, inside.upperBounds);
  const known = unpouredOf.get(histogram);
  if (known === undefined) pourWhenAsked(histogram, [unpoured]);
  else known.push(unpoured);
  return (value) => unpoured.observe(value);
}

function pourWhenAsked(histogram: Histogram, all: Unpoured[]): void {
  unpouredOf.set(histogram, all);
  const inside = histogram as unknown as Inside;
  const seriesOf = (labels: Labels) =>
    Object.values(inside.hashMap).find((one) => isSame(one.labels, labels));
  const pour = () => {
    for (const one of all) {
      if (one.isEmpty) continue;
      if (seriesOf(one.labels) === undefined) histogram.zero(one.labels as never);
      one.pourInto(seriesOf(one.labels)!);
    }
  };
  for (const ask of ['get', 'getForPromString'] as const) {
    const theirs = inside[ask]?.bind(histogram);
    if (theirs === undefined) continue;
    inside[ask] = () => {
      pour();
      return theirs();
    };
  }
  const reset = histogram.reset.bind(histogram);
  histogram.reset = () => {
    for (const one of all) one.forget();
    reset();
  };
}

const isSame = (one: Labels, other: Labels): boolean => {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
};
