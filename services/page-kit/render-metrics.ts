import type { Delivery, Outcome } from '#contracts/delivery.ts';
import type { ViewPage } from '#contracts/pages.ts';
import { ageOf, type ShownList } from '#pages/page.ts';
import { seriesFromZero } from '#platform/metrics.ts';
import type { Metrics } from '#role/metrics.ts';
import type { Undelivered } from './deliver.ts';

/** What is counted of the renders of a page. */
export interface RenderMetrics {
  /** @param ms from the request to the answer */
  rendered(outcome: Outcome, ms: number): void;
  /** The page could not be rendered at all. */
  failed(ms: number): void;
  refused(why: Undelivered['undelivered']): void;
  /** By how much the lists that were shown are behind; only of those that are stale. */
  stale(shown: Iterable<ShownList>, now: number): void;
}

/** The metrics of a page, looked up once. */
export function openRenderMetrics(page: ViewPage, delivery: Delivery, metrics: Metrics): RenderMetrics {
  const labels = { page, delivery };
  const renders = metrics.counter('topclients_page_renders_total');
  const duration = seriesFromZero(metrics.histogram('topclients_page_render_duration_seconds'), labels);
  const staleness = seriesFromZero(metrics.histogram('topclients_page_staleness_seconds'), labels);
  const counted = {
    full: renders.labels({ ...labels, outcome: 'full' }),
    missing: renders.labels({ ...labels, outcome: 'missing' }),
    stale: renders.labels({ ...labels, outcome: 'stale' }),
    error: renders.labels({ ...labels, outcome: 'error' }),
  };
  for (const counter of Object.values(counted)) counter.inc(0);
  const refusals = metrics.counter('topclients_page_min_version_refused_total');
  for (const result of ['beyond', 'limited'] as const) refusals.inc({ page, result }, 0);
  return {
    refused: (result) => refusals.inc({ page, result }),
    rendered(outcome, ms) {
      counted[outcome].inc();
      duration.observe(ms / 1_000);
    },
    failed(ms) {
      counted.error.inc();
      duration.observe(ms / 1_000);
    },
    stale(shown, now) {
      for (const one of shown) {
        const age = ageOf(one, now);
        if (one.outcome === 'stale' && age !== null) staleness.observe(age / 1_000);
      }
    },
  };
}
