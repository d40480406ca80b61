/**
 * Only the store names the source's tables in SQL; a statement that others need belongs there. First proves that each
 * way to name a table is detected. `npm run boundaries`
 */
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { tablesMadeBy, tablesNamedIn } from './sql-tables.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const STORE = 'services/top-clients/adapters/postgres/';
const read = (file: string) => readFileSync(`${root}${file}`, 'utf8');
const filesIn = (pattern: string) => globSync(pattern, { cwd: root }).sort();

const inBraces = (expression: string) => `\${${expression}}`;

/** Each program names `owned` in a different way, in the given line. */
const PLANTED: readonly [line: number, program: string][] = [
  [1, "db.query('select version from owned where id = $1');"],
  [1, 'db.query(\'SELECT version FROM public."owned"\');'],
  [2, 'db.query(`insert into\n  owned (id) values (1)`);'],
  [1, "db.query('update only owned as o set version = 1');"],
  [1, "db.query('update owned set version = 1');"],
  [1, "db.query('delete from owned using other where true');"],
  [1, "db.query('delete from other using owned where true');"],
  [
    3,
    'db.query({\n  name: "x", text: `with a as (select 1)\n  select from other o join owned using (id)`,\n});',
  ],
  [1, "db.query('select from other, owned');"],
  [1, "db.query('select from (select 1) as one, lateral (select 2) two, owned');"],
  [1, "db.query('select from (other cross join owned)');"],
  [1, "db.query('select (select count(*) from owned) from other');"],
  [1, "db.query('lock table other, owned in share mode');"],
  [1, "db.query('lock owned');"],
  [1, "db.query('truncate other, owned');"],
  [1, "db.query('alter table if exists owned add column more text');"],
  [1, "db.query('create index concurrently on owned (id)');"],
  [1, "db.query('grant select on other, owned to somebody');"],
  [1, "db.query('vacuum (analyze) owned');"],
  [1, "db.query('begin; select from owned; commit');"],
  [1, "db.query('copy owned from stdin');"],
  [1, "db.query('create table mine (like owned including all)');"],
  [1, "db.query('select from ' + 'owned' + ' where id = $1');"],
  [1, `db.query(\`select ${inBraces('columns')} from owned\`);`],
  [1, `db.query(\`select from ${inBraces('schema')}.owned\`);`],
  [2, `db.query(\`select ${inBraces('\n  columns(`(select max(id) from owned)`)')} from other\`);`],
  [1, "const part = 'from owned where id = $1';"],
  [1, "const part = 'left join owned on owned.id = other.id';"],
  [1, "db.query(\"select pg_sequence_last_value(pg_get_serial_sequence('owned', 'id'))\");"],
  [1, 'db.query("select count(*) from pg_locks where relation = \'owned\'::regclass");'],
  [1, "db.query('/* why */ select from owned');"],
];
/** None of these names a table. */
const HARMLESS: readonly string[] = [
  "log.info('the rows from owned sellers, and what they were joined with');",
  "log.warn('from owned to lost');",
  "log.warn('update owned: it is set elsewhere');",
  "log.warn('copies what is owned');",
  "db.query('select owned from other where owned = $1 order by 1, owned');",
  "db.query('select extract(epoch from at), owned from other');",
  "db.query('insert into other (owned) values ($1) on conflict do update set owned = 1');",
  'db.query("select from other where kind = \'from owned\'");',
  "db.query(\"select from other where kind in ('owned', 'lost')\");",
  "db.query('select from other -- from owned');",
  "import { owned } from 'owned';",
];

function prove(): string[] {
  const owned = new Set(['owned']);
  const missed = PLANTED.filter(([line, program]) => {
    const found = tablesNamedIn(program, owned);
    return found.length !== 1 || found[0]!.line !== line;
  }).map(([, program]) => `a planted violation was not noticed: ${program}`);
  const raised = HARMLESS.filter((program) => tablesNamedIn(program, owned).length > 0).map(
    (program) => `what names no table was taken for a violation: ${program}`,
  );
  const made = tablesMadeBy([
    'create table a (b int); create table if not exists c ();',
    '-- create table d\ndrop table a;',
  ]);
  const wrong = [...made].join() === 'c' ? [] : [`of migrations were read the tables ${[...made].join()}`];
  return [...missed, ...raised, ...wrong];
}

const faults = prove();
const tables = tablesMadeBy(filesIn(`${STORE}migrations/*.sql`).map(read));
// Specs are left out: they look from outside, like the rest of tests/.
const files = filesIn('{services,cdk8s,dashboards,generate,bench}/**/*.ts').filter(
  (file) => !file.endsWith('.spec.ts') && !file.includes('/node_modules/'),
);
const seen = new Set<string>();
for (const file of files) {
  for (const { table, line } of tablesNamedIn(read(file), tables)) {
    if (file.startsWith(STORE)) seen.add(table);
    else faults.push(`${file}:${line} names the source's table ${table}; let a function in ${STORE} do it`);
  }
}
// If it does not see the store's own statements, it would not see others either.
for (const table of tables)
  if (!seen.has(table)) faults.push(`no statement of the store was seen that names ${table}`);
if (tables.size === 0) faults.push('no table was found in the migrations of the store');
for (const fault of faults) console.error(fault);
if (faults.length > 0) process.exit(1);
console.log(
  `the source's ${tables.size} tables are named in SQL by their store alone: ${files.length} files, ${PLANTED.length} planted violations noticed`,
);
