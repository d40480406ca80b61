import type { ViewId } from '#cdk8s/api/page-view.ts';
import type { ViewPage } from '#contracts/pages.ts';
import type { Metrics } from '#role/metrics.ts';

/** The operator's metrics, one method for each thing that happens. */
export interface OperatorMetrics {
  reconciled(kind: string, result: 'done' | 'again' | 'failed', seconds: number): void;
  /** @param depth asked at every scrape */
  watchQueue(depth: () => number): void;
  leads(leads: boolean): void;
  /** @param code HTTP status; 0: there was no answer */
  answered(verb: string, code: number): void;
  relisted(kind: string): void;
  /** @param shown what a page of somebody else shows; null for one that is gone */
  shows(page: ViewPage, shown: ViewId | null): void;
  /** Another operator tells what pages show from now on. */
  forgetPages(): void;
}

/** @param kinds those that are reconciled; their series start at 0, so that the first failure counts as an increase */
export function openOperatorMetrics(metrics: Metrics, kinds: readonly string[]): OperatorMetrics {
  const total = metrics.counter('topclients_operator_reconcile_total');
  const errors = metrics.counter('topclients_operator_reconcile_errors_total');
  const duration = metrics.histogram('topclients_operator_reconcile_duration_seconds');
  const leader = metrics.gauge('topclients_operator_leader');
  const requests = metrics.counter('topclients_operator_api_requests_total');
  const relists = metrics.counter('topclients_operator_informer_relists_total');
  const versions = metrics.gauge('topclients_external_page_view_version');
  let depth = () => 0;
  metrics.gauge('topclients_operator_queue_depth', (gauge) => gauge.set(depth()));
  leader.set(0);
  for (const kind of kinds) {
    for (const result of ['done', 'again', 'failed']) total.inc({ kind, result }, 0);
    errors.inc({ kind }, 0);
    duration.zero({ kind });
  }
  return {
    reconciled(kind, result, seconds) {
      total.inc({ kind, result });
      if (result === 'failed') errors.inc({ kind });
      duration.observe({ kind }, seconds);
    },
    watchQueue(ask) {
      depth = ask;
    },
    leads: (leads) => leader.set(leads ? 1 : 0),
    answered: (verb, code) => requests.inc({ verb, code: String(code) }),
    relisted: (kind) => relists.inc({ kind }),
    shows(page, shown) {
      for (const delivery of ['asynchronous', 'hybrid']) {
        if (delivery === shown?.delivery) versions.set({ page, delivery }, shown.version);
        else versions.remove({ page, delivery });
      }
    },
    forgetPages: () => versions.reset(),
  };
}
