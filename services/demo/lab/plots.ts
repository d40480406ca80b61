import { FRESH_SECONDS, LIMITS, OBJECTIVES } from '../../../dashboards/objectives.ts';
import {
  calc,
  type Matcher,
  max,
  min,
  quantile,
  rate,
  since,
  sum,
  type Vector,
  within,
} from '../../../dashboards/promql.ts';
import { NAMESPACE } from '../scraping.ts';

/** The unit of values; `plot-words.ts` says how they are written. */
export type PlotUnit = 'seconds' | 'share' | 'a second' | 'count';

export interface PlotQuery {
  readonly expr: Vector<string>;
  /** `{{label}}` stands for the label that distinguishes the series. */
  readonly legend: string;
}

/** One plot of the page, as data. */
export interface Plot {
  readonly id: string;
  readonly title: string;
  /** Its meaning, in a sentence. */
  readonly about: string;
  readonly unit: PlotUnit;
  readonly queries: readonly PlotQuery[];
  /** Lines across the plot, each with its word. */
  readonly limits?: readonly { readonly at: number; readonly word: string }[];
  /** Powers of ten, for plots where both a millisecond and a second matter. */
  readonly scale?: 'logarithmic';
  /** Why there may be nothing to draw. */
  readonly whenEmpty: string;
}

/** Seven scrapes: short enough that a kill shows at once. */
const WINDOW = '15s';
const series = within({ namespace: NAMESPACE });
const renders = (outcome?: Matcher) =>
  rate(series('topclients_page_renders_total', outcome === undefined ? {} : { outcome }), WINDOW);
const latency = (q: number) =>
  quantile(
    q,
    sum(rate(series('topclients_page_render_duration_seconds_bucket'), WINDOW), 'le', 'page', 'delivery'),
  );
const canary = (q: number) =>
  quantile(q, sum(rate(series('topclients_canary_delay_seconds_bucket'), WINDOW), 'le', 'page'));
const PAGE_AND_DELIVERY = '{{page}} {{delivery}}';
const FRESH = { at: FRESH_SECONDS, word: 'objective' };

export const PLOTS: readonly Plot[] = [
  {
    id: 'outcomes',
    title: 'Pages answered, by what they showed',
    about:
      'Full: with the brands. Missing: whole, and without them. Stale: with a version known to be old. Error: no page.',
    unit: 'a second',
    queries: [{ expr: sum(renders(), 'outcome'), legend: '{{outcome}}' }],
    whenEmpty: 'No page was asked for.',
  },
  {
    id: 'completeness',
    title: 'Shown in full',
    about: 'Of the pages answered, by page and delivery. What killing the source does to each is seen here.',
    unit: 'share',
    queries: [
      {
        expr: calc(
          sum(renders('full'), 'page', 'delivery'),
          '/',
          sum(renders({ not: 'error' }), 'page', 'delivery'),
        ),
        legend: PAGE_AND_DELIVERY,
      },
    ],
    limits: [{ at: OBJECTIVES.completeness.target, word: 'objective' }],
    whenEmpty: 'No page was asked for.',
  },
  {
    id: 'latency-half',
    title: 'p50 latency of pages',
    about: 'By page and delivery. The two synchronous ways of the lab count as one here.',
    unit: 'seconds',
    scale: 'logarithmic',
    queries: [{ expr: latency(0.5), legend: PAGE_AND_DELIVERY }],
    limits: [{ at: 0.15, word: 'a page’s patience with the source' }],
    whenEmpty: 'No page was asked for.',
  },
  {
    id: 'latency-most',
    title: 'p99 latency of pages',
    about: 'The slow ones decide what people think of a page.',
    unit: 'seconds',
    scale: 'logarithmic',
    queries: [{ expr: latency(0.99), legend: PAGE_AND_DELIVERY }],
    limits: [{ at: 0.15, word: 'a page’s patience with the source' }],
    whenEmpty: 'No page was asked for.',
  },
  {
    id: 'lag-seconds',
    title: 'Lag in seconds',
    about: 'Age of the oldest change that waits in Kafka for the page’s projector; 0 when none does.',
    unit: 'seconds',
    queries: [{ expr: max(series('topclients_projector_lag_seconds'), 'page'), legend: '{{page}}' }],
    limits: [FRESH],
    whenEmpty: 'No projector runs.',
  },
  {
    id: 'lag-records',
    title: 'Lag in changes',
    about: 'Changes in Kafka that the page’s projectors have not applied yet.',
    unit: 'count',
    queries: [{ expr: sum(series('topclients_projector_lag_records'), 'page'), legend: '{{page}}' }],
    whenEmpty: 'No projector runs.',
  },
  {
    id: 'canary-delay',
    title: 'From the click to the page',
    about:
      'A made-up seller changes something once a second; this is how long it takes until the page’s database shows it.',
    unit: 'seconds',
    scale: 'logarithmic',
    queries: [
      { expr: canary(0.5), legend: '{{page}}, half within' },
      { expr: canary(0.99), legend: '{{page}}, 99 of 100' },
    ],
    limits: [FRESH],
    whenEmpty: 'None of its changes has arrived lately.',
  },
  {
    id: 'canary-age',
    title: 'Age of the newest change seen',
    about: 'Grows by a second each second while nothing arrives.',
    unit: 'seconds',
    queries: [
      {
        expr: since(calc(max(series('topclients_canary_seen_timestamp_seconds'), 'page'), '>', 0)),
        legend: '{{page}}',
      },
    ],
    limits: [FRESH, { at: LIMITS.canaryLate, word: 'alert' }],
    whenEmpty: 'No change of the made-up seller has been seen yet.',
  },
  {
    id: 'outbox',
    title: 'Waiting in the outbox',
    about: 'Changes committed at the source and not yet in Kafka.',
    unit: 'count',
    queries: [{ expr: sum(series('topclients_outbox_pending'), 'shard'), legend: 'shard {{shard}}' }],
    whenEmpty: 'No relay runs to count them.',
  },
  {
    id: 'outbox-age',
    title: 'Oldest change in the outbox',
    about: 'How long it has waited; no line while none waits.',
    unit: 'seconds',
    queries: [
      {
        expr: since(calc(min(series('topclients_outbox_oldest_pending_timestamp_seconds'), 'shard'), '>', 0)),
        legend: 'shard {{shard}}',
      },
    ],
    limits: [{ at: LIMITS.relayStuck, word: 'alert' }],
    whenEmpty: 'None waits.',
  },
  {
    id: 'divergent',
    title: 'Sellers that differ',
    about:
      'Sellers whose row on the page is not as the source has it and is not on its way either. They are sent again by themselves.',
    unit: 'count',
    queries: [{ expr: max(series('topclients_consistency_divergent_sellers'), 'page'), legend: '{{page}}' }],
    limits: [{ at: 1, word: 'alert, when it stays' }],
    whenEmpty: 'Nobody compares.',
  },
  {
    id: 'breakers',
    title: 'Calls to the source, by how they ended',
    about:
      'Timeout: longer than a page waits. Rejected: too many at once. Open: kept back by the circuit breaker.',
    unit: 'a second',
    queries: [
      {
        expr: sum(rate(series('topclients_page_source_requests_total'), WINDOW), 'result'),
        legend: '{{result}}',
      },
    ],
    whenEmpty: 'No page asks the source.',
  },
];
