import type { Metrics } from '#role/metrics.ts';
import type { WatchObserver } from './watch.ts';
import type { CanaryObserver } from './watch-canary.ts';

export interface WatchMetrics extends WatchObserver, CanaryObserver {
  /**
   * Of a view that is kept for a rollback. Its own is only how many sellers differ: when the shown one was compared, and
   * what it is like, must not be hidden by it.
   * @param view as `asynchronous-v1`
   */
  ofKept(view: string): WatchObserver;
}

/** The watcher's metrics, every series present from the start. */
export function openWatchMetrics(metrics: Metrics, page: string): WatchMetrics {
  const sellers = metrics.gauge('topclients_consistency_compared_sellers');
  const divergent = metrics.gauge('topclients_consistency_divergent_sellers');
  const at = metrics.gauge('topclients_consistency_compared_timestamp_seconds');
  const duration = metrics.histogram('topclients_consistency_comparison_duration_seconds');
  const repairs = metrics.counter('topclients_consistency_repairs_total');
  const ofKept = metrics.gauge('topclients_consistency_kept_divergent_sellers');
  const unhealed = metrics.gauge('topclients_consistency_unhealed_sellers');
  const errors = metrics.counter('topclients_consistency_errors_total');
  const delay = metrics.histogram('topclients_canary_delay_seconds');
  const seen = metrics.gauge('topclients_canary_seen_timestamp_seconds');
  for (const gauge of [sellers, divergent, at, unhealed, seen]) gauge.set({ page }, 0);
  for (const counter of [repairs, errors]) counter.inc({ page }, 0);
  for (const histogram of [duration, delay]) histogram.zero({ page });
  return {
    compared(compared, differing, tookMs) {
      sellers.set({ page }, compared);
      divergent.set({ page }, differing);
      at.set({ page }, Date.now() / 1_000);
      duration.observe({ page }, tookMs / 1_000);
    },
    repaired: (count) => repairs.inc({ page }, count),
    unhealed: (count) => unhealed.set({ page }, count),
    failed: () => errors.inc({ page }),
    arrived: (delayMs) => delay.observe({ page }, delayMs / 1_000),
    seen: (committedAt) => seen.set({ page }, committedAt / 1_000),
    ofKept(view) {
      ofKept.set({ page, view }, 0);
      return {
        compared: (_, differing) => ofKept.set({ page, view }, differing),
        repaired: (count) => repairs.inc({ page }, count),
        // What does not heal is in the log, and stays in how many differ.
        unhealed: () => {},
        failed: () => errors.inc({ page }),
      };
    },
  };
}
