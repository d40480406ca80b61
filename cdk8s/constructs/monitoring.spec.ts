import { expect, test } from '@jest/globals';
import { built, platformOf } from '../testing/platforms.ts';
import { monitoring } from './monitoring.ts';

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
