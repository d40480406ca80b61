import { expect, test } from '@jest/globals';
import { calc, calcOn, combine, max, quantile, rate, sum, within } from './promql.ts';

const series = within({ namespace: 'shop', page: { re: 'gig|user' } });

test('a selector is narrowed to its scope, to pages only where it has them, and by what is asked for', () => {
  expect(series('topclients_outbox_pending').text).toBe('topclients_outbox_pending{namespace="shop"}');
  expect(series('topclients_page_breaker_open').text).toBe(
    'topclients_page_breaker_open{namespace="shop", page=~"gig|user"}',
  );
  expect(series('topclients_page_breaker_open', { page: { not: 'gig' } }).text).toBe(
    'topclients_page_breaker_open{namespace="shop", page!="gig"}',
  );
  expect(within({})('up').text).toBe('up');
});

test('operands keep together what belongs together', () => {
  const pending = within({})('topclients_outbox_pending');
  expect(calc(calc(pending, '-', 1), '/', pending).text).toBe(
    '(topclients_outbox_pending - 1) / topclients_outbox_pending',
  );
  expect(combine(calc(pending, '>', 1), 'or', pending).text).toBe(
    '(topclients_outbox_pending > 1) or topclients_outbox_pending',
  );
  expect(max(calc(pending, '*', 2), 'shard').text).toBe('max by (shard) (topclients_outbox_pending * 2)');
  expect(quantile(0.5, sum(rate(within({})('topclients_relay_delay_seconds_bucket'), '5m'), 'le')).text).toBe(
    'histogram_quantile(0.5, sum by (le) (rate(topclients_relay_delay_seconds_bucket[5m])))',
  );
});

test('what the catalogue does not have does not compile', () => {
  // Each of these lines fails `npm run types` as soon as the compiler takes it.
  const wrong = () => [
    // @ts-expect-error: no such metric
    series('topclients_outbox_pendng'),
    // @ts-expect-error: a histogram has no series of its bare name
    series('topclients_canary_delay_seconds'),
    // @ts-expect-error: a gauge has no buckets
    series('topclients_outbox_pending_bucket'),
    // @ts-expect-error: the metric has no such label
    series('topclients_outbox_pending', { page: 'gig' }),
    // @ts-expect-error: nothing to group by
    sum(series('topclients_outbox_pending'), 'page'),
    // @ts-expect-error: what was summed away is gone
    max(sum(series('topclients_outbox_pending'), 'shard'), 'pod'),
    // @ts-expect-error: a range can only be taken of what is stored
    rate(sum(series('topclients_relay_sent_total'), 'shard'), '5m'),
    // @ts-expect-error: a quantile is made of buckets
    quantile(0.9, sum(series('topclients_outbox_pending'), 'shard')),
    // @ts-expect-error: only one side has that label
    calcOn(series('topclients_projector_lag_records'), '*', ['page'], series('topclients_outbox_pending')),
  ];
  expect(wrong).toBeInstanceOf(Function);
});
