/** No secret in anything that a program says: of wrong settings, of right ones that do not work, in any role. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect, promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ConfigError, readConfig } from '#platform/config.ts';
import { silentLog } from '#platform/log.ts';
import { connect, openPool } from '#platform/postgres.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { until } from '../../services/local-stack/until.ts';
import { ROLES } from '../../services/roles.ts';
import {
  ISOLATED_ROLES,
  type IsolatedRole,
  type IsolatedRoles,
  openIsolatedRoles,
} from '../support/isolated-roles.ts';

const MAIN = fileURLToPath(new URL('../../services/main.ts', import.meta.url));
const SECRET = 'Geheim-7';

const roles = await Promise.all(Object.values(ROLES).map(async (load) => (await load()).role));

const WRONG = [
  SECRET,
  `postgres//user:${SECRET}@host/db`,
  `postgresql://user:${SECRET}@host:port/db`,
  `https://user:${SECRET}@host/`,
  `mysql://user:${SECRET}@host/db`,
  `host:9092,${SECRET}`,
];

test('there is a role for each program', () => expect(roles.length).toBeGreaterThanOrEqual(15));

test.each(roles.map((role) => [role.name, role] as const))(
  '%s says nothing of what it was given',
  (name, role) => {
    const complaints = (argv: string[], env: Record<string, string>): string => {
      try {
        readConfig(name, role.settings, argv, env);
        return '';
      } catch (err) {
        expect(err).toBeInstanceOf(ConfigError);
        return `${inspect(err)} ${(err as Error).message}`;
      }
    };
    for (const wrong of WRONG) {
      for (const one of Object.values(role.settings)) {
        const said = complaints([], { [one.env]: wrong });
        // A number, or one of a few words, is no place for a secret, and is told so that it can be found.
        const taken = one.schema.safeParse(undefined);
        const isWord = /is "/.test(said) && !/URL|ADDRESS|PASSWORD|HEADERS|BROKERS|KEY/.test(one.env);
        if (!isWord) expect(`${one.env}: ${said}, ${taken.success}`).not.toContain(SECRET);
      }
      expect(complaints([wrong], {})).not.toContain(SECRET);
      expect(complaints([`--no-such-flag=${wrong}`], {})).not.toContain(SECRET);
      expect(complaints([], { TC_NO_SUCH_SETTING: wrong })).not.toContain(SECRET);
    }
  },
);

test.each(roles.map((role) => [role.name, role] as const))(
  'the address of a database in the configuration of %s does not show its password',
  (_, role) => {
    const address = `postgresql://user:${SECRET}@host:5432/db`;
    for (const one of Object.values(role.settings).filter(({ env }) => env.endsWith('DATABASE_URL'))) {
      const parsed = one.schema.parse(address);
      for (const shown of [String(parsed), JSON.stringify(parsed), inspect(parsed, { showHidden: true })])
        expect(`${one.env} ${shown}`).not.toContain(SECRET);
    }
  },
);

describe('a server that wants passwords', () => {
  const PASSWORDS = ['a/b#c@d', '50% & more: yes?', `'"\\ ;=+`, SECRET];
  let folder: string;
  let postgres: LocalPostgres;
  const settings = (user: string, password: string) => ({
    url: `postgresql://${user}:${password}@127.0.0.1:${postgres.port}/postgres`,
    applicationName: 'spec',
    statementTimeoutMs: 5_000,
    connectTimeoutMs: 5_000,
  });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'secrets-'));
    postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
    const admin = await connect({ ...settings('postgres', ''), url: postgres.url('postgres') }, () => {});
    for (const [i, password] of PASSWORDS.entries())
      await admin.query(`create user "user${i}" password ${admin.escapeLiteral(password)}`);
    await admin.end();
    await writeFile(
      join(folder, 'postgres', 'pgdata', 'pg_hba.conf'),
      'host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n',
    );
    postgres.kill('SIGHUP');
  }, 30_000);
  afterAll(async () => {
    await postgres?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  test.each(PASSWORDS.map((password, i) => [password, i] as const))(
    'takes %p percent-encoded and as it stands',
    async (password, i) => {
      await until('the server wants passwords', async () =>
        connect(settings('user0', 'wrong'), () => {}).then(
          (client) => client.end().then(() => false),
          () => true,
        ),
      );
      for (const written of [encodeURIComponent(password), password]) {
        const pool = openPool({ ...settings(`user${i}`, written), maximum: 1 }, silentLog);
        expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
        for (const shown of [inspect(pool, { depth: 4 }), JSON.stringify(pool.options)])
          expect(shown).not.toContain(written);
        await pool.end();
      }
    },
  );

  test('refuses a wrong one, and nothing says which', async () => {
    const refused = await connect(settings('user0', SECRET), () => {}).catch((err: Error) => err);
    expect(String(refused)).toContain('password authentication failed for user "user0"');
    expect(inspect(refused, { depth: 9, showHidden: true })).not.toContain(SECRET);
  });
});

/** Right in its form, and leading to nobody: every way that an error takes is walked. */
const NOBODY = `postgresql://user:${SECRET}@127.0.0.1:1/db`;
const KAFKA = {
  TC_KAFKA_BROKERS: '127.0.0.1:1',
  TC_KAFKA_SASL_MECHANISM: 'scram-sha-512',
  TC_KAFKA_SASL_USERNAME: 'user',
  TC_KAFKA_SASL_PASSWORD: SECRET,
};

describe('a program whose servers are away', () => {
  let isolated: IsolatedRoles;
  beforeAll(async () => {
    isolated = await openIsolatedRoles();
  });
  afterAll(() => isolated.stop());

  test.each(Object.keys(ISOLATED_ROLES) as IsolatedRole[])(
    '%s says no secret in its log, its readiness and its metrics',
    async (name) => {
      const one = await isolated.start(name, {
        TC_DATABASE_URL: NOBODY,
        ...('TC_KAFKA_BROKERS' in ISOLATED_ROLES[name] ? KAFKA : {}),
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
        OTEL_EXPORTER_OTLP_HEADERS: `authorization=${SECRET}`,
      });
      await until('it has found nobody', async () => /ECONNREFUSED/.test(await one.log()));
      for (const said of [await one.log(), await one.readiness(), await one.metrics()])
        expect(said).not.toContain(SECRET);
    },
  );

  const page = { TC_PAGE: 'gig', TC_DATABASE_URL: NOBODY };
  const compared = { ...page, TC_SOURCE_DATABASE_URL: NOBODY, ...KAFKA };
  const ENDING: ReadonlyArray<readonly [string, Readonly<Record<string, string>>]> = [
    ['migrate', { TC_TARGET: 'source', TC_DATABASE_URL: `postgresql//user:${SECRET}@host` }],
    [
      'migrate',
      { TC_TARGET: 'source', TC_DATABASE_URL: `postgresql://user:${SECRET}@no-such-host.invalid/db` },
    ],
    ['drop-view', page],
    ['compare-views', compared],
  ];
  test('those that end by themselves end without saying a secret', async () => {
    const ends = await Promise.all(
      ENDING.map(([name, env]) =>
        promisify(execFile)(process.execPath, [MAIN, name], {
          env: { PATH: process.env['PATH'], TC_HEALTH_PORT: '0', ...env },
        }).then(
          () => ({ code: 0, stdout: '', stderr: '' }),
          (err: { code: number; stdout: string; stderr: string }) => err,
        ),
      ),
    );
    for (const { code, stdout, stderr } of ends) {
      expect(code).toBeGreaterThan(0);
      expect(`${stdout}${stderr}`).toMatch(/ECONNREFUSED|ENOTFOUND|EAI_AGAIN|must be an address like/);
      expect(`${stdout}${stderr}`).not.toContain(SECRET);
    }
  });
});
