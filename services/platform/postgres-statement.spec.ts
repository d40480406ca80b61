/** Statements written here, held against what the driver makes of the same statements on the same real PostgreSQL. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Client } from 'pg';
import { type LocalPostgres, startPostgres } from '../local-stack/postgres.ts';
import { silentLog } from './log.ts';
import { connect, openPool } from './postgres.ts';
import { plainArray, runStatement } from './postgres-statement.ts';

let folder: string;
let postgres: LocalPostgres;
let db: Client;
const settings = { applicationName: 'spec', statementTimeoutMs: 10_000, connectTimeoutMs: 5_000 };
const open = (pipeline: boolean) =>
  connect({ ...settings, url: postgres.url('postgres'), pipeline }, () => {});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postgres-statement-'));
  postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  db = await open(true);
  await db.query('create table kept (id bigint primary key, words text)');
}, 30_000);
afterAll(async () => {
  await db?.end();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

const ECHO = { name: 'echo', text: 'select $1::text, $2::bigint, $3::text, $4::bigint[], null::text' };
const INSERT = { name: 'insert', text: 'insert into kept select * from unnest($1::bigint[], $2::text[])' };

// PostgreSQL holds no zero character, and half a pair of surrogates is no text.
const words = fc
  .string({ unit: 'binary', maxLength: 40 })
  .map((text) => text.replaceAll('\0', ' ').toWellFormed());

test('answers what the driver answers, whatever the values are', async () => {
  const values = fc.record({
    text: words,
    whole: fc.maxSafeInteger(),
    texts: fc.array(words, { minLength: 1, maxLength: 5 }),
    ids: fc.array(fc.maxSafeInteger(), { maxLength: 5 }),
    asBytes: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(values, async ({ text, whole, texts, ids, asBytes }) => {
      const parts = texts.map((one) => {
        const bytes = Buffer.from(`<${one}>`);
        return asBytes ? { bytes, start: 1, end: bytes.length - 1 } : one;
      });
      const ours = runStatement(db, ECHO, [
        text,
        whole,
        { texts: parts, separator: '\x1e' },
        plainArray(ids),
      ]);
      const theirs = db.query({
        ...{ name: 'their-echo', text: ECHO.text, rowMode: 'array' },
        types: { getTypeParser: () => (value: unknown) => value },
        values: [text, whole, texts.join('\x1e'), ids],
      });
      const [{ rows, count }, answer] = await Promise.all([ours, theirs]);
      expect(rows).toEqual(answer.rows);
      expect(count).toBe(1);
    }),
    { numRuns: 200 },
  );
});

test('values larger than guessed, and none', async () => {
  const long = '€'.repeat(1_000_000);
  const { rows } = await runStatement(db, ECHO, [long, 1, { texts: [long, ''], separator: ',' }, '{}']);
  expect(rows[0]![0] === long && rows[0]![2] === `${long},`).toBe(true);
  const none = { name: 'none', text: 'select 1 where false' };
  expect(await runStatement(db, none, [])).toEqual({ rows: [], count: 0 });
});

test('counts what was written; what is refused is told, and what was sent behind it is answered', async () => {
  const answers = await Promise.allSettled([
    runStatement(db, INSERT, ['{1,2,3}', '{a,b,c}']),
    runStatement(db, INSERT, ['{4,1}', '{d,e}']),
    runStatement(db, { name: 'no-such', text: 'select * from nothing_here' }, []),
    runStatement(db, INSERT, ['no array', '{}']),
    runStatement(db, { ...INSERT, text: 'select 1' }, []),
    runStatement(db, ECHO, ['a\0b', 1, { texts: ['c'], separator: ',' }, '{}']),
    runStatement(db, INSERT, ['{5}', '{f}']),
    db.query('select count(*)::int as count from kept'),
  ]);
  expect(answers).toMatchObject([
    { status: 'fulfilled', value: { rows: [], count: 3 } },
    { status: 'rejected', reason: { code: '23505' } },
    { status: 'rejected', reason: { code: '42P01' } },
    { status: 'rejected', reason: { code: '22P02' } },
    { status: 'rejected', reason: { message: 'another statement is prepared as insert' } },
    { status: 'rejected', reason: { code: '22021' } },
    { status: 'fulfilled', value: { count: 1 } },
    { status: 'fulfilled', value: { rows: [{ count: 4 }] } },
  ]);
  // What could not be prepared is prepared once it can be.
  await db.query('create table nothing_here (id int)');
  expect(await runStatement(db, { name: 'no-such', text: 'select * from nothing_here' }, [])).toMatchObject({
    count: 0,
  });
});

test('a pool takes its connection back, after an answer and after a refusal', async () => {
  const pool = openPool({ ...settings, url: postgres.url('postgres'), maximum: 1 }, silentLog);
  try {
    await expect(runStatement(pool, INSERT, ['no array', '{}'])).rejects.toMatchObject({ code: '22P02' });
    expect(await runStatement(pool, INSERT, ['{11}', '{x}'])).toMatchObject({ count: 1 });
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  } finally {
    await pool.end();
  }
});

test('a statement that takes too long, and a connection that is lost, are told', async () => {
  const hasty = await connect(
    { ...settings, statementTimeoutMs: 20, url: postgres.url('postgres'), pipeline: true },
    () => {},
  );
  const sleep = { name: 'sleep', text: 'select pg_sleep($1::float8)' };
  await expect(runStatement(hasty, sleep, [5])).rejects.toMatchObject({ code: '57014' });
  await hasty.end();
  const other = await open(true);
  const waiting = expect(runStatement(other, sleep, [60])).rejects.toThrow();
  await db.query('select pg_terminate_backend($1)', [(other as unknown as { processID: number }).processID]);
  await waiting;
  await expect(runStatement(other, sleep, [0])).rejects.toThrow();
});
