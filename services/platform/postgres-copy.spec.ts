/** Rows in the binary format of COPY, held against what the same real PostgreSQL makes of the same values in SQL. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Client } from 'pg';
import { type LocalPostgres, startPostgres } from '../local-stack/postgres.ts';
import { connect } from './postgres.ts';
import { CopyRows, copyRows } from './postgres-copy.ts';

let folder: string;
let postgres: LocalPostgres;
let db: Client;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postgres-copy-'));
  postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  const settings = { applicationName: 'spec', statementTimeoutMs: 10_000, connectTimeoutMs: 5_000 };
  db = await connect({ ...settings, url: postgres.url('postgres'), pipeline: true }, () => {});
  await db.query(
    `create table copied (id bigint primary key, small smallint, at timestamptz, list json, ids uuid[])`,
  );
}, 30_000);
beforeEach(() => db.query('truncate copied'));
afterAll(async () => {
  await db?.end();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Row {
  readonly id: number;
  readonly small: number;
  readonly at: string;
  readonly list: string;
  readonly ids: readonly string[];
}
const row = (id: number, more: Partial<Row> = {}): Row => ({
  ...{ id, small: 1, at: '2026-11-30T01:02:03.004Z', list: '[]', ids: [] },
  ...more,
});
/** @param expectedBytes by default too few, so that the buffer grows */
function encoded(rows: readonly Row[], expectedBytes = 0): CopyRows {
  const copy = new CopyRows(expectedBytes);
  for (const { id, small, at, list, ids } of rows) {
    copy.begin(5);
    copy.bigint(id);
    copy.smallint(small);
    copy.timestamptz(at);
    copy.text(list);
    copy.uuids(ids);
  }
  return copy;
}
const copy = (rows: readonly Row[]) => copyRows(db, 'copy copied from stdin (format binary)', encoded(rows));
const bytesOfAll = async () =>
  (
    await db.query<{ bytes: string }>(
      `select encode(record_send(copied), 'hex') as bytes from copied order by id`,
    )
  ).rows;

test('a copied row is to the last byte what SQL makes of the same values', async () => {
  const rows = fc.uniqueArray(
    fc.record({
      id: fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -3, max: 3 })),
      small: fc.integer({ min: -32_768, max: 32_767 }),
      at: fc
        .date({
          min: new Date('0001-01-01T00:00:00.000Z'),
          max: new Date('9999-12-31T23:59:59.999Z'),
          noInvalidDate: true,
        })
        .map((date) => date.toISOString()),
      list: fc.json({ noUnicodeString: false }).filter((text) => text.isWellFormed()),
      ids: fc.array(
        fc.oneof(
          fc.uuid(),
          fc.uuid().map((id) => id.toUpperCase()),
        ),
        { maxLength: 4 },
      ),
    }),
    { minLength: 1, maxLength: 20, selector: ({ id }) => id },
  );
  await fc.assert(
    fc.asyncProperty(rows, async (all) => {
      await db.query('truncate copied');
      for (const { id, small, at, list, ids } of all)
        await db.query('insert into copied values ($1, $2, $3, $4, $5::uuid[])', [id, small, at, list, ids]);
      const expected = await bytesOfAll();
      await db.query('truncate copied');
      await copy(all);
      expect(await bytesOfAll()).toEqual(expected);
    }),
    { numRuns: 60 },
  );
});

test('text that is bytes already is copied as it stands', async () => {
  const bytes = Buffer.from('before["Łódź"]after');
  const rows = encoded([]);
  rows.begin(5);
  rows.bigint(1);
  rows.smallint(1);
  rows.timestamptz('2026-11-30T01:02:03.004Z');
  rows.text({ bytes, start: 6, end: bytes.length - 5 });
  rows.uuids([]);
  await copyRows(db, 'copy copied from stdin (format binary)', rows);
  expect((await db.query('select list::text as list from copied')).rows).toEqual([{ list: '["Łódź"]' }]);
});

test('what the format cannot say as SQL does is refused before it is sent', () => {
  const instants = [
    '2026-11-30T01:02:03Z',
    '2026-11-30T01:02:03.004+00:00',
    '0000-01-01T00:00:00.000Z',
    'now',
    '',
  ];
  for (const at of [...instants, '2026-13-30T01:02:03.004Z'])
    expect(() => encoded([row(1, { at })])).toThrow();
  for (const id of [1.5, 2 ** 53, Number.NaN]) expect(() => encoded([row(id)])).toThrow();
  for (const small of [40_000, -40_000]) expect(() => encoded([row(1, { small })])).toThrow();
  for (const id of ['no', '', '8c3a6cf1-6e6a-4d3e-9a53-6a9e2c1f0a1', '8c3a6cf16e6a4d3e9a536a9e2c1f0a11'])
    expect(() => encoded([row(1, { ids: [id] })])).toThrow();
});

test('a refused copy leaves no row, and what was sent behind it is answered in order', async () => {
  await copy([row(5)]);
  // More than the server reads at once, so that rows still arrive after it has refused them.
  const many = (first: number) =>
    Array.from({ length: 5_000 }, (_, i) => row(first + i, { list: JSON.stringify(['x'.repeat(500)]) }));
  const answers = await Promise.allSettled([
    copy(many(1)),
    db.query('select 1 as one'),
    copy(many(10_000)),
    copyRows(db, 'copy nothing_here from stdin (format binary)', encoded(many(1))),
    copy([row(20_000, { list: 'no json' })]),
    db.query('select count(*)::int as count from copied'),
  ]);
  expect(answers).toMatchObject([
    { status: 'rejected', reason: { code: '23505' } },
    { status: 'fulfilled', value: { rows: [{ one: 1 }] } },
    { status: 'fulfilled' },
    { status: 'rejected', reason: { code: '42P01' } },
    { status: 'rejected', reason: { code: '22P02' } },
    { status: 'fulfilled', value: { rows: [{ count: 5_001 }] } },
  ]);
});

test('a copy into a connection that is lost is rejected', async () => {
  const settings = { applicationName: 'spec', statementTimeoutMs: 10_000, connectTimeoutMs: 5_000 };
  const other = await connect({ ...settings, url: postgres.url('postgres'), pipeline: true }, () => {});
  await db.query('begin');
  await db.query('lock table copied');
  const waiting = copyRows(other, 'copy copied from stdin (format binary)', encoded([row(1)]));
  const lost = expect(waiting).rejects.toThrow();
  await db.query(`select pg_terminate_backend($1)`, [(other as unknown as { processID: number }).processID]);
  await db.query('commit');
  await lost;
  await expect(
    copyRows(other, 'copy copied from stdin (format binary)', encoded([row(1)])),
  ).rejects.toThrow();
  expect(await bytesOfAll()).toEqual([]);
});
