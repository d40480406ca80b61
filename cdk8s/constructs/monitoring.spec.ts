import { expect, test } from '@jest/globals';
import { METRICS } from '#contracts/metrics.ts';
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

test('alerts ask for metrics that exist', () => {
  const named = yamlOf({}, { monitoring: true }).match(/\btopclients_\w+/g)!;
  for (const name of named) expect(Object.keys(METRICS)).toContain(name);
});
