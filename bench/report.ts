/** The table: each figure with minimum, median and maximum over the runs, its target and the verdict. */

export interface Figure {
  readonly name: string;
  readonly unit: string;
  /** The target, or Debezium's figure; null without a target. */
  readonly target: { readonly least?: number; readonly most?: number } | null;
  /** The figure of a well-tuned Debezium 3.7 on such a machine. */
  readonly debezium?: string;
  readonly values: readonly number[];
}

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

/** Judged by the median; null without a target. */
export function isReached({ target, values }: Figure): boolean | null {
  if (target === null) return null;
  const value = median(values);
  return value >= (target.least ?? -Infinity) && value <= (target.most ?? Infinity);
}

/** Three significant digits, or all before the decimal point. */
export const show = (value: number) =>
  value >= 1_000
    ? Math.round(value).toLocaleString('en-US')
    : value >= 100
      ? value.toFixed(0)
      : value >= 10
        ? value.toFixed(1)
        : value.toFixed(2);

/** `≤ 5`; empty without a target. */
export const targetOf = ({ target }: Pick<Figure, 'target'>): string =>
  target?.most !== undefined
    ? `≤ ${target.most.toLocaleString('en-US')}`
    : target?.least !== undefined
      ? `≥ ${target.least.toLocaleString('en-US')}`
      : '';

/** A Markdown table. */
export function table(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const { name, unit, debezium = '', values } = figure;
    const reached = isReached(figure);
    return [
      name,
      unit,
      show(Math.min(...values)),
      show(median(values)),
      show(Math.max(...values)),
      targetOf(figure),
      debezium,
      reached === null ? '' : reached ? 'reached' : 'MISSED',
    ];
  });
  const head = ['figure', 'unit', 'min', 'median', 'max', 'target', 'Debezium', ''];
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
