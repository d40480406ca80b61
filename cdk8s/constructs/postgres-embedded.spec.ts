import { expect, test } from '@jest/globals';
import { built, platformOf } from '../testing/platforms.ts';
import { postgresEmbedded } from './postgres-embedded.ts';

test('one server with all databases, on a volume', () => {
  expect(built((scope) => postgresEmbedded(scope, platformOf()))).toMatchSnapshot();
});

test('a secret of one’s own is used instead', () => {
  const postgres = { embedded: { existingSecret: 'mine', maxConnections: 77 } };
  const yaml = built((scope) => postgresEmbedded(scope, platformOf({ postgres })));
  expect(yaml.match(/name: mine\n/g)).toHaveLength(2);
  expect(yaml).toContain('max_connections=77');
});
