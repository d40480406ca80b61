import { expect, test } from '@jest/globals';
import { built, platformOf } from '../testing/platforms.ts';
import { postgresCnpg } from './postgres-cnpg.ts';
import { topClients } from './top-clients.ts';

const platform = platformOf({ postgres: { mode: 'cnpg', cnpg: { storage: { className: 'fast' } } } });

test('a cluster, and a database for each page', () => {
  expect(built((scope) => postgresCnpg(scope, platform))).toMatchSnapshot();
});

test('roles reach it encrypted, and trust its own certificates alone', () => {
  const yaml = built((scope) => topClients(scope, platform));
  expect(yaml).toContain('@top-clients-postgres-rw:5432/source\n');
  // Given such a file, a role verifies authority and host name (tests/contract/database-tls.spec.ts).
  expect(yaml).toMatch(/name: TC_DATABASE_CA_FILE\n\s+value: \/etc\/postgres-ca\/ca\.crt/);
  expect(yaml).toContain('secretName: top-clients-postgres-ca');
});
