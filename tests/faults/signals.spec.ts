import { expect, test } from '@jest/globals';
import { ALERTS, type AlertName } from '../../dashboards/rules/alerts.ts';
import { CATALOGUE } from './catalogue.ts';
import { hastyAlerts, isAlert } from './signals.ts';

test('the hasty rules are those that are shipped, with seconds in place of minutes', () => {
  const names: AlertName[] = [
    'TopClientsRelayStuck',
    'TopClientsPartitionDoesNotMove',
    'TopClientsTargetDown',
  ];
  const rules = hastyAlerts(new Set(names));
  expect(rules.map(({ alert }) => alert)).toEqual(names);
  expect(rules.map((rule) => rule.for)).toEqual(['1s', '1s', '1s']);
  expect(rules[0]!.expr).toMatch(/> 3$/);
  expect(rules[1]!.expr.match(/\[\w+\]/g)).toEqual(['[5s]', '[5s]']);
});

test('every sign that is an alert is one of those there are', () => {
  const signs = CATALOGUE.flatMap(({ signal }) => signal?.anyOf ?? []);
  expect(signs.filter(isAlert).length).toBeGreaterThan(0);
  for (const sign of signs.filter(isAlert)) expect(ALERTS).toContain(sign);
});

test('a fault with a signal can last long enough for it', () => {
  for (const { name, signal, seconds = [1, 4] } of CATALOGUE) {
    if (signal) expect([name, seconds[1] > signal.afterSeconds]).toEqual([name, true]);
  }
});
