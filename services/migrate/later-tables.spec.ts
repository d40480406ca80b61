/** A version works on the tables of the next, so that old and new run beside each other, and a release can be rolled back. */
import { globSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';

/** After these, a program of before cannot read or write as it does. Of a table that the same migration makes it knows nothing. */
const TAKES_AWAY: readonly RegExp[] = [
  /\bdrop (table|view|type|schema)\b/,
  /\btruncate\b(?! on\b)/,
  /\balter table\b.*\bdrop (column|constraint)\b/,
  /\balter table\b.*\brename\b/,
  /\balter table\b.*\balter column \S+ (set data type|type|set not null|drop default)\b/,
  /\balter table\b.*\badd (constraint|check|unique|primary key|foreign key)\b/,
  /\bcreate unique index\b/,
];

/** A column that rows of a program of before do not have, and must. */
const mustBeGiven = (statement: string): boolean =>
  (statement.match(/\badd column [^,]*/g) ?? []).some(
    (column) => column.includes('not null') && !/\b(default|generated)\b/.test(column),
  );

function takesAway(sql: string): string[] {
  if (/^-- needs \d+\.\d+\.\d+$/m.test(sql)) return [];
  const statements = sql
    .replaceAll(/--.*$/gm, '')
    .split(';')
    .map((statement) => statement.replaceAll(/\s+/g, ' ').trim().toLowerCase());
  const made = statements.flatMap((statement) => /^create table (\S+)/.exec(statement)?.[1] ?? []);
  return statements.filter(
    (statement) =>
      (TAKES_AWAY.some((pattern) => pattern.test(statement)) || mustBeGiven(statement)) &&
      !made.some(
        (table) => statement.includes(` on ${table} `) || statement.startsWith(`alter table ${table} `),
      ),
  );
}

test.each(globSync('**/[0-9][0-9][0-9]-*.sql', { cwd: new URL('../', import.meta.url) }).sort())(
  '%s leaves the version before what it uses, or names the version that it needs',
  (file) => {
    expect(takesAway(readFileSync(new URL(`../${file}`, import.meta.url), 'utf8'))).toEqual([]);
  },
);

test.each([
  'drop table parked',
  'alter table seller drop column erased',
  'alter table seller\n  rename column clients to list',
  'alter table seller rename to sellers',
  'alter table seller alter column version type integer',
  'alter table seller alter column updated_at set not null',
  'alter table outbox add constraint one check (partition > 0)',
  'create unique index on outbox (seller_id, version)',
  'alter table outbox add column shard integer not null',
  'alter table outbox add column a int, add column shard integer not null',
  'truncate idempotency_key',
])('and this would be noticed: %s', (sql) => {
  expect(takesAway(`create table other (id int);\n${sql};`)).toHaveLength(1);
  expect(takesAway(`-- needs 0.2.0\n${sql};`)).toEqual([]);
});

test.each([
  'alter table outbox add column shard integer not null default 0',
  'alter table outbox add column shard integer default 0 not null, add column other text',
  'create table new (id int not null);\nalter table new add constraint one check (id > 0);\ncreate unique index on new (id)',
  'create index on outbox (seller_id)',
])('and this would not: %s', (sql) => {
  expect(takesAway(`${sql};`)).toEqual([]);
});
