import type { Metrics } from '#role/metrics.ts';
import type { WatchObserver } from './watch.ts';
import type { CanaryObserver } from './watch-canary.ts';

export interface WatchMetrics extends WatchObserver, CanaryObserver {
  /**
   * The observer of a view that is kept for a rollback. Of its own it has only the number of differing sellers; its
   * repairs and errors are counted with those of the shown view. When and with what result the shown view was compared
   * must not be overwritten.
   * @param view for example `asynchronous-v1`
   */
  ofKept(view: string): WatchObserver;
}

/** The watcher's metrics, with every series present from the start. */
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
        // Unhealed rows are in the log, and still count as differing.
        unhealed: () => {},
        failed: () => errors.inc({ page }),
      };
    },
  };
}
