import { calc, count, increase, max, quantile, rate, sum } from '../promql.ts';
import { type BoardSpec, rateUnitOf, series, unitOf } from './board.ts';

export const operator: BoardSpec = {
  name: 'operator',
  title: 'Top Clients: operator',
  description:
    'Does the operator act, on what, and does the API server let it? What runs goes on running without it. Empty where no operator runs, as on one machine.',
  sections: [
    {
      title: 'Does it act?',
      height: 6,
      panels: [
        {
          kind: 'states',
          title: 'Does one lead?',
          description: 'In each namespace one operator holds the lease and acts; the others stand by.',
          unit: unitOf('topclients_operator_leader'),
          words: { 0: 'nobody', 1: 'led', good: 1 },
          queries: [
            { expr: max(series('topclients_operator_leader'), 'namespace'), legend: '{{namespace}}' },
          ],
        },
        {
          kind: 'lines',
          title: 'Waiting for a worker',
          description:
            'Objects in the queue. A line that does not come down: reconciles hang or are too many.',
          unit: unitOf('topclients_operator_queue_depth'),
          queries: [{ expr: max(series('topclients_operator_queue_depth'), 'pod'), legend: '{{pod}}' }],
        },
        {
          kind: 'lines',
          title: 'Views that pages show',
          description:
            'Version of the view that servers of a page read; two lines of a page while they switch.',
          unit: unitOf('topclients_page_view_version'),
          decimals: 0,
          queries: [
            {
              expr: max(series('topclients_page_view_version'), 'page', 'delivery'),
              legend: '{{page}} {{delivery}}',
            },
          ],
          linksTo: 'consistency',
        },
        {
          kind: 'lines',
          title: 'Processes by version',
          description: 'What runs. During an upgrade there are two versions, after it one.',
          unit: unitOf('topclients_build_info'),
          stacked: true,
          decimals: 0,
          queries: [{ expr: count(series('topclients_build_info'), 'version'), legend: '{{version}}' }],
        },
      ],
    },
    {
      title: 'What does it do?',
      height: 8,
      panels: [
        {
          kind: 'lines',
          title: 'Reconciles',
          description:
            'By kind and result. again: it asked to be called again, as it does once a minute where nothing moves, to look at secrets.',
          unit: rateUnitOf('topclients_operator_reconcile_total'),
          queries: [
            {
              expr: sum(
                rate(series('topclients_operator_reconcile_total'), '$__rate_interval'),
                'kind',
                'result',
              ),
              legend: '{{kind}} {{result}}',
            },
          ],
        },
        {
          kind: 'lines',
          title: 'Failed reconciles',
          description:
            'In 5 minutes. They are tried again with growing pauses; kubectl describe tells the reason.',
          unit: unitOf('topclients_operator_reconcile_errors_total'),
          limits: { bad: 5 },
          queries: [
            {
              expr: sum(increase(series('topclients_operator_reconcile_errors_total'), '5m'), 'kind'),
              legend: '{{kind}}',
            },
          ],
        },
        {
          kind: 'lines',
          title: 'Time of a reconcile, 99 of 100',
          description: 'A reconcile is a handful of calls; one that waits out a deadline takes 10 s.',
          unit: unitOf('topclients_operator_reconcile_duration_seconds'),
          limits: { bad: 10 },
          queries: [
            {
              expr: quantile(
                0.99,
                sum(
                  rate(series('topclients_operator_reconcile_duration_seconds_bucket'), '$__rate_interval'),
                  'le',
                  'kind',
                ),
              ),
              legend: '{{kind}}',
            },
          ],
        },
        {
          kind: 'states',
          title: 'Whose is it?',
          description:
            'Where two installations are to work in the same namespace, one leads and the other waits; the condition Degraded of the TopClients names both.',
          unit: unitOf('topclients_operator_overlap'),
          words: { 0: 'its own', 1: "another's", good: 0 },
          queries: [
            { expr: max(series('topclients_operator_overlap'), 'namespace'), legend: '{{namespace}}' },
          ],
        },
      ],
    },
    {
      title: 'Does the API server let it?',
      height: 7,
      panels: [
        {
          kind: 'lines',
          title: 'Requests to the API server',
          description: 'By verb. An operator at rest asks for little.',
          unit: rateUnitOf('topclients_operator_api_requests_total'),
          queries: [
            {
              expr: sum(rate(series('topclients_operator_api_requests_total'), '$__rate_interval'), 'verb'),
              legend: '{{verb}}',
            },
          ],
        },
        {
          kind: 'lines',
          title: 'Refused or unanswered',
          description:
            'In 5 minutes, by verb and status. 403: a right is missing. 409: a conflict, resolved by trying again. 0: no answer.',
          unit: unitOf('topclients_operator_api_requests_total'),
          queries: [
            {
              expr: calc(
                sum(
                  increase(
                    series('topclients_operator_api_requests_total', { code: { notRe: '2..' } }),
                    '5m',
                  ),
                  'verb',
                  'code',
                ),
                '>',
                0,
              ),
              legend: '{{verb}} {{code}}',
            },
          ],
          emptyWhen: 'every request was granted',
        },
        {
          kind: 'lines',
          title: 'Lists made anew',
          description:
            'In 5 minutes, because a watch could not be resumed. Some after an upgrade of the API server are normal.',
          unit: unitOf('topclients_operator_informer_relists_total'),
          queries: [
            {
              expr: sum(increase(series('topclients_operator_informer_relists_total'), '5m'), 'kind'),
              legend: '{{kind}}',
            },
          ],
          emptyWhen: 'every watch was resumed',
        },
      ],
    },
  ],
};
