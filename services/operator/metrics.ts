import { ViewId } from '#cdk8s/api/page-view.ts';
import type { ViewPage } from '#contracts/pages.ts';
import type { Metrics } from '#role/metrics.ts';

/** The operator's metrics, one method for each thing that happens. */
export interface OperatorMetrics {
  reconciled(kind: string, result: 'done' | 'again' | 'failed', seconds: number): void;
  /** @param depth asked at every scrape */
  watchQueue(depth: () => number): void;
  leads(namespace: string, leads: boolean): void;
  /** @param other who leads there in place of this operator; null when nobody does */
  ledBy(namespace: string, other: string | null): void;
  /** @param code HTTP status; 0: there was no answer */
  answered(verb: string, code: number): void;
  relisted(kind: string): void;
  /** @param shown what a page of somebody else shows; null for one that is gone */
  shows(namespace: string, page: ViewPage, shown: ViewId | null): void;
  /** Another operator tells what pages show from now on. */
  forgetPages(namespace: string): void;
  /** It is not worked in any more. */
  forget(namespace: string): void;
}

/** @param kinds those that are reconciled; their series start at 0, so that the first failure counts as an increase */
export function openOperatorMetrics(metrics: Metrics, kinds: readonly string[]): OperatorMetrics {
  const total = metrics.counter('topclients_operator_reconcile_total');
  const errors = metrics.counter('topclients_operator_reconcile_errors_total');
  const duration = metrics.histogram('topclients_operator_reconcile_duration_seconds');
  const leader = metrics.gauge('topclients_operator_leader');
  const overlap = metrics.gauge('topclients_operator_overlap');
  const requests = metrics.counter('topclients_operator_api_requests_total');
  const relists = metrics.counter('topclients_operator_informer_relists_total');
  const versions = metrics.gauge('topclients_external_page_view_version');
  /** What each namespace's pages show. */
  const shows = new Map<string, Set<ViewPage>>();
  const forgetPage = (namespace: string, page: ViewPage) => {
    for (const delivery of ViewId.shape.delivery.options) versions.remove({ namespace, page, delivery });
  };
  const forgetPages = (namespace: string) => {
    for (const page of shows.get(namespace) ?? []) forgetPage(namespace, page);
    shows.delete(namespace);
  };
  let depth = () => 0;
  metrics.gauge('topclients_operator_queue_depth', (gauge) => gauge.set(depth()));
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
    leads: (namespace, leads) => leader.set({ namespace }, leads ? 1 : 0),
    ledBy: (namespace, other) => overlap.set({ namespace }, other === null ? 0 : 1),
    answered: (verb, code) => requests.inc({ verb, code: String(code) }),
    relisted: (kind) => relists.inc({ kind }),
    shows(namespace, page, shown) {
      forgetPage(namespace, page);
      if (shown === null) return;
      shows.set(namespace, new Set([...(shows.get(namespace) ?? []), page]));
      versions.set({ namespace, page, delivery: shown.delivery }, shown.version);
    },
    forgetPages,
    forget(namespace) {
      leader.remove({ namespace });
      overlap.remove({ namespace });
      forgetPages(namespace);
    },
  };
}
