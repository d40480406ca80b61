import { describe, expect, test } from '@jest/globals';
import { DATABASE_SERVERS } from '../api/shared.ts';
import { objectsOf, platformOf, podOf, wanted } from '../testing/platforms.ts';
import { accounts, databaseOn } from './database-access.ts';
import { databaseServers, serverOfDatabase } from './database-servers.ts';

describe.each(['embedded', 'cnpg'])('with postgres.mode %s', (mode) => {
  describe.each(DATABASE_SERVERS)('divided as %s', (servers) => {
    const postgres = { mode, servers };
    const platform = platformOf({ postgres });

    test('every database is on one server', () => {
      const all = databaseServers(platform).flatMap(({ databases }) => databases);
      expect([...all].sort()).toEqual(Object.keys(databaseOn).sort());
    });

    test('every program is led to the server with the database it names, and trusts that one', () => {
      const containers = objectsOf(
        wanted({
          topClients: { postgres, demoData: { enabled: true } },
          pages: { gig: {}, user: {}, search: {} },
        }),
      ).flatMap((object) => {
        const spec = podOf(object)?.spec;
        return (spec ? [...(spec.initContainers ?? []), ...spec.containers] : []).map((container) => ({
          container,
          volumes: (spec?.volumes ?? []) as { name: string; secret?: { secretName: string } }[],
        }));
      });
      let judged = 0;
      for (const { container, volumes } of containers) {
        const { env = [], volumeMounts = [] } = container;
        for (const { name, value = '' } of env) {
          const [, user, password, host, database] =
            /^postgresql:\/\/\$\((\w+)\):\$\((\w+)\)@([^:]+):5432\/(\w+)$/.exec(value) ?? [];
          if (database === undefined) continue;
          const [of] = Object.entries(databaseOn).find(([, called]) => called === database)!;
          const server = serverOfDatabase(platform, of as keyof typeof databaseOn);
          const service = name.includes('REPLICA') ? 'ro' : 'rw';
          expect(host).toBe(mode === 'cnpg' ? `${server.name}-${service}` : server.name);
          const from = [user, password].map(
            (variable) => env.find((one) => one.name === variable)?.valueFrom?.secretKeyRef,
          );
          expect(from.map((one) => one?.key)).toEqual(['username', 'password']);
          expect(from[0]!.name).toBe(from[1]!.name);
          const owner = mode === 'cnpg' ? `${server.name}-app` : server.name;
          const known = [owner, ...accounts(server.databases).map(({ secret }) => secret)];
          expect(known).toContain(from[0]!.name);
          if (mode === 'cnpg') {
            const file = env.find((one) => one.name === name.replace(/_URL$/, '_CA_FILE'))!.value!;
            const mount = volumeMounts.find(({ mountPath }) => file === `${mountPath}/ca.crt`);
            expect(volumes.find((volume) => volume.name === mount?.name)?.secret?.secretName).toBe(
              `${server.name}-ca`,
            );
          }
          judged++;
        }
      }
      // The watchers, comparisons and removals among them have two each, and the seed all five.
      expect(judged).toBeGreaterThan(30);
    });
  });
});

test('pages are apart from the source unless asked otherwise, and the self-view is beside it', () => {
  const division = (postgres: object) =>
    databaseServers(platformOf({ postgres })).map(({ name, databases }) => [name, ...databases]);
  expect(division({})).toEqual([
    ['top-clients-postgres', 'source', 'selfView'],
    ['top-clients-postgres-pages', 'gig', 'user', 'search'],
  ]);
  expect(division({ servers: 'each' })).toEqual([
    ['top-clients-postgres', 'source', 'selfView'],
    ['top-clients-postgres-gig', 'gig'],
    ['top-clients-postgres-user', 'user'],
    ['top-clients-postgres-search', 'search'],
  ]);
  expect(division({ servers: 'shared' })).toEqual([
    ['top-clients-postgres', 'source', 'gig', 'user', 'search', 'selfView'],
  ]);
  expect(division({ mode: 'external', external: { existingSecret: 'mine' } })).toEqual([]);
});

test('how they were divided counts, whatever the values want', () => {
  const platform = { ...platformOf({ postgres: { servers: 'each' } }), databaseServers: 'shared' as const };
  expect(databaseServers(platform).map(({ name }) => name)).toEqual(['top-clients-postgres']);
});
