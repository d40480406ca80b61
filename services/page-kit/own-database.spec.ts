import { describe, expect, test } from '@jest/globals';
import { pause } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import type { Pool } from '#platform/postgres.ts';
import { OwnDatabase, OwnDatabaseUnavailable } from './own-database.ts';

const statement = { name: 'any', text: 'select 1', values: [] };
const soon = () => performance.now() + 5_000;

/** A pool that answers every statement alike. */
function poolOf(query: () => Promise<unknown>, waiting = 0) {
  const counts = { sent: 0 };
  const ask = () => {
    counts.sent += 1;
    return query();
  };
  const client = {
    query: ({ name }: { name: string }) =>
      name === 'position'
        ? Promise.resolve({ rows: [{ is_standby: true, position: 1, replayed_all: true }] })
        : ask(),
    release: () => {},
  };
  const pool = { options: { max: 1 }, waitingCount: waiting, query: ask, connect: async () => client };
  return { pool: pool as unknown as Pool, counts };
}

function over(query: () => Promise<unknown>, { waiting = 0, breakMs = 60_000 } = {}) {
  const { pool, counts } = poolOf(query, waiting);
  return { database: new OwnDatabase(pool, silentLog, { breakMs }), sent: () => counts.sent };
}

function overTwo(
  primary: () => Promise<unknown>,
  replica: () => Promise<unknown>,
  { isFresh = true, waiting = 0, breakMs = 60_000 } = {},
) {
  const [first, second] = [poolOf(primary, waiting), poolOf(replica)];
  const by: string[] = [];
  const database = new OwnDatabase(first.pool, silentLog, {
    breakMs,
    replica: { pool: second.pool, isFresh: () => isFresh },
    answered: (one) => by.push(one),
  });
  return { database, by, sent: () => [first.counts.sent, second.counts.sent] };
}
const down = () => Promise.reject(Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }));

test('rows come back', async () => {
  const { database } = over(async () => ({ rows: [{ one: 1 }] }));
  expect(await database.until(soon()).query(statement)).toEqual([{ one: 1 }]);
});

test('a statement that never ends is given up at the deadline of the request', async () => {
  const { database } = over(() => new Promise(() => {}));
  const began = performance.now();
  await expect(database.until(began + 40).query(statement)).rejects.toThrow(OwnDatabaseUnavailable);
  expect(performance.now() - began).toBeGreaterThanOrEqual(35);
});

test('after five failures nobody waits for the database, until one statement finds it back', async () => {
  let healthy = false;
  const { database, sent } = over(() => (healthy ? Promise.resolve({ rows: [] }) : down()), { breakMs: 30 });
  for (let i = 0; i < 8; i++) {
    await expect(database.until(soon()).query(statement)).rejects.toThrow(OwnDatabaseUnavailable);
  }
  expect(sent()).toBe(5);
  healthy = true;
  const answers = () =>
    database
      .until(soon())
      .query(statement)
      .then(
        () => true,
        () => false,
      );
  while (!(await answers())) await new Promise((resolve) => setImmediate(resolve));
  expect(await answers()).toBe(true);
});

test('when too many wait for a connection, one more is refused at once', async () => {
  const { database, sent } = over(() => new Promise(() => {}), { waiting: 50 });
  await expect(database.until(soon()).query(statement)).rejects.toThrow(/too many statements wait/);
  expect(sent()).toBe(0);
});

test('a statement that PostgreSQL refuses is a fault of ours, and no reason to leave the database alone', async () => {
  const { database, sent } = over(() =>
    Promise.reject(Object.assign(new Error('no such column'), { code: '42703' })),
  );
  for (let i = 0; i < 8; i++)
    await expect(database.until(soon()).query(statement)).rejects.toThrow('no such column');
  expect(sent()).toBe(8);
});

const rowsOf = (from: string) => async () => ({ rows: [{ from }] });
const never = () => new Promise<never>(() => {});
const refused = () => Promise.reject(Object.assign(new Error('no such column'), { code: '42703' }));

describe('with a replica', () => {
  test('the primary answers while it can, and the replica is not asked', async () => {
    const { database, by, sent } = overTwo(rowsOf('primary'), rowsOf('replica'));
    const db = database.until(soon());
    expect(await db.query(statement)).toEqual([{ from: 'primary' }]);
    expect(db.mayLag).toBe(false);
    expect(by).toEqual(['primary']);
    expect(sent()).toEqual([1, 0]);
  });

  test.each<[string, () => Promise<unknown>, number]>([
    ['is down', down, 0],
    ['has too many that wait', never, 50],
  ])('it answers at once when the primary %s', async (_, primary, waiting) => {
    const { database, by } = overTwo(primary, rowsOf('replica'), { waiting });
    const db = database.until(soon());
    const began = performance.now();
    expect(await db.query(statement)).toEqual([{ from: 'replica' }]);
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(db.mayLag).toBe(true);
    expect(by).toEqual(['replica']);
  });

  test('it answers after a quarter of the time when the primary is silent', async () => {
    const { database } = overTwo(never, rowsOf('replica'));
    const began = performance.now();
    expect(await database.until(began + 400).query(statement)).toEqual([{ from: 'replica' }]);
    expect(performance.now() - began).toBeGreaterThanOrEqual(95);
  });

  test('a primary that is slow, and not silent, answers when the replica cannot', async () => {
    const late = () => new Promise((resolve) => setTimeout(resolve, 60)).then(rowsOf('primary'));
    for (const replica of [down, refused]) {
      const { database } = overTwo(late, replica);
      expect(await database.until(performance.now() + 160).query(statement)).toEqual([{ from: 'primary' }]);
    }
  });

  test('one that is too far behind is as good as none', async () => {
    const { database } = overTwo(down, rowsOf('replica'), { isFresh: false });
    await expect(database.until(soon()).query(statement)).rejects.toThrow(OwnDatabaseUnavailable);
  });

  test('a statement that the primary refuses is not asked of another', async () => {
    const { database, sent } = overTwo(refused, rowsOf('replica'));
    await expect(database.until(soon()).query(statement)).rejects.toThrow('no such column');
    expect(sent()).toEqual([1, 0]);
  });

  test('once the primary is known to be down it is left alone, and nobody waits for it', async () => {
    const { database, sent } = overTwo(down, rowsOf('replica'));
    for (let i = 0; i < 8; i++) await database.until(soon()).query(statement);
    expect(sent()).toEqual([5, 8]);
  });

  test('a replica that was down is tried by all who have nobody else', async () => {
    let isBack = false;
    const { database } = overTwo(down, () => (isBack ? rowsOf('replica')() : down()), { breakMs: 1 });
    for (let i = 0; i < 5; i++) {
      await expect(database.until(soon()).query(statement)).rejects.toThrow(OwnDatabaseUnavailable);
    }
    isBack = true;
    const began = performance.now();
    while (performance.now() - began < 2) await new Promise((resolve) => setImmediate(resolve));
    const answers = await Promise.all([1, 2, 3].map(() => database.until(soon()).query(statement)));
    expect(answers).toEqual(Array(3).fill([{ from: 'replica' }]));
  });

  test('a replica that has become the primary is found by all who meanwhile found nobody', async () => {
    let isPromoted = false;
    const promoted = () => new Promise((resolve) => setTimeout(resolve, 60)).then(rowsOf('primary'));
    const { database } = overTwo(
      () => (isPromoted ? promoted() : down()),
      () => (isPromoted ? down() : rowsOf('replica')()),
      { breakMs: 100 },
    );
    for (let i = 0; i < 5; i++) await database.until(soon()).query(statement);
    isPromoted = true;
    const visits: Promise<unknown>[] = [];
    for (let i = 0; i < 30; i++) {
      visits.push(database.until(soon()).query(statement));
      await pause(10);
    }
    expect(await Promise.all(visits)).toEqual(Array(30).fill([{ from: 'primary' }]));
  });

  test('nobody waits for a next try that comes too late', async () => {
    const { database } = overTwo(down, down, { breakMs: 60_000 });
    const began = performance.now();
    for (let i = 0; i < 8; i++)
      await expect(database.until(soon()).query(statement)).rejects.toThrow(OwnDatabaseUnavailable);
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  test('when both are down it is told at once, with what the primary said', async () => {
    const { database } = overTwo(down, down);
    const failed = await database
      .until(soon())
      .query(statement)
      .catch((err: unknown) => err);
    expect(failed).toBeInstanceOf(OwnDatabaseUnavailable);
    expect((failed as Error).cause).toMatchObject({ code: 'ECONNREFUSED' });
  });
});
