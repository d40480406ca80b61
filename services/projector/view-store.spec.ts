/** What the projector keeps beside the rows, on a real PostgreSQL. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { makeUsers, namesOf } from '../local-stack/database-users.ts';
import { type LocalPostgres, startPostgres } from '../local-stack/postgres.ts';
import { until } from '../local-stack/until.ts';
import { migratePage } from '../migrate/databases.ts';
import { OwnershipLost, openViewStore, type ViewStore } from './view-store.ts';

let folder: string;
let postgres: LocalPostgres;
let store: ViewStore;
let settings: Parameters<typeof openViewStore>[0];
let view: Pool;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'view-store-'));
  postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  await postgres.createDatabase('gig');
  await makeUsers(postgres, ['gig']);
  const users = namesOf('gig');
  await migratePage('gig', postgres.url('gig'), { delivery: 'asynchronous', version: 1 }, silentLog, {
    users,
  });
  settings = {
    url: postgres.url('gig', users.projector),
    applicationName: 'spec',
    statementTimeoutMs: 10_000,
    connectTimeoutMs: 5_000,
    searchPath: [viewSchema('asynchronous', 1), 'public'],
  };
  store = await openViewStore(settings, projectionsOf('gig').asynchronous);
  view = openPool({ ...settings, url: postgres.url('gig'), maximum: 1 }, silentLog);
}, 30_000);

afterAll(async () => {
  await store?.close();
  await view?.end();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

const row = (sellerId: number, version: number) => ({
  sellerId,
  version,
  committedAt: '2026-11-24T00:00:00.000Z',
  clients: '[]',
});

test('of events the view did not take it tells how many stand at their very version', async () => {
  expect(await store.upsert([row(1, 5), row(2, 5), row(3, 5)])).toBe(3);
  const again = [row(1, 5), row(2, 4), row(3, 6), row(4, 1)];
  expect(await store.upsert(again)).toBe(2);
  // Sellers 3 and 4, which were changed just now, and seller 1, which was there.
  expect(await store.countAtVersion(again)).toBe(3);
});

test('the newest trace of a seller is noted, and old notes are forgotten', async () => {
  const noted = async () =>
    (await view.query('select seller_id, version, traceparent from trace order by seller_id')).rows;
  const note = (sellerId: number, version: number) => ({
    sellerId,
    version,
    traceparent: `${sellerId}/${version}`,
  });
  await store.noteTraces([note(1, 5), note(2, 5)], 60_000);
  await store.noteTraces([note(1, 4), note(2, 6)], 60_000);
  expect(await noted()).toEqual([
    { seller_id: 1, version: 5, traceparent: '1/5' },
    { seller_id: 2, version: 6, traceparent: '2/6' },
  ]);
  await view.query("update trace set noted_at = now() - interval '2 minutes'");
  await store.noteTraces([note(2, 7), note(3, 1)], 60_000);
  expect(await noted()).toEqual([
    { seller_id: 2, version: 7, traceparent: '2/7' },
    { seller_id: 3, version: 1, traceparent: '3/1' },
  ]);
});

const open = () => openViewStore(settings, projectionsOf('gig').asynchronous);
const progress = (partition: number, known: number, next: number) => ({
  ...{ partition, known, next },
  committedAt: null,
});

test('a partition has one owner, whoever joins; all see who owns what, and the end of a session frees it', async () => {
  const other = await open();
  await Promise.all([store.join(), other.join()]);
  expect(await store.tryOwn([0, 1])).toEqual([0, 1]);
  expect(await other.tryOwn([0, 1, 2])).toEqual([2]);
  const [mine, theirs] = await Promise.all([store.ownership(), other.ownership()]);
  expect(mine.me).not.toBe(theirs.me);
  expect([...mine.members].sort()).toEqual([mine.me, theirs.me].sort());
  expect(new Map([...mine.owners].sort())).toEqual(
    new Map([
      [0, mine.me],
      [1, mine.me],
      [2, theirs.me],
    ]),
  );
  await store.disown([1]);
  expect(await other.tryOwn([0, 1])).toEqual([1]);
  await other.close();
  while ((await store.ownership()).owners.size > 1);
  expect((await store.ownership()).members).toEqual([mine.me]);
  await store.disown([0]);
});

test('a checkpoint is stored only by who owns the partition, and the others of the statement are stored all the same', async () => {
  const zombie = await open();
  await store.loadCheckpoints([5, 6]);
  await zombie.tryOwn([5, 6]);
  expect(await zombie.checkpoint([progress(5, 0, 10), progress(6, 0, 10)])).toEqual(
    new Map([
      [5, 0],
      [6, 0],
    ]),
  );
  await zombie.disown([5]);
  await store.tryOwn([5]);
  await store.checkpoint([progress(5, 10, 12)]);
  const late = zombie.checkpoint([progress(5, 10, 99), progress(6, 10, 20)]);
  await expect(late).rejects.toThrow(OwnershipLost);
  await expect(late).rejects.toMatchObject({ partitions: [5] });
  await expect(zombie.resetCheckpoint(5, 0)).rejects.toThrow(OwnershipLost);
  expect(await store.loadCheckpoints([5, 6])).toEqual(
    new Map([
      [5, 12],
      [6, 20],
    ]),
  );
  await zombie.close();
  await store.disown([5]);
});

test('two views of one database have owners of their own', async () => {
  const second = { delivery: 'asynchronous', version: 2 } as const;
  await migratePage('gig', postgres.url('gig'), second, silentLog, { users: namesOf('gig') });
  const ofNext = await openViewStore(
    { ...settings, searchPath: [viewSchema('asynchronous', 2), 'public'] },
    projectionsOf('gig').asynchronous,
  );
  expect(await store.tryOwn([0])).toEqual([0]);
  expect(await ofNext.tryOwn([0])).toEqual([0]);
  expect((await ofNext.ownership()).owners.size).toBe(1);
  await ofNext.close();
  await store.disown([0]);
});

test('a session that is not heard of any more loses what it owns', async () => {
  const silent = await openViewStore(settings, projectionsOf('gig').asynchronous, 1_000);
  const lost = new Promise((resolve) => silent.lost.addEventListener('abort', resolve));
  await silent.tryOwn([7]);
  expect(await store.tryOwn([7])).toEqual([]);
  await lost;
  // The session says that it ends before it gives its locks back.
  await until('it is free', async () => (await store.tryOwn([7])).length === 1);
  await store.disown([7]);
  await silent.close();
});

test('checkpoints of another topic begin anew, once, and those of the same stay', async () => {
  const [first, second] = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'];
  expect(await store.adoptTopic(first)).toBe(false);
  await store.tryOwn([9]);
  await store.loadCheckpoints([9]);
  await store.checkpoint([{ partition: 9, known: 0, next: 7, committedAt: null }]);
  expect(await store.adoptTopic(first)).toBe(false);
  expect(await store.loadCheckpoints([9])).toEqual(new Map([[9, 7]]));
  expect(await store.adoptTopic(second)).toBe(true);
  expect(await store.loadCheckpoints([9])).toEqual(new Map([[9, 0]]));
  expect(await store.adoptTopic(second)).toBe(false);
});
