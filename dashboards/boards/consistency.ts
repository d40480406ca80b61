import { FRESH_SECONDS, LIMITS, OBJECTIVES } from '../objectives.ts';
import { calc, increase, max, min, quantile, rate, rest, since, sum } from '../promql.ts';
import { type BoardSpec, rateUnitOf, series, unitOf } from './board.ts';

export const consistency: BoardSpec = {
  name: 'consistency',
  title: 'Top Clients: consistency',
  description:
    'Do pages show what sellers have changed, how late, and are they right? Lag is what waits, staleness what was shown, divergence what is wrong and not on its way.',
  sections: [
    {
      title: 'Is it right?',
      height: 4,
      panels: [
        {
          kind: 'stat',
          title: 'Sellers that differ',
          description:
            'Sellers whose row in the view is not as the source has it and is not on its way either, by the last whole comparison. They are sent again by themselves; unhealed: three times without effect; kept: in a view for a rollback.',
          unit: unitOf('topclients_consistency_divergent_sellers'),
          limits: { bad: 1 },
          queries: [
            { expr: max(series('topclients_consistency_divergent_sellers'), 'page'), legend: '{{page}}' },
            {
              expr: max(series('topclients_consistency_unhealed_sellers'), 'page'),
              legend: '{{page}}, unhealed',
            },
            {
              expr: max(series('topclients_consistency_kept_divergent_sellers'), 'page', 'view'),
              legend: '{{page}}, {{view}}, kept',
            },
          ],
        },
        {
          kind: 'stat',
          title: 'Compared last',
          description: 'Since the last whole comparison of the view with the source ended.',
          unit: unitOf('topclients_consistency_compared_timestamp_seconds'),
          limits: { warn: LIMITS.notCompared / 2, bad: LIMITS.notCompared },
          queries: [
            {
              expr: since(
                calc(max(series('topclients_consistency_compared_timestamp_seconds'), 'page'), '>', 0),
              ),
              legend: '{{page}}',
            },
          ],
        },
        {
          kind: 'stat',
          title: 'Sellers parked',
          description:
            'Sellers whose newest message could not be applied. They are shown as before; every other seller goes on.',
          unit: unitOf('topclients_projector_parked_sellers'),
          limits: { bad: 1 },
          queries: [{ expr: max(series('topclients_projector_parked_sellers'), 'page'), legend: '{{page}}' }],
          linksTo: 'pipeline',
        },
        {
          kind: 'stat',
          title: 'Seen in time',
          description: `Of the changes to the synthetic seller, those found within ${FRESH_SECONDS} s, over 5 minutes. The objective is ${OBJECTIVES.freshness.target * 100} %.`,
          unit: 'percentunit',
          decimals: 1,
          max: 1,
          limits: { bad: OBJECTIVES.freshness.target, higherIsBetter: true },
          queries: [
            {
              expr: rest(
                max(series('topclients:objective_bad:ratio_5m', { objective: 'freshness' }), 'page'),
              ),
              legend: '{{page}}',
            },
          ],
        },
      ],
    },
    {
      title: 'How far behind are the pages?',
      height: 8,
      panels: [
        {
          kind: 'lines',
          title: 'Lag in seconds',
          description:
            'Age of the oldest message that is not applied yet, the worst partition of each page. Nothing waits: 0.',
          unit: unitOf('topclients_projector_lag_seconds'),
          limits: { bad: FRESH_SECONDS },
          queries: [{ expr: max(series('topclients_projector_lag_seconds'), 'page'), legend: '{{page}}' }],
          linksTo: 'pipeline',
        },
        {
          kind: 'lines',
          title: 'Lag in messages',
          description: 'Messages on the topic that are not applied yet, all partitions of a page together.',
          unit: unitOf('topclients_projector_lag_records'),
          queries: [{ expr: sum(series('topclients_projector_lag_records'), 'page'), legend: '{{page}}' }],
          linksTo: 'pipeline',
        },
        {
          kind: 'lines',
          title: 'From the click to the page, 99 of 100 changes',
          description:
            'Commit at the source to found in the database of the page, of the synthetic seller. A gap: nothing was found; see the age of the newest change.',
          unit: unitOf('topclients_canary_delay_seconds'),
          limits: { bad: FRESH_SECONDS },
          queries: [
            {
              expr: quantile(
                0.99,
                sum(rate(series('topclients_canary_delay_seconds_bucket'), '$__rate_interval'), 'le', 'page'),
              ),
              legend: '{{page}}',
            },
          ],
        },
      ],
    },
    {
      title: 'What was shown, what was applied?',
      height: 8,
      panels: [
        {
          kind: 'lines',
          title: 'Age of the newest change seen',
          description:
            'So long ago was the change to the synthetic seller made that each page shows. It rises steadily when nothing arrives.',
          unit: unitOf('topclients_canary_seen_timestamp_seconds'),
          limits: { warn: FRESH_SECONDS, bad: LIMITS.canaryLate },
          queries: [
            {
              expr: since(calc(max(series('topclients_canary_seen_timestamp_seconds'), 'page'), '>', 0)),
              legend: '{{page}}',
            },
            {
              expr: since(
                calc(
                  max(series('topclients_projector_last_applied_commit_timestamp_seconds'), 'page'),
                  '>',
                  0,
                ),
              ),
              legend: '{{page}}, newest applied of any seller',
            },
          ],
        },
        {
          kind: 'lines',
          title: 'How old was what was shown as stale, 95 of 100',
          description:
            'Of renders that asked for a version the view did not have, or fell back to it: the age of what they showed instead.',
          unit: unitOf('topclients_page_staleness_seconds'),
          limits: { bad: FRESH_SECONDS },
          queries: [
            {
              expr: quantile(
                0.95,
                sum(
                  rate(series('topclients_page_staleness_seconds_bucket'), '$__rate_interval'),
                  'le',
                  'page',
                  'delivery',
                ),
              ),
              legend: '{{page}} {{delivery}}',
            },
          ],
          emptyWhen: 'nothing stale was shown',
          linksTo: 'availability',
        },
        {
          kind: 'lines',
          title: 'What projectors did with events',
          description:
            'applied: the view changed. duplicate and stale: it had that version or a newer one, and nothing changed. tombstone: the end of an erased seller, beside the erasure. unversioned: a tombstone that tells no version, and changes nothing. moved: the seller stands in another partition since the topic grew. parked: could not be applied. Tried again: parked messages, by the projectors themselves, ever more seldom; what remains still cannot be applied.',
          unit: rateUnitOf('topclients_projector_events_total'),
          colours: { parked: 'red' },
          queries: [
            {
              expr: sum(rate(series('topclients_projector_events_total'), '$__rate_interval'), 'result'),
              legend: '{{result}}',
            },
            {
              expr: sum(rate(series('topclients_projector_redriven_total'), '$__rate_interval'), 'result'),
              legend: 'tried again: {{result}}',
            },
          ],
          linksTo: 'pipeline',
        },
      ],
    },
    {
      title: 'Are page caches invalidated?',
      height: 6,
      panels: [
        {
          kind: 'lines',
          title: 'Outages of change notifications',
          description:
            "Times a projector found the database's queue of notifications full and wrote without notifying page servers. Once it has room they are notified that anything may have changed.",
          unit: rateUnitOf('topclients_projector_notification_outages_total'),
          queries: [
            {
              expr: sum(
                rate(series('topclients_projector_notification_outages_total'), '$__rate_interval'),
                'page',
              ),
              legend: '{{page}}',
            },
          ],
        },
        {
          kind: 'states',
          title: 'Cache invalidation connected',
          description:
            'Change notifications of the database reach the servers of the page, so that a cached list is shown without asking the view. Asks: at least one server is not connected and asks at every visit, which is as right and slower; look at its log for why.',
          unit: unitOf('topclients_page_cache_invalidation_connected'),
          words: { 0: 'asks', 1: 'connected', good: 1 },
          queries: [
            { expr: min(series('topclients_page_cache_invalidation_connected'), 'page'), legend: '{{page}}' },
          ],
          emptyWhen: 'no page of one seller is asynchronous',
        },
        {
          kind: 'lines',
          title: 'Queue of notifications',
          description:
            "Of each page's database server, shared with whatever else is on it. It grows while a session that listens stays in a transaction. Above 40 % servers ask at every visit, above 50 % nobody is notified.",
          unit: unitOf('topclients_page_notify_queue_used_ratio'),
          queries: [
            { expr: max(series('topclients_page_notify_queue_used_ratio'), 'page'), legend: '{{page}}' },
          ],
          emptyWhen: 'no page of one seller is asynchronous',
        },
      ],
    },
    {
      title: 'Does the comparison work?',
      height: 7,
      panels: [
        {
          kind: 'lines',
          title: 'Sellers sent again',
          description:
            'In each quarter of an hour, because their row differed. One burst heals a fault; a steady line means that something breaks them again.',
          unit: unitOf('topclients_consistency_repairs_total'),
          queries: [
            {
              expr: sum(increase(series('topclients_consistency_repairs_total'), '15m'), 'page'),
              legend: '{{page}}',
            },
          ],
        },
        {
          kind: 'lines',
          title: 'Sellers compared',
          description: 'By the last whole comparison: all of the source, or the view is not whole.',
          unit: unitOf('topclients_consistency_compared_sellers'),
          queries: [
            { expr: max(series('topclients_consistency_compared_sellers'), 'page'), legend: '{{page}}' },
          ],
        },
        {
          kind: 'lines',
          title: 'Time of a comparison, and failures',
          description:
            'The mean of the last quarter of an hour, and comparisons in it that came to no verdict (right axis).',
          unit: unitOf('topclients_consistency_comparison_duration_seconds'),
          queries: [
            {
              expr: calc(
                sum(
                  increase(series('topclients_consistency_comparison_duration_seconds_sum'), '15m'),
                  'page',
                ),
                '/',
                sum(
                  increase(series('topclients_consistency_comparison_duration_seconds_count'), '15m'),
                  'page',
                ),
              ),
              legend: '{{page}}',
            },
            {
              expr: sum(increase(series('topclients_consistency_errors_total'), '15m'), 'page'),
              legend: '{{page}} without verdict',
              rightAxis: 'short',
            },
          ],
        },
      ],
    },
  ],
};
