import { METRICS } from '#contracts/metrics.ts';
import { type MetricsOf, openCatalogue } from '#platform/metrics.ts';

/** The metrics of one process of ours. */
export type Metrics = MetricsOf<typeof METRICS>;

/** @param options of tests that look at a few metrics: without Node's own */
export const openMetrics = (options: { readonly processMetrics?: boolean } = {}): Metrics =>
  openCatalogue(METRICS, options);
