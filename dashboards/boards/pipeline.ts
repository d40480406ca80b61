import { FRESH_SECONDS, LIMITS } from '../objectives.ts';
import { calc, count, increase, max, min, quantile, rate, since, sum, topk } from '../promql.ts';
import { type BoardSpec, rateUnitOf, series, unitOf } from './board.ts';

export const pipeline: BoardSpec = {
  name: 'pipeline',
  title: 'Top Clients: pipeline',
  description:
    'The way of a change, from left to right and top to bottom: committed, waiting in the outbox, sent to Kafka, applied to the views. Look for the first step that stands still.',
  sections: [
    {
      title: '1. Sellers change something',
      height: 7,
      panels: [
        {
          kind: 'lines',
          title: 'Commands judged',
          description: 'By result: committed, unchanged, replayed (the same key again), or the refusal.',
          unit: rateUnitOf('topclients_commands_total'),
          queries: [
            {
              expr: sum(rate(series('topclients_commands_total'), '$__rate_interval'), 'result'),
              legend: '{{result}}',
            },
          ],
          emptyWhen: 'nobody changes anything',
          linksTo: 'availability',
        },
        {
          kind: 'lines',
          title: 'Changes of the synthetic seller',
          description: 'One a second is written. Fails: the source or its database cannot be written.',
          unit: rateUnitOf('topclients_canary_writes_total'),
          colours: { written: 'green', failed: 'red' },
          queries: [
            {
              expr: sum(rate(series('topclients_canary_writes_total'), '$__rate_interval'), 'result'),
              legend: '{{result}}',
            },
          ],
        },
      ],
    },
    {
      title: '2. The relay sends them to Kafka',
      height: 7,
      panels: [
        {
          kind: 'lines',
          title: 'Waiting in the outbox',
          description:
            'Rows of each shard, and the age of the oldest (right axis). Both are near 0 when all is well. Held sellers wait for a row that Kafka refuses for good; missed rows were where the relay had not looked.',
          unit: unitOf('topclients_outbox_pending'),
          queries: [
            { expr: sum(series('topclients_outbox_pending'), 'shard'), legend: 'rows, shard {{shard}}' },
            {
              expr: since(
                calc(min(series('topclients_outbox_oldest_pending_timestamp_seconds'), 'shard'), '>', 0),
              ),
              legend: 'oldest, shard {{shard}}',
              rightAxis: 's',
            },
            {
              expr: sum(series('topclients_relay_held_sellers'), 'shard'),
              legend: 'held sellers, shard {{shard}}',
            },
            {
              expr: sum(increase(series('topclients_outbox_missed_rows_total'), '$__rate_interval'), 'shard'),
              legend: 'missed rows, shard {{shard}}',
            },
          ],
        },
        {
          kind: 'lines',
          title: 'Sent and failed',
          description:
            'Messages that Kafka acknowledged, and failures by step (right axis): lead, to get or keep a shard; ack_and_fetch, in the outbox; send, to Kafka, and that by whose fault it is; the metric and the log have the reason. A shard is blocked while Kafka takes nothing of it.',
          unit: rateUnitOf('topclients_relay_sent_total'),
          queries: [
            {
              expr: sum(rate(series('topclients_relay_sent_total'), '$__rate_interval'), 'shard'),
              legend: 'sent, shard {{shard}}',
            },
            {
              expr: sum(rate(series('topclients_relay_errors_total'), '$__rate_interval'), 'step'),
              legend: 'failed to {{step}}',
              rightAxis: 'cps',
            },
            {
              expr: sum(rate(series('topclients_relay_send_errors_total'), '$__rate_interval'), 'kind'),
              legend: "refused, the {{kind}}'s fault",
              rightAxis: 'cps',
            },
            {
              expr: sum(series('topclients_relay_blocked'), 'shard'),
              legend: 'blocked, shard {{shard}}',
            },
          ],
        },
        {
          kind: 'lines',
          title: 'From commit to Kafka, 99 of 100',
          description: 'And how long Kafka took to acknowledge a batch.',
          unit: unitOf('topclients_relay_delay_seconds'),
          limits: { bad: 1 },
          queries: [
            {
              expr: quantile(
                0.99,
                sum(rate(series('topclients_relay_delay_seconds_bucket'), '$__rate_interval'), 'le'),
              ),
              legend: 'commit to acknowledged',
            },
            {
              expr: quantile(
                0.99,
                sum(rate(series('topclients_relay_send_duration_seconds_bucket'), '$__rate_interval'), 'le'),
              ),
              legend: 'Kafka',
            },
          ],
        },
        {
          kind: 'states',
          title: 'Is every shard led?',
          description: 'One relay leads a shard, the others stand by. While nobody does, its changes wait.',
          unit: unitOf('topclients_relay_leader'),
          words: { 0: 'nobody', 1: 'led', good: 1 },
          queries: [
            {
              expr: max(series('topclients_relay_leader'), 'shard'),
              legend: 'shard {{shard}}',
            },
          ],
        },
      ],
    },
    {
      title: '3. Projectors apply them',
      height: 8,
      panels: [
        {
          kind: 'lines',
          title: 'Lag, and the projectors on it',
          description:
            'Messages not applied yet, and how many projectors share each page (right axis). Scaling that does not follow lag is the scaler’s fault; lag that does not follow scaling is the database’s.',
          unit: unitOf('topclients_projector_lag_records'),
          queries: [
            { expr: sum(series('topclients_projector_lag_records'), 'page'), legend: '{{page}}' },
            {
              expr: count(series('topclients_projector_parked_sellers'), 'page'),
              legend: '{{page}}, projectors',
              rightAxis: 'short',
            },
            {
              expr: sum(series('topclients_projector_lag_unstable_records'), 'page'),
              legend: '{{page}}, held back by an open transaction',
            },
          ],
          linksTo: 'operator',
        },
        {
          kind: 'lines',
          title: 'Applied',
          description: 'Events a second that changed the view of a page.',
          unit: rateUnitOf('topclients_projector_events_total'),
          queries: [
            {
              expr: sum(
                rate(series('topclients_projector_events_total', { result: 'applied' }), '$__rate_interval'),
                'page',
              ),
              legend: '{{page}}',
            },
          ],
          linksTo: 'consistency',
        },
        {
          kind: 'lines',
          title: 'From commit to applied, 99 of 100',
          description:
            'Of all sellers, where the synthetic one stands for them on the consistency dashboard.',
          unit: unitOf('topclients_projector_delay_seconds'),
          limits: { bad: FRESH_SECONDS },
          queries: [
            {
              expr: quantile(
                0.99,
                sum(
                  rate(series('topclients_projector_delay_seconds_bucket'), '$__rate_interval'),
                  'le',
                  'page',
                ),
              ),
              legend: '{{page}}',
            },
          ],
        },
        {
          kind: 'lines',
          title: 'Partitions change hands',
          description:
            'Times in 5 minutes that a projector took or gave partitions. A start or a scaling makes some; a steady stream means that projectors die or hang.',
          unit: unitOf('topclients_projector_rebalances_total'),
          queries: [
            {
              expr: sum(increase(series('topclients_projector_rebalances_total'), '5m'), 'page'),
              legend: '{{page}}',
            },
            {
              expr: sum(increase(series('topclients_projector_stalled_total'), '5m'), 'page'),
              legend: '{{page}}, started anew because a partition stood still',
            },
          ],
        },
      ],
    },
    {
      title: 'How well do the steps work?',
      height: 7,
      panels: [
        {
          kind: 'lines',
          title: 'Size of a batch, mean',
          description:
            'Rows that the relay sends, events that a projector writes, at once. Large ones mean catching up.',
          unit: unitOf('topclients_projector_batch_size'),
          queries: [
            {
              expr: calc(
                sum(rate(series('topclients_relay_batch_size_sum'), '$__rate_interval')),
                '/',
                sum(rate(series('topclients_relay_batch_size_count'), '$__rate_interval')),
              ),
              legend: 'relay',
            },
            {
              expr: calc(
                sum(rate(series('topclients_projector_batch_size_sum'), '$__rate_interval'), 'page'),
                '/',
                sum(rate(series('topclients_projector_batch_size_count'), '$__rate_interval'), 'page'),
              ),
              legend: 'projector {{page}}',
            },
          ],
        },
        {
          kind: 'lines',
          title: "Time of a projector's statement, 99 of 100",
          description:
            'What the page’s database takes to apply a chunk. If this rises, the database is the bottleneck.',
          unit: unitOf('topclients_projector_batch_duration_seconds'),
          limits: { bad: 1 },
          queries: [
            {
              expr: quantile(
                0.99,
                sum(
                  rate(series('topclients_projector_batch_duration_seconds_bucket'), '$__rate_interval'),
                  'le',
                  'page',
                ),
              ),
              legend: '{{page}}',
            },
          ],
        },
        {
          kind: 'lines',
          title: 'Processor time, the busiest eight',
          description:
            'Of each process; 1 is one core, and no process of ours can use more for its own code.',
          unit: 'none',
          limits: { bad: 1 },
          queries: [
            {
              expr: topk(
                8,
                sum(rate(series('process_cpu_seconds_total'), '$__rate_interval'), 'pod', 'instance'),
              ),
              legend: '{{pod}} {{instance}}',
            },
          ],
        },
        {
          kind: 'lines',
          title: 'Memory, the largest eight',
          description:
            'Resident, of each process. A pod is killed at its limit, 256 Mi unless values say otherwise.',
          unit: 'bytes',
          queries: [
            {
              expr: topk(8, max(series('process_resident_memory_bytes'), 'pod', 'instance')),
              legend: '{{pod}} {{instance}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Has every store confirmed what was erased?',
      height: 6,
      panels: [
        {
          kind: 'lines',
          title: 'Receipts of erasures that are open',
          description:
            'Stores: something other than the topic has not confirmed yet, which takes seconds. Topic: compaction is waited for, which takes two days.',
          unit: unitOf('topclients_erasure_open_receipts'),
          queries: [
            { expr: max(series('topclients_erasure_open_receipts')), legend: 'stores' },
            { expr: max(series('topclients_erasure_topic_receipts')), legend: 'topic' },
          ],
        },
        {
          kind: 'lines',
          title: 'How long the oldest waits',
          description:
            'Topic: beyond the day by which compaction should have been there, so that below zero is well. The receipt names the store, and why.',
          unit: 'seconds',
          limits: { bad: LIMITS.erasureLate },
          queries: [
            {
              expr: since(calc(max(series('topclients_erasure_open_since_timestamp_seconds')), '>', 0)),
              legend: 'stores',
            },
            {
              expr: since(calc(max(series('topclients_erasure_topic_due_timestamp_seconds')), '>', 0)),
              legend: 'topic',
            },
          ],
          emptyWhen: 'no receipt is open',
        },
      ],
    },
  ],
};
