import { expect, test } from '@jest/globals';
import { built, platformOf } from '../testing/platforms.ts';
import { topClients } from './top-clients.ts';

test('the source of truth, its address and its budget', () => {
  expect(built((scope) => topClients(scope, platformOf()))).toMatchSnapshot();
});

test('an issuer of one’s own is trusted instead of the demonstration’s', () => {
  const auth = {
    demoIssuer: false,
    issuer: 'https://login.example.com/',
    jwksUrl: 'https://login.example.com/keys',
    algorithms: ['RS256', 'EdDSA'],
  };
  const yaml = built((scope) => topClients(scope, platformOf({ auth })));
  expect(yaml).toContain('value: https://login.example.com/keys');
  expect(yaml).toContain('value: RS256,EdDSA');
  expect(yaml).not.toContain('top-clients-issuer');
});

test('one pod has no budget: it could only keep a node from being drained', () => {
  const yaml = built((scope) => topClients(scope, platformOf({ source: { replicas: 1 } })));
  expect(yaml).not.toContain('PodDisruptionBudget');
});
