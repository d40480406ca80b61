import { expect, test } from '@jest/globals';
import { silentLog } from '#platform/log.ts';
import type { Pool } from '#platform/postgres.ts';
import { OwnDatabase, OwnDatabaseUnavailable } from './own-database.ts';

const statement = { name: 'any', text: 'select 1', values: [] };
const soon = () => performance.now() + 5_000;

function over(query: () => Promise<unknown>, { waiting = 0, breakMs = 60_000 } = {}) {
  let sent = 0;
  const pool = {
    options: { max: 1 },
    waitingCount: waiting,
    query: () => {
      sent += 1;
      return query();
    },
  };
  return { database: new OwnDatabase(pool as unknown as Pool, silentLog, breakMs), sent: () => sent };
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
