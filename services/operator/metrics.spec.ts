import { expect, test } from '@jest/globals';
import { openMetrics } from '#role/metrics.ts';
import { openOperatorMetrics } from './metrics.ts';

const KINDS = ['TopClients', 'PageView'];
const open = () => {
  const metrics = openMetrics({ processMetrics: false });
  const lines = async () =>
    (await metrics.registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return { operator: openOperatorMetrics(metrics, KINDS), lines };
};

test('what an alert needs is there before it happens', async () => {
  const { operator, lines } = open();
  operator.leads('shop', false);
  expect(await lines()).toEqual(
    expect.arrayContaining([
      'topclients_operator_reconcile_errors_total{kind="PageView"} 0',
      'topclients_operator_reconcile_total{kind="TopClients",result="failed"} 0',
      'topclients_operator_reconcile_duration_seconds_count{kind="PageView"} 0',
      'topclients_operator_leader{namespace="shop"} 0',
      'topclients_operator_queue_depth 0',
    ]),
  );
});

test('each thing that happens is counted as what it was', async () => {
  const { operator, lines } = open();
  let depth = 3;
  operator.watchQueue(() => depth);
  operator.reconciled('PageView', 'done', 0.2);
  operator.reconciled('PageView', 'failed', 10);
  operator.answered('watch', 410);
  operator.answered('apply', 0);
  operator.relisted('Deployment');
  operator.leads('shop', true);
  operator.leads('mall', false);
  operator.ledBy('mall', 'mall/operator');
  depth = 5;
  expect(await lines()).toEqual(
    expect.arrayContaining([
      'topclients_operator_reconcile_total{kind="PageView",result="done"} 1',
      'topclients_operator_reconcile_total{kind="PageView",result="failed"} 1',
      'topclients_operator_reconcile_errors_total{kind="PageView"} 1',
      'topclients_operator_reconcile_errors_total{kind="TopClients"} 0',
      'topclients_operator_reconcile_duration_seconds_bucket{le="0.25",kind="PageView"} 1',
      'topclients_operator_reconcile_duration_seconds_count{kind="PageView"} 2',
      'topclients_operator_api_requests_total{verb="watch",code="410"} 1',
      'topclients_operator_api_requests_total{verb="apply",code="0"} 1',
      'topclients_operator_informer_relists_total{kind="Deployment"} 1',
      'topclients_operator_leader{namespace="shop"} 1',
      'topclients_operator_leader{namespace="mall"} 0',
      'topclients_operator_overlap{namespace="mall"} 1',
      'topclients_operator_queue_depth 5',
    ]),
  );
});

test('pages of the same name in two namespaces are told apart, and go with their namespace', async () => {
  const { operator, lines } = open();
  const versions = async () =>
    (await lines()).filter((line) => /page_view_version|operator_leader/.test(line));
  operator.leads('shop', true);
  operator.shows('shop', 'checkout', { delivery: 'asynchronous', version: 3 });
  operator.shows('mall', 'checkout', { delivery: 'hybrid', version: 1 });
  operator.shows('mall', 'checkout', { delivery: 'asynchronous', version: 2 });
  expect(await versions()).toEqual([
    'topclients_operator_leader{namespace="shop"} 1',
    'topclients_external_page_view_version{namespace="shop",page="checkout",delivery="asynchronous"} 3',
    'topclients_external_page_view_version{namespace="mall",page="checkout",delivery="asynchronous"} 2',
  ]);
  operator.shows('mall', 'checkout', null);
  operator.forget('shop');
  expect(await versions()).toEqual([]);
});
