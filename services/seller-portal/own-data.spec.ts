import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { makeUsers, namesOf } from '../local-stack/database-users.ts';
import { type LocalPostgres, startPostgres } from '../local-stack/postgres.ts';
import { migratePage } from '../migrate/databases.ts';
import { fillBrandCatalogue, foldText, searchBrands } from './catalogue.ts';
import { CHANGES_KEPT, openChangeLog } from './change-log.ts';

/** Generous: here nobody waits for a page. */
const PAGE_MS = 60_000;

let folder: string;
let postgres: LocalPostgres;
let db: Pool;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'self-view-'));
  postgres = await startPostgres({ dataDir: folder });
  await postgres.createDatabase('self_view');
  await makeUsers(postgres, ['self_view']);
  const users = namesOf('self_view');
  await migratePage('self-view', postgres.url('self_view'), 'none', silentLog, { users });
  const url = postgres.url('self_view', users.page);
  const limits = { maximum: 5, statementTimeoutMs: 10_000, connectTimeoutMs: 5_000 };
  db = openPool({ url, applicationName: 'spec', ...limits }, silentLog);
  await fillBrandCatalogue(db);
});
afterAll(async () => {
  await db?.end();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('the brand catalogue', () => {
  const found = async (typed: string) => (await searchBrands(db, typed)).map(({ name }) => name);

  test('holds every brand once, however often it is filled', async () => {
    const filled = await fillBrandCatalogue(db);
    const { rows } = await db.query<{ count: number }>('select count(*) from brand');
    expect(rows[0]?.count).toBe(filled);
    expect(filled).toBeGreaterThan(3_000);
  });

  test('puts the name itself first, then names that begin so', async () => {
    expect((await found('spotify'))[0]).toBe('Spotify');
    expect(await found('spotif')).toContain('Spotify');
    expect((await found('x'))[0]).toBe('X');
    expect((await found('apple m'))[0]).toBe('Apple Music');
  });

  test('minds neither accents nor capitals nor punctuation, on either side', async () => {
    for (const typed of ['telefonica', 'TELEFÓNICA', 'Telefo\u0301nica']) {
      expect((await found(typed))[0]).toBe('Telefónica');
    }
    expect((await found('citroen'))[0]).toBe('Citroën');
    expect((await found('coca cola'))[0]).toBe('Coca-Cola');
    expect((await found('cocacola'))[0]).toBe('Coca-Cola');
  });

  test('finds other names of a brand, and names with a slip of the finger', async () => {
    expect((await found('dotenv'))[0]).toBe('.ENV');
    expect(await found('spotfy')).toContain('Spotify');
  });

  test('takes wildcards and quotes as text, and nothing as nothing', async () => {
    for (const typed of ['', ' ', '%', '_', "'", '\\', '🙂']) expect(await found(typed)).toEqual([]);
    expect(await found("l'equipe")).toContain("L'Équipe");
    expect(await found('a'.repeat(5_000))).toEqual([]);
  });

  test('folds letters that have no accent to take away', () => {
    expect(foldText('Żabka ŠKODA Ørsted Straße Łódź Þór')).toBe('zabka skoda orsted strasse lodz thor');
  });
});

describe('the log of changes', () => {
  const remove = { kind: 'remove', clientId: 'c' } as const;

  test('offers a change only for the version it led to, and keeps the first note of a repeated one', async () => {
    const log = openChangeLog(db, PAGE_MS);
    await log.begin(1, 'k', { title: 'A was removed', inverse: null, madeFor: 3 });
    expect(await log.find(1, 4)).toBeUndefined();
    await log.begin(1, 'k', { title: 'something else', inverse: remove, madeFor: 3 });
    await log.acknowledge(1, 'k', 4, null);
    expect(await log.find(1, 4)).toEqual({ title: 'A was removed', version: 4, inverse: null });
    await log.acknowledge(1, 'k', 4, remove);
    expect(await log.find(1, 4)).toEqual({ title: 'A was removed', version: 4, inverse: remove });
    expect(await log.find(1, 5)).toBeUndefined();
    expect(await log.find(2, 4)).toBeUndefined();
  });

  test('remembers the newest acknowledged version, also when answers come out of order', async () => {
    const log = openChangeLog(db, PAGE_MS);
    expect(await log.acknowledgedVersion(3)).toBe(0);
    await log.acknowledge(3, 'b', 8, null);
    await log.acknowledge(3, 'a', 7, null);
    expect(await log.acknowledgedVersion(3)).toBe(8);
  });

  test('gives up soon on a database that does not answer', async () => {
    const blocker = await db.connect();
    await blocker.query('begin');
    await blocker.query('lock table change, acknowledged');
    try {
      const log = openChangeLog(db, 60);
      await expect(log.find(6, 1)).rejects.toThrow('took longer than');
      await expect(log.acknowledgedVersion(6)).rejects.toThrow('took longer than');
    } finally {
      await blocker.query('commit');
      blocker.release();
    }
  });

  const rowsOf = async (sellerId: number) =>
    (
      await db.query<{ title: string }>('select title from change where seller_id = $1 order by at', [
        sellerId,
      ])
    ).rows;
  const note = (title: string, madeFor: number) => ({ title, inverse: remove, madeFor });

  test('forgets what sellers wrote after an hour, also what was acknowledged again in between', async () => {
    const log = openChangeLog(db, PAGE_MS);
    await log.begin(5, 'old', note('Old was added', 0));
    await log.acknowledge(5, 'old', 1, null);
    await db.query(`update change set at = now() - interval '61 minutes' where seller_id = 5`);
    await log.acknowledge(5, 'old', 1, null);
    expect(await log.find(5, 1)).toBeUndefined();
    await log.forgetOld();
    expect(await rowsOf(5)).toEqual([]);
  });

  test('keeps the newest few changes of a seller, however many forms are sent', async () => {
    const log = openChangeLog(db, PAGE_MS);
    for (let i = 0; i < CHANGES_KEPT + 5; i += 1) await log.begin(8, `k${i}`, note(`change ${i}`, i));
    const titles = (await rowsOf(8)).map(({ title }) => title);
    expect(titles).toHaveLength(CHANGES_KEPT);
    expect(titles.at(-1)).toBe(`change ${CHANGES_KEPT + 4}`);
    expect(titles[0]).toBe('change 5');
  });

  test('forgets what an erasure forgot, acknowledged or not, and nothing that came after it', async () => {
    const log = openChangeLog(db, PAGE_MS);
    const erasure = { sellerId: 9, version: 7 };
    await log.begin(9, 'acknowledged', note('A was removed', 4));
    await log.acknowledge(9, 'acknowledged', 5, null);
    await log.begin(9, 'lost', note('B was changed', 6));
    await log.begin(10, 'other', note('another seller', 1));
    expect(await log.isErased(erasure)).toBe(false);
    // More than one in a page, for a seller may come back and be erased again.
    expect(await log.erase([{ sellerId: 9, version: 3 }, erasure])).toBe(2);
    expect(await log.isErased(erasure)).toBe(true);
    expect([await rowsOf(9), (await rowsOf(10)).length]).toEqual([[], 1]);
    expect(await log.acknowledgedVersion(9)).toBe(7);

    await log.begin(9, 'late', note('sent from a page that was open before', 6));
    await log.acknowledge(9, 'lost', 7, remove);
    expect([await rowsOf(9), await log.isErased(erasure)]).toEqual([[], true]);
    await log.begin(9, 'new', note('C was added', 7));
    expect(await log.erase([erasure])).toBe(0);
    expect([(await rowsOf(9)).length, await log.isErased(erasure)]).toEqual([1, true]);
  });

  test('a note that is being written while its seller is erased does not stay', async () => {
    const log = openChangeLog(db, PAGE_MS);
    for (let round = 1; round <= 30; round += 1) {
      const erasure = { sellerId: 1_000 + round, version: 2 };
      const notes = Array.from({ length: 4 }, (_, i) =>
        log.begin(erasure.sellerId, `k${i}`, note('before', 1)),
      );
      await Promise.all([...notes, log.erase([erasure])]);
      expect(await log.isErased(erasure)).toBe(true);
    }
  });
});
