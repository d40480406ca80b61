import { describe, expect, test } from '@jest/globals';
import { build } from '../build.ts';
import { built, platformOf } from '../testing/platforms.ts';
import { kafkaStrimzi } from './kafka-strimzi.ts';
import { monitoring } from './monitoring.ts';
import { networkPolicies } from './network-policies.ts';

const yamlOf = (spec: unknown, cluster = {}) =>
  built((scope) => monitoring(scope, platformOf(spec, cluster)));

test('what is scraped, and the alerts on it', () => {
  expect(
    yamlOf({ monitoring: { labels: { release: 'prometheus' } } }, { monitoring: true }),
  ).toMatchSnapshot();
});

test('only where its API is, unless told otherwise', () => {
  expect(yamlOf({})).toBe('');
  expect(yamlOf({ monitoring: { enabled: 'always' } })).toContain('PodMonitor');
  expect(yamlOf({ monitoring: { enabled: 'never' } }, { monitoring: true })).toBe('');
});

test('the rules watch this installation alone, and say where the runbooks are', () => {
  const rules = yamlOf(
    { monitoring: { runbooks: 'https://wiki.example.com/runbooks/' } },
    { monitoring: true },
  );
  const expressions = rules.match(/expr: .+/g)!;
  expect(expressions.length).toBeGreaterThan(20);
  for (const expression of expressions)
    expect(expression).toContain('namespace=\\"shop\\"'.replaceAll('\\', ''));
  expect(rules).toContain('runbook_url: https://wiki.example.com/runbooks/TopClientsCanaryLate.md');
});

describe('stores that other operators run', () => {
  const monitors = (spec: object) =>
    Object.fromEntries(
      build((scope) => monitoring(scope, platformOf(spec, { monitoring: true })))
        .filter(({ kind }) => kind === 'PodMonitor')
        .map(({ metadata, spec: monitor }) => [metadata.name, monitor as unknown as Monitor]),
    );
  const portsOf = ({ podMetricsEndpoints }: Monitor) => podMetricsEndpoints.map(({ port }) => port);

  test('have a monitor each, for the ports that their pods have', () => {
    const { 'top-clients-kafka': kafka, 'top-clients-postgres': postgres } = monitors({
      kafka: { mode: 'strimzi' },
      postgres: { mode: 'cnpg' },
    });
    expect(kafka!.selector).toEqual({ matchLabels: { 'strimzi.io/cluster': 'top-clients-kafka' } });
    expect(portsOf(kafka!)).toEqual(['tcp-prometheus', 'healthcheck-to', 'healthcheck-uo']);
    expect(postgres).toMatchObject({
      selector: {
        matchExpressions: [
          { key: 'cnpg.io/cluster', values: ['top-clients-postgres', 'top-clients-postgres-pages'] },
        ],
      },
      podTargetLabels: ['cnpg.io/cluster'],
    });
    expect(portsOf(postgres!)).toEqual(['metrics']);
  });

  test('have none where they are not theirs', () => {
    expect(Object.keys(monitors({}))).toEqual(['top-clients']);
  });

  test('tell their metrics, unless nobody asks for any', () => {
    const metricsOf = (enabled: string, cluster = {}) => {
      const platform = platformOf({ kafka: { mode: 'strimzi' }, monitoring: { enabled } }, cluster);
      const kafka = build((scope) => kafkaStrimzi(scope, platform)).find(({ kind }) => kind === 'Kafka');
      return (kafka as unknown as { spec: { kafka: { metricsConfig?: unknown } } }).spec.kafka.metricsConfig;
    };
    const reporter = { type: 'strimziMetricsReporter' };
    // The same whether the Prometheus operator is there: a change restarts every broker.
    expect([metricsOf('auto'), metricsOf('auto', { monitoring: true })]).toEqual([reporter, reporter]);
    expect(metricsOf('never')).toBeUndefined();
  });

  test('are isolated by no policy of ours, so that whoever scrapes gets in', () => {
    // As Strimzi and CloudNativePG label their pods.
    const pods = [
      { 'app.kubernetes.io/part-of': 'strimzi-top-clients-kafka', 'strimzi.io/cluster': 'top-clients-kafka' },
      { 'app.kubernetes.io/name': 'postgresql', 'cnpg.io/cluster': 'top-clients-postgres' },
    ];
    const platform = platformOf({ kafka: { mode: 'strimzi' }, postgres: { mode: 'cnpg' } });
    const selectors = build((scope) => networkPolicies(scope, platform)).map(
      (policy) => (policy as unknown as Policy).spec.podSelector.matchLabels,
    );
    expect(selectors.length).toBeGreaterThan(5);
    for (const labels of pods)
      expect(
        selectors.filter((selector) =>
          Object.entries(selector).every(
            ([name, value]) => (labels as Record<string, string>)[name] === value,
          ),
        ),
      ).toEqual([]);
  });
});

interface Monitor {
  readonly selector: unknown;
  readonly podMetricsEndpoints: readonly { readonly port: string }[];
}
interface Policy {
  readonly spec: { readonly podSelector: { readonly matchLabels: Readonly<Record<string, string>> } };
}
