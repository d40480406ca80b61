import { LIMITS } from '../objectives.ts';
import { calc, max, min, rate, since, sum } from '../promql.ts';
import { type BoardSpec, rateUnitOf, series, unitOf } from './board.ts';

export const callers: BoardSpec = {
  name: 'callers',
  title: 'Top Clients: callers',
  description: 'Who calls, who is let in, who is turned away, and what they hold of our servers.',
  sections: [
    {
      title: 'Who calls the source of truth?',
      height: 7,
      panels: [
        {
          kind: 'lines',
          title: 'Who calls the source',
          description:
            'Pages by their credential, sellers who are signed in, strangers. unknown: a credential that no key made; proxy: strangers behind a proxy that is not trusted, who share one limit.',
          unit: rateUnitOf('topclients_source_senders_total'),
          queries: [
            {
              expr: sum(rate(series('topclients_source_senders_total'), '$__rate_interval'), 'sender'),
              legend: '{{sender}}',
            },
          ],
        },
        {
          kind: 'lines',
          title: 'Refused by a rate limit',
          description:
            'By what was limited: seller (changes of one), signed-in (their requests), page (one of ours), address. Sellers are people; addresses may be attacks, or pages that the source does not know.',
          unit: rateUnitOf('topclients_rate_limited_total'),
          queries: [
            {
              expr: sum(rate(series('topclients_rate_limited_total'), '$__rate_interval'), 'limit'),
              legend: '{{limit}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Are sellers let in?',
      height: 7,
      panels: [
        {
          kind: 'lines',
          title: 'Tokens judged, by result',
          description:
            'By the source and the self-view. unavailable: the keys to judge by could not be had. Many invalid ones after a change of settings: issuer, audience, algorithms or the claim of the seller do not fit what the identity provider writes.',
          unit: rateUnitOf('topclients_identity_tokens_total'),
          stacked: true,
          colours: { valid: 'green', expired: 'yellow', invalid: 'orange', unavailable: 'red' },
          queries: [
            {
              expr: sum(rate(series('topclients_identity_tokens_total'), '$__rate_interval'), 'result'),
              legend: '{{result}}',
            },
          ],
        },
        {
          kind: 'lines',
          title: "Age of the identity provider's keys",
          description:
            'Of the oldest that some process uses. Fetched every 5 minutes; after an hour without, nobody is let in (auth.keys).',
          unit: unitOf('topclients_identity_keys_fetched_timestamp_seconds'),
          limits: { bad: LIMITS.keysNotFetched },
          queries: [
            {
              expr: since(calc(min(series('topclients_identity_keys_fetched_timestamp_seconds')), '>', 0)),
              legend: 'oldest',
            },
          ],
          emptyWhen: 'some process has never fetched them',
        },
        {
          kind: 'lines',
          title: 'Requests for the keys',
          description: 'By result. Unknown keys in tokens cause at most one in 10 seconds a process.',
          unit: rateUnitOf('topclients_identity_key_fetches_total'),
          colours: { ok: 'green', failed: 'red' },
          queries: [
            {
              expr: sum(rate(series('topclients_identity_key_fetches_total'), '$__rate_interval'), 'result'),
              legend: '{{result}}',
            },
          ],
        },
      ],
    },
    {
      title: 'What do clients hold of our servers?',
      height: 7,
      panels: [
        {
          kind: 'lines',
          title: 'Connections, ours to end or refused',
          description:
            'By why. silent, late: no request in time. stalled, memory: answers that nobody took. crowded, refused: no place. pipelined: too many sent ahead. unavailable, too-many-requests: complete requests that were one too many.',
          unit: rateUnitOf('topclients_http_connections_ended_total'),
          stacked: true,
          queries: [
            {
              expr: sum(rate(series('topclients_http_connections_ended_total'), '$__rate_interval'), 'why'),
              legend: '{{why}}',
            },
            {
              expr: sum(rate(series('topclients_http_requests_refused_total'), '$__rate_interval'), 'why'),
              legend: '{{why}}',
            },
          ],
        },
        {
          kind: 'lines',
          title: 'Connections of the busiest server',
          description:
            'At 1,000, unless TC_CONNECTIONS says otherwise, a further one takes the place of an idle one.',
          unit: unitOf('topclients_http_connections'),
          queries: [{ expr: max(series('topclients_http_connections'), 'port'), legend: '{{port}}' }],
        },
        {
          kind: 'lines',
          title: 'Bytes that clients have not taken',
          description:
            'Of the server with most. At TC_UNSENT_BYTES answers of the greediest client are given up.',
          unit: unitOf('topclients_http_unsent_bytes'),
          queries: [{ expr: max(series('topclients_http_unsent_bytes'), 'port'), legend: '{{port}}' }],
        },
      ],
    },
  ],
};
