import { seriesFromZero } from '#platform/metrics.ts';
import type { Metrics } from '#role/metrics.ts';
import type { SourceOutcome } from './answer.ts';
import type { Observer } from './transport.ts';

/** The label `result`: why there was no answer matters to who waits, less to who watches. */
const RESULTS = {
  ok: 'ok',
  unreachable: 'error',
  unknown: 'error',
  timeout: 'timeout',
  rejected: 'rejected',
  open: 'open',
} as const satisfies Record<Exclude<SourceOutcome, 'refused'>, string>;

/**
 * Counts the calls of a page to the source of truth.
 * @param refusedIs what a refusal counts as: a page has no answer then, a seller whose change is refused has one
 */
export function observePage(page: string, metrics: Metrics, refusedIs: 'ok' | 'error' = 'error'): Observer {
  const requests = metrics.counter('topclients_page_source_requests_total');
  const counted = {
    ok: requests.labels({ page, result: 'ok' }),
    error: requests.labels({ page, result: 'error' }),
    timeout: requests.labels({ page, result: 'timeout' }),
    rejected: requests.labels({ page, result: 'rejected' }),
    open: requests.labels({ page, result: 'open' }),
  };
  for (const counter of Object.values(counted)) counter.inc(0);
  const duration = seriesFromZero(metrics.histogram('topclients_page_source_request_duration_seconds'), {
    page,
  });
  const resent = metrics.counter('topclients_page_source_requests_resent_total').labels({ page });
  resent.inc(0);
  const open = metrics.gauge('topclients_page_breaker_open').labels({ page });
  open.set(0);
  return {
    ended(outcome, tookMs) {
      counted[outcome === 'refused' ? refusedIs : RESULTS[outcome]].inc();
      if (outcome !== 'open' && outcome !== 'rejected') duration.observe(tookMs / 1_000);
    },
    resent: () => resent.inc(),
    circuitOpened: () => open.set(1),
    circuitClosed: () => open.set(0),
  };
}
