import Counter from 'prom-client/lib/counter.js';
import Gauge from 'prom-client/lib/gauge.js';
import Histogram from 'prom-client/lib/histogram.js';
import Registry from 'prom-client/lib/registry.js';
import { openSeries } from './histogram-series.ts';
import { collectProcessMetrics } from './process-metrics.ts';

/** What opening a metric needs to know of it. */
interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper edges of a histogram. */
  readonly buckets?: readonly number[];
}
/** All metrics that a process may have, by name. */
export type Catalogue = Readonly<Record<string, MetricDefinition>>;

type NameOf<C extends Catalogue, T extends MetricDefinition['type']> = {
  [N in keyof C]: C[N]['type'] extends T ? N : never;
}[keyof C & string];
type LabelOf<C extends Catalogue, N extends keyof C> = C[N]['labels'][number];

/**
 * The metrics of one process: only what its catalogue names, each with the labels it names there. A labelled series
 * appears with its first use; initialise those an alert needs with `.inc(labels, 0)`. One that is opened again is the
 * same one: all servers of a process count in it.
 */
export interface MetricsOf<C extends Catalogue> {
  readonly registry: Registry;
  counter<N extends NameOf<C, 'counter'>>(name: N): Counter<LabelOf<C, N>>;
  /** @param collect called at every scrape, to set what is only worth knowing then */
  gauge<N extends NameOf<C, 'gauge'>>(
    name: N,
    collect?: (gauge: Gauge<LabelOf<C, N>>) => void,
  ): Gauge<LabelOf<C, N>>;
  histogram<N extends NameOf<C, 'histogram'>>(name: N): Histogram<LabelOf<C, N>>;
}

/**
 * @param processMetrics whether Node's own measurements are among them; they are unless told otherwise
 * @param registry of others, to which these metrics are added; absent: one of its own
 */
export function openCatalogue<const C extends Catalogue>(
  catalogue: C,
  {
    processMetrics = true,
    registry = new Registry(),
  }: { readonly processMetrics?: boolean; readonly registry?: Registry } = {},
): MetricsOf<C> {
  if (processMetrics) collectProcessMetrics(registry);
  const common = (name: string) => {
    const { help, labels } = catalogue[name]!;
    return { name, help, labelNames: [...labels], registers: [registry] };
  };
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
      const there = registry.getSingleMetric(name);
      if (there) return there as never;
      const histogram = new Histogram({ ...common(name), buckets: [...(catalogue[name]!.buckets ?? [])] });
      if (catalogue[name]!.labels.length === 0) {
        const observe = openSeries(histogram, {});
        // A timer of the library gives labels before the value: none.
        histogram.observe = ((first: number | object, value: number = first as number) =>
          observe(value)) as typeof histogram.observe;
      }
      return histogram as never;
    },
  };
}

/** One series of a histogram, there from now on: a ratio of rates has no value until both its series have begun. */
export function seriesFromZero<L extends string>(
  histogram: Histogram<L>,
  labels: Readonly<Record<L, string | number>>,
): { observe(value: number): void } {
  histogram.zero(labels);
  return { observe: openSeries(histogram as never, labels) };
}
