import { inspect } from 'node:util';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import { DatabaseUrl } from './database-url.ts';

/** What the driver makes of it. */
const connectionOf = (address: string) => {
  const client = new pg.Client({ connectionString: DatabaseUrl.of(address).revealed });
  const { user, password, host, port, database } = client;
  return { user, password, host, port, database };
};

const password = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 20 });

test('any password arrives as it is when it is percent-encoded', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), (secret) => {
      const address = `postgresql://me:${encodeURIComponent(secret)}@db.example:5433/source?sslmode=disable`;
      expect(connectionOf(address)).toEqual({
        user: 'me',
        password: secret,
        host: 'db.example',
        port: 5433,
        database: 'source',
      });
    }),
  );
});

test('a password that stands as it is arrives as it is, unless it looks encoded or like an address of its own', () => {
  fc.assert(
    fc.property(password, (secret) => {
      fc.pre(secret.trim() === secret && !/%[0-9a-f]{2}/i.test(secret));
      // What the standard reads otherwise: an @, and behind it a host and a path.
      fc.pre(!/@[\w.-]*(:\d+)?(\/[^/?#@]*)?(\?.*)?$/.test(secret));
      expect(connectionOf(`postgres://me:${secret}@db:5432/source`)).toMatchObject({
        user: 'me',
        password: secret,
        host: 'db',
        database: 'source',
      });
    }),
    { numRuns: 500 },
  );
});

test.each(['a/b', 'a#b', 'a@b', 'a%b', 'a:b', 'a b', 'a?b', '12/34', 'g#4624$@F$#v`', '%', '/', '#@/%: '])(
  'the password %p works as it stands',
  (secret) => {
    expect(connectionOf(`postgresql://me:${secret}@[::1]:5432/source`)).toMatchObject({
      password: secret,
      database: 'source',
    });
  },
);

test.each([
  ['postgresql://db/source', { host: 'db', database: 'source' }],
  ['postgresql://me@tenant:pw@db/source', { user: 'me@tenant', password: 'pw' }],
  ['postgresql://me:pw\n@db/source\n', { password: 'pw', database: 'source' }],
  ['postgresql:///source?host=/run/postgresql', { host: '/run/postgresql', database: 'source' }],
])('%p is an address', (address, expected) => {
  expect(connectionOf(address)).toMatchObject(expected);
});

test.each([
  'mysql://me:Geheim1@db/x',
  'postgresql://me:Geheim1@',
  'postgresql://me:Geheim1@db:99999/x',
  'postgresql://me:Geheim1@db1,db2/x',
  'postgresql://me:Geheim1@db/a/b',
  'Geheim1',
  '',
])('%p is refused, with what is wanted and without what was given', (address) => {
  expect(() => DatabaseUrl.of(address)).toThrow(/must .*(address like|name a host|have a port)/);
  expect(() => DatabaseUrl.of(address)).not.toThrow(/Geheim1/);
});

test('it shows itself without the password, wherever it is printed', () => {
  const one = DatabaseUrl.of('postgresql://me:Geheim1@db:5432/source?password=Geheim1&sslmode=require');
  for (const shown of [
    String(one),
    JSON.stringify({ one }),
    inspect({ deep: { one } }, { depth: 9, showHidden: true }),
  ])
    expect(shown).not.toContain('Geheim1');
  expect(String(one)).toBe('postgresql://me:…@db:5432/source');
});
