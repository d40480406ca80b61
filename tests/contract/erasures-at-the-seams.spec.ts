/** Erasures whose receipt nobody would think of any more: told late, missed by who was away, sent by an older relay. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { migrateSource } from '../../services/migrate/databases.ts';
import { forgetChanges } from '../../services/seller-portal/forget.ts';
import { postgresErasures } from '../../services/top-clients/adapters/postgres/erasures.ts';
import { tellWhatNobodyTold } from '../../services/top-clients/adapters/postgres/outbox.ts';
import { readErasures } from '../../services/top-clients/app/index.ts';
import { openWriter, type Writer } from '../support/writer.ts';

let folder: string;
let postgres: LocalPostgres;
let pool: Pool;
let writer: Writer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'erasures-'));
  postgres = await startPostgres({ dataDir: folder });
  await postgres.createDatabase('source');
  await migrateSource(postgres.url('source'), silentLog);
  const limits = { maximum: 4, statementTimeoutMs: 10_000, connectTimeoutMs: 5_000 };
  pool = openPool({ ...limits, url: postgres.url('source'), applicationName: 'spec' }, silentLog);
  writer = openWriter(postgres.url('source'));
  await postgresErasures(pool).confirmChanges([]);
}, 60_000);
afterAll(async () => {
  await writer?.close();
  await pool?.end();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Self-view looks so often; its record is empty. Between the looks `between` happens. */
async function selfViewLooks(times: number, between = async () => {}): Promise<void> {
  const stop = new AbortController();
  const erasures = postgresErasures(pool);
  let looks = 0;
  const clock: Clock = {
    ...SYSTEM_CLOCK,
    async pause() {
      looks += 1;
      if (looks === times) stop.abort();
      else await between();
    },
  };
  const done = <T>(value: T) => ({ outcome: 'ok', value }) as const;
  const source = {
    erasures: async (since: string) => done(await readErasures(erasures, since, 1_000)),
    confirmErasures: async (some: never) => done((await erasures.confirmChanges(some)) as undefined),
  };
  const changes = { forgetOld: async () => {}, erase: async () => 0, isErased: async () => true };
  await forgetChanges(
    { changes, source: source as never, forgotten: () => {}, log: silentLog, clock },
    stop.signal,
  );
}

const changesOf = async (sellerId: number, version: number): Promise<string | null | undefined> => {
  const erasures = postgresErasures(pool);
  const receipt = await erasures.receipt((await erasures.idOf(sellerId, version))!);
  return receipt!.stores.find(({ store }) => store === 'changes')?.confirmedAt;
};

test('self-view confirms the erasure of a seller who never changed anything', async () => {
  expect(await writer.erase(1)).toBe(0);
  await selfViewLooks(2);
  expect(await changesOf(1, 0)).toEqual(expect.any(String));
});

test('self-view confirms an erasure that was committed while it was away for hours', async () => {
  await writer.add(2, 'Secret brand');
  const version = await writer.erase(2);
  await pool.query(`update seller_event set committed_at = now() - interval '3 hours' where seller_id = 2`);
  await pool.query(`update erasure set requested_at = now() - interval '3 hours' where seller_id = 2`);
  await selfViewLooks(2);
  expect(await changesOf(2, version)).toEqual(expect.any(String));
});

test.each([0, 180])(
  'self-view confirms an erasure of %i minutes ago that gets its receipt only now',
  async (minutes) => {
    const sellerId = 3 + minutes;
    await writer.add(sellerId, 'Secret brand');
    const version = await writer.erase(sellerId);
    // As a version of before leaves it.
    await pool.query('delete from erasure where seller_id = $1', [sellerId]);
    await pool.query(
      'update seller_event set committed_at = now() - make_interval(mins => $2) where seller_id = $1',
      [sellerId, minutes],
    );
    await selfViewLooks(3, async () => void (await writer.erase(sellerId)));
    expect(await changesOf(sellerId, version)).toEqual(expect.any(String));
  },
);

test('a relay tells of a tombstone that one of a version before sent and told nobody of, and of no other', async () => {
  await pool.query('truncate outbox');
  await writer.add(10, 'Secret brand');
  await writer.add(11, 'Secret brand');
  const [sent, waiting] = [await writer.erase(10), await writer.erase(11)];
  // As the exchange of such a relay does.
  await pool.query('delete from outbox where seller_id = 10');
  await writer.erase(10);
  await tellWhatNobodyTold(pool);
  const erasures = postgresErasures(pool);
  const storeOf = async (sellerId: number, version: number, name: string) =>
    (await erasures.receipt((await erasures.idOf(sellerId, version))!))!.stores.find(
      ({ store }) => store === name,
    )!;
  expect((await storeOf(10, sent, 'outbox')).confirmedAt).toEqual(expect.any(String));
  expect(await storeOf(10, sent, 'topic')).toMatchObject({
    confirmedAt: null,
    bytesUntil: expect.any(String),
  });
  expect((await storeOf(11, waiting, 'outbox')).confirmedAt).toBeNull();
  expect((await storeOf(11, waiting, 'topic')).bytesUntil).toBeNull();
});

test('a tombstone that is sent for a late receipt says when the erasure was, as the row of a view must', async () => {
  await writer.add(12, 'Secret brand');
  await writer.erase(12);
  await pool.query(`update seller set updated_at = now() - interval '3 days' where seller_id = 12`);
  await pool.query('delete from erasure where seller_id = 12');
  await writer.erase(12);
  const { rows } = await pool.query(
    `select committed_at = updated_at as same from outbox join seller using (seller_id)
    where seller_id = 12 and value is null order by id desc limit 1`,
  );
  expect(rows).toEqual([{ same: true }]);
});
