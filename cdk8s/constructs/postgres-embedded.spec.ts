import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import pg from 'pg';
import { startPostgres } from '../../services/local-stack/postgres.ts';
import { runToEnd } from '../../services/local-stack/process.ts';
import { until } from '../../services/local-stack/until.ts';
import { build } from '../build.ts';
import { built, platformOf } from '../testing/platforms.ts';
import { accounts } from './database-access.ts';
import { postgresEmbedded } from './postgres-embedded.ts';

const SHARED = { servers: 'shared' };

test('one server with all databases, on a volume', () => {
  expect(built((scope) => postgresEmbedded(scope, platformOf({ postgres: SHARED })))).toMatchSnapshot();
});

test('pages have another server than the source, with users and an owner of its own', () => {
  const yaml = built((scope) => postgresEmbedded(scope, platformOf()));
  const [ofSource, ofPages] = ['', '-pages'].map((suffix) =>
    yaml.split('---\n').filter((one) => one.includes(`\n  name: top-clients-postgres${suffix}\n`)),
  );
  expect([ofSource, ofPages].map((objects) => objects?.map((one) => /kind: (\w+)/.exec(one)?.[1]))).toEqual([
    ['ConfigMap', 'Service', 'StatefulSet'],
    ['ConfigMap', 'Service', 'StatefulSet'],
  ]);
  expect(ofSource![0]).toContain("array['source', 'self_view']");
  expect(ofSource![0]).not.toContain('projector');
  expect(ofPages![0]).toContain("array['gig', 'user', 'search']");
  expect(ofPages![0]).not.toMatch(/relay|republish|page_self_view/);
  // Who compares reads both, as the same user.
  for (const [scripts] of [ofSource!, ofPages!]) expect(scripts).toContain('top_clients_watcher');
  expect(ofPages![2]).toContain('key: password\n                  name: top-clients-postgres-pages\n');
  expect(ofPages![2]).toContain('name: POSTGRES_DB\n              value: gig');
});

test('a secret of one’s own is used instead', () => {
  const postgres = { ...SHARED, embedded: { existingSecret: 'mine', maxConnections: 77 } };
  const yaml = built((scope) => postgresEmbedded(scope, platformOf({ postgres })));
  expect(yaml.match(/name: mine\n/g)).toHaveLength(2);
  expect(yaml).toContain('max_connections=77');
});

const isInstalled = spawnSync('psql', ['--version']).status === 0;
// Named, so that a run without it says what it did not try.
(isInstalled ? test : test.skip)(
  `what the server runs at every start makes databases and users${isInstalled ? '' : ' (skipped: `psql` is not installed)'}`,
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'embedded-'));
    const postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
    try {
      const [scripts] = build((scope) =>
        postgresEmbedded(scope, platformOf({ postgres: SHARED })),
      ) as unknown as [{ data: Record<string, string> }];
      const file = join(folder, 'databases.sql');
      await writeFile(file, scripts!.data['databases.sql']!);
      const env: Record<string, string> = {
        ...Object.fromEntries(
          accounts().map(({ name }) => [`PASSWORD_OF_${name.toUpperCase()}`, `it's-${name}`]),
        ),
        POSTGRES_USER: 'the owner',
        POSTGRES_PASSWORD: "it's-the-first",
      };
      const db = new pg.Client({ connectionString: postgres.url('postgres') });
      await db.connect();
      await db.query(`create role "the owner" login superuser`);
      const run = () =>
        runToEnd(
          'psql',
          ['--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1', `--file=${file}`, postgres.url('postgres')],
          { env },
        );
      await run();
      await run();
      const { rows: users } = await db.query(
        `select rolname as name, rolsuper as super, rolpassword like 'SCRAM-SHA-256$%' as has_password
        from pg_authid where rolcanlogin and rolname not in ('postgres', 'the owner') order by 1`,
      );
      expect(users).toEqual(
        accounts()
          .map(({ name }) => ({ name, super: false, has_password: true }))
          .sort((a, b) => (a.name < b.name ? -1 : 1)),
      );
      // Until something is granted to them there, nobody but the owner signs in to any of the databases.
      const { rows: signsIn } = await db.query(
        `select datname, rolname from pg_database, pg_roles
        where not datistemplate and rolname like 'top_clients_%' and has_database_privilege(rolname, datname, 'connect')`,
      );
      expect(signsIn).toEqual([]);
      const { rows } = await db.query('select datname from pg_database where not datistemplate order by 1');
      expect(rows.map(({ datname }) => datname)).toEqual([
        ...['gig', 'postgres', 'search', 'self_view', 'source', 'user'],
      ]);

      // The secret was lost, and the operator has made another one: at its next start the server takes that.
      const address = new URL(postgres.url('source'));
      const signsInBy = async (password: string) => {
        const client = new pg.Client({
          host: address.hostname,
          port: Number(address.port),
          database: 'source',
          user: 'the owner',
          password,
        });
        try {
          await client.connect();
          return 'welcome';
        } catch (err) {
          return (err as { code?: string }).code;
        } finally {
          await client.end();
        }
      };
      await writeFile(
        join(folder, 'postgres', 'pgdata', 'pg_hba.conf'),
        'host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n',
      );
      await db.query('select pg_reload_conf()');
      await until('passwords count', async () => (await signsInBy('wrong')) === '28P01');
      expect(await signsInBy("it's-the-first")).toBe('welcome');
      env['POSTGRES_PASSWORD'] = "it's-another";
      await run();
      expect(await signsInBy("it's-the-first")).toBe('28P01');
      expect(await signsInBy("it's-another")).toBe('welcome');
      await db.end();
    } finally {
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    }
  },
  60_000,
);
