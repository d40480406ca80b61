/** A sample that a role exports at `/metrics`. */
export interface Sample {
  /** The text between the braces; '' without labels. */
  readonly labels: string;
  readonly value: number;
}

/** The samples of a metric in a role's `/metrics` text. */
export function seriesIn(text: string, metric: string): Sample[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `))
    .map((line) => {
      const at = line.lastIndexOf(' ');
      return { labels: line.slice(metric.length + 1, at - 1), value: Number(line.slice(at + 1)) };
    });
}

export const sum = (samples: readonly Sample[]): number =>
  samples.reduce((total, { value }) => total + value, 0);
