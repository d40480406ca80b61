/** A database with a certificate of a private authority, as companies and clouds have it: who is trusted, and what is said. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readConfig } from '#platform/config.ts';
import { databaseCaFile, withTls } from '#platform/database-tls.ts';
import { silentLog } from '#platform/log.ts';
import { connect, isUnavailable, openPool } from '#platform/postgres.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { migratePage, migrateSource } from '../../services/migrate/databases.ts';
import { type Authority, makeAuthority } from '../support/authority.ts';

const SETTINGS = { applicationName: 'test', statementTimeoutMs: 5_000, connectTimeoutMs: 5_000 };

let folder: string;
let ours: Authority;
let others: Authority;
let postgres: LocalPostgres;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'database-tls-'));
  [ours, others] = await Promise.all([makeAuthority('ours'), makeAuthority('others')]);
  postgres = await startPostgres({
    dataDir: join(folder, 'postgres'),
    // Not for the address 127.0.0.1.
    tls: await ours.sign('DNS:localhost', 'DNS:db.example'),
  });
  await postgres.createDatabase('source');
}, 30_000);

afterAll(async () => {
  await postgres?.stop();
  await Promise.all([ours?.close(), others?.close()]);
  await rm(folder, { recursive: true, force: true });
}, 30_000);

const address = (host: string, query = '') => `postgresql://postgres@${host}:${postgres.port}/source${query}`;

/** What the connection is like, asked through a session and through a pool; or why there is none. */
async function through(url: string, caFile?: string): Promise<{ encrypted: boolean } | { error: Error }> {
  const ask = 'select ssl as encrypted from pg_stat_ssl where pid = pg_backend_pid()';
  const bySession = async () => {
    const db = await connect({ ...SETTINGS, url, caFile }, () => {});
    const { rows } = await db.query<{ encrypted: boolean }>(ask);
    await db.end();
    return rows[0]!;
  };
  const pool = openPool({ ...SETTINGS, url, caFile, maximum: 1 }, silentLog);
  const byPool = pool.query<{ encrypted: boolean }>(ask).then(({ rows }) => rows[0]!);
  const [one, other] = await Promise.all(
    [bySession(), byPool].map((asked) => asked.catch((error: Error) => ({ error }))),
  );
  await pool.end();
  // Whichever way is taken, the words are the same.
  const words = (result: typeof one) => (result && 'error' in result ? result.error.message : result);
  expect(words(other!)).toEqual(words(one!));
  return one!;
}
const messageOf = async (url: string, caFile?: string) => {
  const result = await through(url, caFile);
  if (!('error' in result)) throw new Error(`it was let in: ${JSON.stringify(result)}`);
  // It is out of reach, not wrong: whoever renews a certificate need not restart anybody.
  expect(isUnavailable(result.error)).toBe(true);
  return result.error.message;
};

describe('the authority that a setting names', () => {
  test.each(['', '?sslmode=require', '?sslmode=verify-ca', '?sslmode=verify-full&application_name=x'])(
    'is trusted, by TLS, with an address that ends in "%s"',
    async (query) => {
      expect(await through(address('localhost', query), ours.caFile)).toEqual({ encrypted: true });
    },
  );

  test('another one is refused, with what to put where', async () => {
    expect(await messageOf(address('localhost'), others.caFile)).toBe(
      `the certificate of the database at localhost:${postgres.port} is not signed by an authority in ${others.caFile} (UNABLE_TO_VERIFY_LEAF_SIGNATURE); put the authority that signed it into that file`,
    );
  });

  test('does not help to a host that the certificate is not for', async () => {
    expect(await messageOf(address('127.0.0.1'), ours.caFile)).toBe(
      `the certificate of the database at 127.0.0.1:${postgres.port} is for DNS:localhost, DNS:db.example, not for 127.0.0.1; connect by a name that it has, or have one made for this host`,
    );
  });

  test('cannot go with an address that wants no TLS, or none that is verified', () => {
    for (const mode of ['disable', 'no-verify']) {
      expect(() => withTls(address('localhost', `?sslmode=${mode}`), ours.caFile)).toThrow(
        `asks for sslmode=${mode}, and a file with the authority to trust for it is given; write sslmode=verify-full`,
      );
    }
  });

  test('brings a database to this version, as whoever migrates it does', async () => {
    await postgres.createDatabase('gig');
    const gig = address('localhost').replace('/source', '/gig');
    const access = { caFile: ours.caFile };
    expect(await migrateSource(address('localhost'), silentLog, access)).not.toEqual([]);
    expect(await migratePage('gig', gig, 'none', silentLog, access)).not.toEqual([]);
  });

  test('a file of it that is not there, or none, ends the start', async () => {
    const empty = join(folder, 'empty.crt');
    await writeFile(empty, 'no certificate\n');
    const settings = { caFile: databaseCaFile('TC_DATABASE_CA_FILE') };
    const read = (file: string) => () => readConfig('role', settings, [], { TC_DATABASE_CA_FILE: file });
    expect(read(join(folder, 'nothing'))).toThrow('the file cannot be read (ENOENT); mount it, or correct');
    expect(read(empty)).toThrow('the file holds no certificate; it must be PEM');
    expect(read(ours.caFile)()).toEqual({ caFile: ours.caFile });
  });
});

describe('an address alone', () => {
  test('names the authority by sslrootcert', async () => {
    const query = `?sslmode=verify-full&sslrootcert=${encodeURIComponent(ours.caFile)}`;
    expect(await through(address('localhost', query))).toEqual({ encrypted: true });
    expect(await messageOf(address('127.0.0.1', query))).toContain('not for 127.0.0.1');
  });

  test.each(['prefer', 'require', 'verify-ca', 'verify-full'])(
    'that says sslmode=%s is verified against the public authorities',
    async (mode) => {
      expect(await messageOf(address('localhost', `?sslmode=${mode}`))).toContain(
        `the database at localhost:${postgres.port} is not signed by a public authority (UNABLE_TO_VERIFY_LEAF_SIGNATURE); name the file with the authority that signed it in TC_DATABASE_CA_FILE`,
      );
    },
  );

  test('that asks for the words of libpq gets what they mean there', async () => {
    expect(await through(address('localhost', '?uselibpqcompat=true&sslmode=require'))).toEqual({
      encrypted: true,
    });
  });

  test('that asks for TLS where there is none is told so', async () => {
    const plain = await startPostgres({ dataDir: join(folder, 'plain') });
    try {
      const url = `postgresql://postgres@localhost:${plain.port}/postgres`;
      expect(await messageOf(url, ours.caFile)).toBe(
        `the database at localhost:${plain.port} does not speak TLS, which its address asks for; turn it on there (ssl = on), or write sslmode=disable`,
      );
      expect(await through(url)).toEqual({ encrypted: false });
    } finally {
      await plain.stop();
    }
  }, 20_000);
});
