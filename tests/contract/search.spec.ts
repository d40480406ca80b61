/** What the search page finds, by a real database: the same as a look at every listing. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { insertListings, type ListingRow } from '#pages/search/own-data.ts';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { type LocalPostgres, OLDEST, startPostgres } from '../../services/local-stack/postgres.ts';
import { migratePage } from '../../services/migrate/databases.ts';
import { seller } from '../../services/seed/sellers.ts';

const WORDS = [
  'logo',
  'brand',
  'film',
  "o'neill",
  'élan',
  'c:\\temp',
  'rock-n-roll',
  'the',
  'x@y.example',
  '25',
];
const word = fc.constantFrom(...WORDS);
const text = fc.array(word, { maxLength: 4 }).map((words) => words.join(' '));
const query = fc.oneof(
  text,
  fc
    .array(
      fc.tuple(
        fc.constantFrom('', '', '-', 'or '),
        word,
        fc.oneof(
          fc.constant(''),
          word.map((further) => ` ${further}`),
        ),
        fc.boolean(),
      ),
      { minLength: 1, maxLength: 4 },
    )
    .map((parts) =>
      parts.map(([how, one, more, quoted]) => `${how}${quoted ? `"${one}${more}"` : one + more}`).join(' '),
    ),
  fc.string({ maxLength: 20 }).filter((any) => !any.includes('\0') && any.isWellFormed()),
);
const score = fc.oneof(
  fc.integer({ min: -3, max: 40 }),
  fc.constantFrom(-2_147_483_648, 0, 1_023, 1_024, 1_025, 2_147_483_647),
  fc.integer({ min: 0, max: 2_147_483_647 }),
);

const made: ListingRow = seller(1, 1).listings[0]!;

describe.each([
  ['the oldest PostgreSQL', OLDEST],
  ['the one that all else is run with', undefined],
] as const)('by %s', (_, version) => {
  let folder: string;
  let postgres: LocalPostgres;
  let db: Pool;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'search-'));
    // The oldest one's initdb takes no other path than the real one, whose parents the server's user may have to pass.
    await chmod(folder, 0o755);
    postgres = await startPostgres({ dataDir: folder, ...(version === undefined ? {} : { version }) });
    await postgres.createDatabase('search');
    await migratePage('search', postgres.url('search'), 'none', silentLog);
    db = openPool(
      {
        url: postgres.url('search'),
        applicationName: 'search',
        statementTimeoutMs: 5_000,
        connectTimeoutMs: 5_000,
        maximum: 1,
      },
      silentLog,
    );
  });
  afterAll(async () => {
    await db.end();
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  });

  test('a search finds what matches, best first, and counts it up to a bound', async () => {
    const listings = fc.array(fc.record({ title: text, score }), { minLength: 1, maxLength: 60 });
    const page = fc.record({ query, skip: fc.nat(20), many: fc.integer({ min: 1, max: 20 }) });
    await fc.assert(
      fc.asyncProperty(listings, fc.array(page, { minLength: 1, maxLength: 5 }), async (all, pages) => {
        await db.query('truncate listing');
        await insertListings(
          db,
          all.map((one, i) => ({ ...made, ...one, keywords: '', category: '', listing_id: i + 1 })),
        );
        for (const { query: words, skip, many } of pages) {
          const bound = skip + many;
          const { rows } = await db.query<{ id: number; total: number }>(
            'select listing_id as id, total from search_listings($1, $2, $3, $4)',
            [words, skip, many, bound],
          );
          const { rows: matching } = await db.query<{ id: number }>(
            `select listing_id as id from listing where $1 = '' or words @@ websearch_to_tsquery('english', $1)
          order by score desc, listing_id`,
            [words],
          );
          const ids = matching.map(({ id }) => id);
          expect(rows.map(({ id }) => id)).toEqual(ids.slice(skip, skip + many));
          if (rows.length > 0) expect(rows[0]!.total).toBe(Math.min(ids.length, bound));
          // What page servers of the release before call.
          const { rows: found } = await db.query('select listing_id as id from find_listings($1, $2, $3)', [
            words,
            skip,
            many,
          ]);
          expect(found).toEqual(rows.map(({ id }) => ({ id })));
          const { rows: counted } = await db.query('select count_listings($1, $2) as total', [words, bound]);
          expect(counted).toEqual([{ total: Math.min(ids.length, bound) }]);
        }
      }),
      { numRuns: 150 },
    );
  }, 60_000);

  test('where more match in a band than are worth sorting, its best are found all the same', async () => {
    // 64 to 79 is a band, and above it is another.
    const scores = fc.array(fc.integer({ min: 64, max: 82 }), { minLength: 40, maxLength: 60 });
    const titles = fc.constantFrom('logo', 'logo brand', '"logo brand"');
    await fc.assert(
      fc.asyncProperty(
        scores,
        titles,
        fc.nat(4),
        fc.integer({ min: 1, max: 4 }),
        async (all, words, skip, many) => {
          await db.query('truncate listing');
          await insertListings(
            db,
            all.map((one, i) => ({ ...made, title: 'logo brand', score: one, listing_id: i + 1 })),
          );
          const { rows } = await db.query<{ id: number; total: number }>(
            'select listing_id as id, total from search_listings($1, $2, $3, $4)',
            [words, skip, many, skip + many],
          );
          const best = all.map((one, i) => ({ one, id: i + 1 })).sort((a, b) => b.one - a.one || a.id - b.id);
          const page = best.slice(skip, skip + many);
          expect(rows).toEqual(page.map(({ id }) => ({ id, total: skip + many })));
        },
      ),
      { numRuns: 40 },
    );
  });

  test('bands of scores are in their order, and each begins at its least score', async () => {
    const { rows } = await db.query(
      `select band from generate_series(1, 124) as band, least_score(band) as score
    where score_band(score::integer) < band or score_band((score - 1)::integer) >= band`,
    );
    expect(rows).toEqual([]);
  });

  test('a search compiles nothing and takes one core, whatever the settings of the server', async () => {
    const { rows } = await db.query(
      "select unnest(proconfig) as setting from pg_proc where proname = 'search_listings' order by 1",
    );
    const settings = rows.map(({ setting }) => setting);
    expect(settings).toEqual(expect.arrayContaining(['jit=off', 'max_parallel_workers_per_gather=0']));
  });

  test('a listing with a word longer than any query is written, and found by its others', async () => {
    await db.query('truncate listing');
    await insertListings(db, [{ ...made, title: `${'a'.repeat(2_040)} zeppelin` }]);
    const { rows } = await db.query('select total from search_listings($1, 0, 1, 1)', ['zeppelin']);
    expect(rows).toEqual([{ total: 1 }]);
  });
});
