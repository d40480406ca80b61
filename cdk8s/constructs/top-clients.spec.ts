import { expect, test } from '@jest/globals';
import { built, OWN_ISSUER, platformOf } from '../testing/platforms.ts';
import { topClients } from './top-clients.ts';

test('the source of truth, its address and its budget', () => {
  expect(built((scope) => topClients(scope, platformOf()))).toMatchSnapshot();
});

test('an issuer of one’s own is trusted instead of the demonstration’s', () => {
  const yaml = built((scope) => topClients(scope, platformOf(OWN_ISSUER)));
  expect(yaml).toContain('value: https://a.example.com/keys');
  expect(yaml).not.toContain('top-clients-issuer');
});

test('one pod has no budget: it could only keep a node from being drained', () => {
  const yaml = built((scope) => topClients(scope, platformOf({ source: { replicas: 1 } })));
  expect(yaml).not.toContain('PodDisruptionBudget');
});
