import { expect, test } from '@jest/globals';
import { DEMO } from '../testing/platforms.ts';
import { PageViewSpec } from './page-view.ts';
import { brokenRules } from './rules.ts';
import { TopClientsSpec } from './top-clients.ts';

const platform = (spec: object) =>
  brokenRules(TopClientsSpec, TopClientsSpec.parse({ ...DEMO.topClients, ...spec }), ['spec']);
const page = (spec: object) => brokenRules(PageViewSpec, PageViewSpec.parse(spec), ['spec']);
const cpu = { mode: 'cpu', maxReplicas: 6 };

test('the pods at most must fit into the connections that the database spares', () => {
  const full = /would take more connections than autoscaling.maxDatabaseConnections/;
  expect(platform({ source: { autoscaling: cpu } })).toEqual([]);
  expect(platform({ source: { databasePool: 17, autoscaling: cpu } })).toEqual([expect.stringMatching(full)]);
  expect(platform({ selfView: { autoscaling: { ...cpu, maxReplicas: 9 } } })).toEqual([]);
  expect(platform({ selfView: { autoscaling: { ...cpu, maxReplicas: 10 } } })).toHaveLength(1);
  // The one that listens counts as well.
  const pages = (maxDatabaseConnections: number) =>
    page({ server: { databasePool: 9, autoscaling: { ...cpu, maxDatabaseConnections } } });
  expect(pages(60)).toEqual([]);
  expect(pages(59)).toEqual([expect.stringMatching(full)]);
  expect(page({ server: { databasePool: 100, autoscaling: { ...cpu, mode: 'none' } } })).toEqual([]);
});

test('requests need the address of Prometheus, and bounds an order', () => {
  const autoscaling = { mode: 'requests' };
  expect(platform({ source: { autoscaling } })).toEqual([
    expect.stringContaining('needs monitoring.prometheusUrl'),
  ]);
  const monitoring = { prometheusUrl: 'http://prometheus:9090' };
  expect(platform({ source: { autoscaling }, monitoring })).toEqual([]);
  expect(platform({ source: { autoscaling: { minReplicas: 7 } } })).toEqual([
    expect.stringContaining('must not exceed autoscaling.maxReplicas'),
  ]);
});
