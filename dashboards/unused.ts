import type { MetricName } from '#contracts/metrics.ts';

/** Metrics that neither a dashboard nor a rule asks for, each with the reason why it is exported all the same. */
export const UNUSED: ReadonlyMap<MetricName, string> = new Map<MetricName, string>([]);
