import { describe, expect, test } from '@jest/globals';
import { build } from '../build.ts';
import { built, platformOf } from '../testing/platforms.ts';
import { postgresCnpg } from './postgres-cnpg.ts';
import { topClients } from './top-clients.ts';

const platform = platformOf({ postgres: { mode: 'cnpg', cnpg: { storage: { className: 'fast' } } } });

test('a cluster for the source, one for the pages, and a database for each page', () => {
  expect(built((scope) => postgresCnpg(scope, platform))).toMatchSnapshot();
});

test('roles reach it encrypted, and trust its own certificates alone', () => {
  const yaml = built((scope) => topClients(scope, platform));
  expect(yaml).toContain('@top-clients-postgres-rw:5432/source\n');
  // Given such a file, a role verifies authority and host name (tests/contract/database-tls.spec.ts).
  expect(yaml).toMatch(/name: TC_DATABASE_CA_FILE\n\s+value: \/etc\/postgres-ca\/ca\.crt/);
  expect(yaml).toContain('secretName: top-clients-postgres-ca');
});

interface Cluster {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly instances: number;
    readonly storage: unknown;
    readonly smartShutdownTimeout: number;
    readonly primaryLease?: unknown;
    readonly postgresql: {
      readonly synchronous?: unknown;
      readonly parameters: { readonly max_connections: string };
    };
  };
}
const clusters = (postgres: object): Readonly<Record<string, Cluster['spec']>> =>
  Object.fromEntries(
    (
      build((scope) =>
        postgresCnpg(scope, platformOf({ postgres: { mode: 'cnpg', ...postgres } })),
      ) as unknown as Cluster[]
    )
      .filter(({ spec }) => 'instances' in spec)
      .map(({ metadata, spec }) => [metadata.name, spec]),
  );
const SOURCE = 'top-clients-postgres';
const PAGES = 'top-clients-postgres-pages';

describe('a write of a seller is on a standby before it is acknowledged', () => {
  const waitsFor = (cnpg: object) => clusters({ cnpg })[SOURCE]!.postgresql.synchronous;
  const once = { method: 'any', number: 1, dataDurability: 'required' };

  test.each([
    ['three instances', {}, once],
    ['two instances', { instances: 2 }, once],
    ['one instance, which has no standby', { instances: 1 }, undefined],
    ['nobody asked to wait', { synchronous: { number: 0 } }, undefined],
    ['two of five', { instances: 5, synchronous: { number: 2 } }, { ...once, number: 2 }],
    [
      'writes preferred to durability',
      { synchronous: { dataDurability: 'preferred' } },
      { ...once, dataDurability: 'preferred' },
    ],
    ['a quorum for a failover', { synchronous: { failoverQuorum: true } }, { ...once, failoverQuorum: true }],
  ])('%s', (_, cnpg, expected) => {
    expect(waitsFor(cnpg)).toEqual(expected);
  });

  test('those of pages are not waited for, unless asked', () => {
    expect(clusters({})[PAGES]!.postgresql.synchronous).toBeUndefined();
    expect(
      clusters({ cnpg: { pages: { synchronous: { number: 1 } } } })[PAGES]!.postgresql.synchronous,
    ).toEqual({ ...once, dataDurability: 'preferred' });
  });

  test('more standbys than there are is refused', () => {
    expect(() => clusters({ cnpg: { instances: 2, synchronous: { number: 2 } } })).toThrow(/counts standbys/);
    expect(() => clusters({ cnpg: { pages: { instances: 1, synchronous: { number: 1 } } } })).toThrow(
      /cnpg\.pages\.instances/,
    );
  });
});

test('an end does not wait for clients that never leave, nor is its window larger than the whole', () => {
  expect(clusters({})[SOURCE]!.smartShutdownTimeout).toBe(1);
  expect(clusters({})[PAGES]!.smartShutdownTimeout).toBe(1);
  expect(() => clusters({ cnpg: { smartShutdownTimeout: 90 } })).toThrow(/stopDelay must be more/);
});

test('a shorter lease is given up before it ends; none is said unless asked, for older versions know none', () => {
  expect(clusters({})[SOURCE]!.primaryLease).toBeUndefined();
  expect(clusters({ cnpg: { primaryLeaseSeconds: 9 } })[SOURCE]!.primaryLease).toEqual({
    leaseDurationSeconds: 9,
    renewDeadlineSeconds: 6,
    retryPeriodSeconds: 2,
  });
});

test('pages are as the source, or as it is said for them', () => {
  const same = clusters({ cnpg: { instances: 2, storage: { size: '9Gi' } } });
  expect(same[PAGES]).toMatchObject({ instances: 2, storage: { size: '9Gi' } });
  const own = clusters({
    cnpg: { pages: { instances: 2, storage: { size: '5Gi', className: 'slow' }, maxConnections: 77 } },
  });
  expect(own[PAGES]).toMatchObject({
    instances: 2,
    storage: { size: '5Gi', storageClass: 'slow' },
    postgresql: { parameters: { max_connections: '77' } },
  });
  expect(own[SOURCE]).toMatchObject({
    instances: 3,
    storage: { size: '50Gi' },
    postgresql: { parameters: { max_connections: '300' } },
  });
});
