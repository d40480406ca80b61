import { badAt } from '../objectives.ts';
import { calc, max, min, quantile, rate, since, sum } from '../promql.ts';
import { type BoardSpec, type PanelSpec, rateUnitOf, series, unitOf } from './board.ts';

const latency = (share: number, title: string, limit?: number): PanelSpec => ({
  kind: 'lines',
  title,
  description:
    'From the request to the answer. Compare the deliveries: only some of them wait for the source.',
  unit: unitOf('topclients_page_render_duration_seconds'),
  ...(limit === undefined ? {} : { limits: { bad: limit } }),
  queries: [
    {
      expr: quantile(
        share,
        sum(
          rate(series('topclients_page_render_duration_seconds_bucket'), '$__rate_interval'),
          'le',
          'page',
          'delivery',
        ),
      ),
      legend: '{{page}} {{delivery}}',
    },
  ],
});

const failing = (
  objective: 'renders' | 'completeness',
  title: string,
  description: string,
  linksTo: 'pipeline' | 'consistency',
): PanelSpec => ({
  kind: 'lines',
  title,
  description: `${description} Over 5 minutes; the line is what the objective allows over 30 days.`,
  unit: 'percentunit',
  limits: { bad: badAt(objective) },
  queries: [
    {
      expr: max(series('topclients:objective_bad:ratio_5m', { objective }), 'page', 'delivery'),
      legend: '{{page}} {{delivery}}',
    },
  ],
  linksTo,
});

export const availability: BoardSpec = {
  name: 'availability',
  title: 'Top Clients: availability',
  description:
    'Do pages answer, with what, and how fast? Then what they depend on: the source of truth may fail without a page failing.',
  sections: [
    {
      title: 'What do pages answer?',
      height: 8,
      panels: [
        {
          kind: 'lines',
          title: 'Pages answered',
          description:
            'By page and delivery, whatever they showed. Refused: the reader asked for a version that nobody has (beyond), or too often for one that the page does not have (limited).',
          unit: rateUnitOf('topclients_page_renders_total'),
          queries: [
            {
              expr: sum(
                rate(series('topclients_page_renders_total'), '$__rate_interval'),
                'page',
                'delivery',
              ),
              legend: '{{page}} {{delivery}}',
            },
            {
              expr: sum(
                rate(series('topclients_page_min_version_refused_total'), '$__rate_interval'),
                'page',
                'result',
              ),
              legend: '{{page}} refused: {{result}}',
            },
          ],
        },
        failing(
          'renders',
          'Share of error pages',
          "The page's own database is what they need to answer at all.",
          'pipeline',
        ),
        failing(
          'completeness',
          'Share without the brands, or with old ones',
          'Missing: the source was needed and did not answer. Stale: a version was asked for that the view did not have, and the source did not answer.',
          'consistency',
        ),
      ],
    },
    {
      title: 'How fast?',
      height: 8,
      panels: [latency(0.5, 'p50 latency of pages'), latency(0.99, 'p99 latency of pages', 1)],
    },
    {
      title: "Which server of a page's database answers?",
      height: 7,
      panels: [
        {
          kind: 'lines',
          title: 'Reads by server',
          description:
            'The primary answers while it can. Replica: it did not in time, and nothing else was lost by that; look at its server, or at the load of it.',
          unit: rateUnitOf('topclients_page_database_reads_total'),
          stacked: true,
          colours: { primary: 'green', replica: 'orange' },
          queries: [
            {
              expr: sum(rate(series('topclients_page_database_reads_total'), '$__rate_interval'), 'server'),
              legend: '{{server}}',
            },
          ],
        },
        {
          kind: 'lines',
          title: 'Age of what the replica has',
          description:
            'How long ago the replica had all of the primary, by the server of the page that knows least. It grows while either does not answer. Beyond TC_REPLICA_LAG_MS of lag it is not read.',
          unit: unitOf('topclients_page_replica_current_timestamp_seconds'),
          queries: [
            {
              expr: since(
                calc(min(series('topclients_page_replica_current_timestamp_seconds'), 'page'), '>', 0),
              ),
              legend: '{{page}}',
            },
          ],
          emptyWhen: 'pages have no replica',
        },
      ],
    },
    {
      title: 'What do pages ask of the source of truth?',
      height: 7,
      panels: [
        {
          kind: 'lines',
          title: 'Calls to the source',
          description:
            'By result. timeout: beyond 150 ms. rejected: too many at once. open: the breaker kept them from the source. sent again: the source had closed the kept connection. An asynchronous page calls only for a version it does not have.',
          unit: rateUnitOf('topclients_page_source_requests_total'),
          stacked: true,
          colours: {
            ...{ ok: 'green', error: 'red', timeout: 'orange', rejected: 'purple', open: 'yellow' },
            'sent again': 'blue',
          },
          queries: [
            {
              expr: sum(rate(series('topclients_page_source_requests_total'), '$__rate_interval'), 'result'),
              legend: '{{result}}',
            },
            {
              expr: sum(rate(series('topclients_page_source_requests_resent_total'), '$__rate_interval')),
              legend: 'sent again',
            },
          ],
        },
        {
          kind: 'lines',
          title: 'Time of a call, 99 of 100',
          description:
            'Pages give up at 150 ms and go on without. The self-view has no list without, and waits longer.',
          unit: unitOf('topclients_page_source_request_duration_seconds'),
          limits: { bad: 0.15 },
          queries: [
            {
              expr: quantile(
                0.99,
                sum(
                  rate(series('topclients_page_source_request_duration_seconds_bucket'), '$__rate_interval'),
                  'le',
                  'page',
                ),
              ),
              legend: '{{page}}',
            },
          ],
          emptyWhen: 'nobody asked the source',
        },
        {
          kind: 'states',
          title: 'Circuit breakers',
          description:
            'Open: the source kept failing, and at least one server of the page does not ask it for now. Pages go on without.',
          unit: unitOf('topclients_page_breaker_open'),
          words: { 0: 'closed', 1: 'open', good: 0 },
          queries: [{ expr: max(series('topclients_page_breaker_open'), 'page'), legend: '{{page}}' }],
        },
      ],
    },
    {
      title: 'How is the source of truth?',
      height: 7,
      panels: [
        {
          kind: 'lines',
          title: 'Requests answered by the source, by status',
          description: '5xx: something on our side. 499: the caller left before the answer.',
          unit: rateUnitOf('topclients_http_requests_total'),
          stacked: true,
          queries: [
            {
              expr: sum(rate(series('topclients_http_requests_total'), '$__rate_interval'), 'status'),
              legend: '{{status}}',
            },
          ],
        },
        {
          kind: 'lines',
          title: 'Time to answer, 99 of 100, by route',
          description: 'From the complete request to the last byte.',
          unit: unitOf('topclients_http_request_duration_seconds'),
          limits: { bad: 0.15 },
          queries: [
            {
              expr: quantile(
                0.99,
                sum(
                  rate(series('topclients_http_request_duration_seconds_bucket'), '$__rate_interval'),
                  'le',
                  'method',
                  'route',
                ),
              ),
              legend: '{{method}} {{route}}',
            },
          ],
        },
      ],
    },
  ],
};
