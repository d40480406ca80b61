import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type LabelsOf, METRICS, type MetricName, type MetricOfType } from '#contracts/metrics.ts';

/**
 * The metrics of one process: only what the catalogue names, each with the labels it names there.
 * A labelled series appears with its first use; initialise those an alert needs with `.inc(labels, 0)`. Asked for again, a
 * counter or gauge is the one that is there: each server of a process counts in the same.
 */
export interface Metrics {
  readonly registry: Registry;
  counter<N extends MetricOfType<'counter'>>(name: N): Counter<LabelsOf<N>>;
  /** @param collect called at every scrape, to set what is only worth knowing then */
  gauge<N extends MetricOfType<'gauge'>>(
    name: N,
    collect?: (gauge: Gauge<LabelsOf<N>>) => void,
  ): Gauge<LabelsOf<N>>;
  histogram<N extends MetricOfType<'histogram'>>(name: N): Histogram<LabelsOf<N>>;
}

export function openMetrics(options: { processMetrics?: boolean } = {}): Metrics {
  const registry = new Registry();
  if (options.processMetrics ?? true) collectDefaultMetrics({ register: registry });
  const common = (name: MetricName) => ({
    name,
    help: METRICS[name].help,
    labelNames: [...METRICS[name].labels],
    registers: [registry],
  });
  return {
    registry,
    counter: (name) => (registry.getSingleMetric(name) ?? new Counter(common(name))) as never,
    gauge: (name, collect) => {
      const there = registry.getSingleMetric(name);
      if (there && !collect) return there as never;
      const gauge: Gauge = new Gauge({
        ...common(name),
        ...(collect ? { collect: () => collect(gauge as never) } : {}),
      });
      return gauge as never;
    },
    histogram: (name) => {
      const definition = METRICS[name] as { buckets?: readonly number[] };
      return new Histogram({ ...common(name), buckets: [...(definition.buckets ?? [])] }) as never;
    },
  };
}

/** One series of a histogram, there from now on: a ratio of rates has no value until both its series have begun. */
export function seriesFromZero<L extends string>(
  histogram: Histogram<L>,
  labels: Readonly<Record<L, string | number>>,
): Histogram.Internal<L> {
  histogram.zero(labels);
  return histogram.labels(labels);
}
