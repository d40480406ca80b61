/** The last measurements of something, and their quantiles. */
export class Window {
  readonly #size: number;
  readonly #values: number[] = [];

  /** @param size how many values are kept; older ones are dropped */
  constructor(size: number) {
    this.#size = size;
  }

  add(value: number): void {
    this.#values.push(value);
    if (this.#values.length > this.#size) this.#values.shift();
  }

  /** Oldest first. */
  get values(): readonly number[] {
    return this.#values;
  }

  /**
   * The smallest value that at least this share of the values does not exceed (nearest rank). It is always a measured
   * value.
   * @param share above 0, at most 1
   * @returns null without values
   */
  quantile(share: number): number | null {
    if (this.#values.length === 0) return null;
    const sorted = this.#values.toSorted((a, b) => a - b);
    return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
  }
}

/**
 * The quotient of two counters over the last period, for example calls a render. A counter that decreased was reset by
 * a restart; counting then starts again.
 */
export class Ratio {
  readonly #seen: { readonly at: number; readonly part: number; readonly whole: number }[] = [];
  readonly #spanMs: number;

  constructor(spanMs: number) {
    this.#spanMs = spanMs;
  }

  add(at: number, part: number, whole: number): void {
    const last = this.#seen.at(-1);
    if (last && (part < last.part || whole < last.whole)) this.#seen.length = 0;
    this.#seen.push({ at, part, whole });
    while (this.#seen.length > 2 && this.#seen[0]!.at < at - this.#spanMs) this.#seen.shift();
  }

  /** Null while the divisor has not changed. */
  get value(): number | null {
    const first = this.#seen[0];
    const last = this.#seen.at(-1);
    if (!first || !last || last.whole === first.whole) return null;
    return (last.part - first.part) / (last.whole - first.whole);
  }
}

/**
 * The sum of the samples of a counter in Prometheus' text format.
 * @param labels only samples with one of these pairs, as written in the text; all samples when absent
 */
export function sumOfCounter(metrics: string, name: string, labels?: readonly string[]): number {
  let sum = 0;
  for (const line of metrics.split('\n')) {
    if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
    if (labels && !labels.some((label) => line.includes(label))) continue;
    sum += Number(line.slice(line.lastIndexOf(' ') + 1));
  }
  return sum;
}
