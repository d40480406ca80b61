/** That every partition is written to now and then, on a real PostgreSQL. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { MOVED_TYPE } from '#contracts/events.ts';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { type LocalPostgres, startPostgres } from '../../../local-stack/postgres.ts';
import { migrateSource } from '../../../migrate/databases.ts';
import { toMessage } from '../../../outbox-relay/message.ts';
import { writeToEveryPartition } from './idle-partitions.ts';
import type { OutboxRow } from './outbox.ts';

let folder: string;
let postgres: LocalPostgres;
let db: Pool;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'idle-partitions-'));
  postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  await postgres.createDatabase('source');
  const url = postgres.url('source');
  await migrateSource(url, silentLog);
  const limits = { maximum: 4, statementTimeoutMs: 10_000, connectTimeoutMs: 5_000 };
  db = openPool({ ...limits, url, applicationName: 'spec' }, silentLog);
}, 30_000);

afterAll(async () => {
  await db?.end();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

test('every partition gets a marker without a seller when the last ones are old, from one relay, and none before', async () => {
  expect(await writeToEveryPartition(db)).toBe(0);
  await db.query('insert into partition_layout (partitions) values (3)');
  expect(await writeToEveryPartition(db)).toBe(0);
  await db.query(`update partition_layout set all_written_at = now() - interval '12 hours 1 second'`);
  const done = await Promise.all(Array.from({ length: 4 }, () => writeToEveryPartition(db)));
  expect(done.toSorted()).toEqual([0, 0, 0, 3]);
  const { rows } = await db.query<OutboxRow>(
    `select id, seller_id as "sellerId", version, type, value, replaces, partition, traceparent,
      extract(epoch from committed_at)::float8 * 1000 as "committedAt" from outbox order by id`,
  );
  const messages = rows.map((row) => toMessage(row, Date.now()));
  expect(
    messages.map(({ key, value, partition, headers }) => [key, value, partition, headers['ce_type']]),
  ).toEqual([0, 1, 2].map((partition) => ['0', null, partition, MOVED_TYPE]));
});
