/** docs/consume.md, followed to the letter against what the relay really sends, in any order and again and again. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeEvent } from '#contracts/event-codec.ts';
import type { SellerChange } from '#contracts/events.ts';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { toMessage } from '../../services/outbox-relay/message.ts';
import type { OutboxRow } from '../../services/top-clients/adapters/postgres/outbox.ts';

const DOCUMENT = readFileSync(new URL('../../docs/consume.md', import.meta.url), 'utf8');
const [TABLE, WRITE] = [...DOCUMENT.matchAll(/```sql\n(.+?)```/gs)].map(([, sql]) => sql!) as [
  string,
  string,
];
const SELLERS = 3;
const VERSIONS = 4;

let folder: string;
let postgres: LocalPostgres;
let db: Pool;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'consume-'));
  postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  await postgres.createDatabase('store');
  const limits = { maximum: 1, statementTimeoutMs: 10_000, connectTimeoutMs: 5_000 };
  db = openPool({ url: postgres.url('store'), applicationName: 'consumer', ...limits }, silentLog);
  await db.query(TABLE);
}, 60_000);
afterAll(async () => {
  await db?.end();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

const client = { id: 'd2f1c8f0-8d2a-4c7e-9a53-1f0c1d0a7b11', industry: '', description: '', logo: null };
const clientsAt = (sellerId: number, version: number) => [
  { ...client, name: `"Brand" ${sellerId}/${version}`, from: null, to: null },
];

/** A row of the outbox: an event, the tombstone beside an erasure, a repair or a marker, of some version. */
const row = fc
  .record({
    sellerId: fc.integer({ min: 1, max: SELLERS }),
    version: fc.integer({ min: 1, max: VERSIONS }),
    kind: fc.constantFrom('event', 'event', 'tombstone', 'repair', 'repair of nothing', 'marker'),
    id: fc.nat(),
  })
  .map(({ sellerId, version, kind, id }): OutboxRow => {
    // The same version is the same list in every copy: every third erases.
    const isErasure = (sellerId + version) % 3 === 0;
    const clients = isErasure ? [] : clientsAt(sellerId, version);
    const change: SellerChange = isErasure
      ? { type: 'seller-erased' }
      : { type: 'client-added', client: clients[0]!, position: 0 };
    const committedAt = 1_700_000_000_000 + version * 1_000;
    const event = encodeEvent({
      ...{ sellerId, version, change, clients },
      committedAt: new Date(committedAt).toISOString(),
    });
    const said = {
      event: { type: change.type, value: event },
      // Beside an erasure alone; else the event stands for it.
      tombstone: { type: change.type, value: isErasure ? null : event },
      repair: { type: 'seller-repaired', value: event },
      'repair of nothing': { type: 'seller-repaired', value: null },
      marker: { type: 'seller-moved', value: null },
    }[kind as 'event'];
    return { id, sellerId, version, committedAt, traceparent: null, replaces: null, partition: 0, ...said };
  });

/** The pseudo-code of the document, without what parks. */
async function consume(message: ReturnType<typeof toMessage>): Promise<void> {
  const { ce_type: type, ce_id: id } = message.headers as Readonly<Record<string, string>>;
  if (message.value === null && type !== 'dev.topclients.seller.seller-erased.v1') return;
  const [seller, version] = id!.split('/');
  expect([type!.endsWith('.v1'), seller]).toEqual([true, message.key]);
  const clients = message.value === null ? [] : JSON.parse(String(message.value)).clients;
  await db.query(WRITE, [seller, version, JSON.stringify(clients)]);
}

test('a store that follows the document has the newest list of each seller, and no erased name', async () => {
  const rows = fc.array(row, { minLength: 1, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(rows, async (sent) => {
      await db.query('truncate seller_list');
      for (const one of sent) await consume(toMessage(one, one.committedAt));
      const newest = new Map<number, number>();
      for (const { sellerId, version, type, value } of sent) {
        if (value === null && type !== 'seller-erased') continue;
        newest.set(sellerId, Math.max(version, newest.get(sellerId) ?? 0));
      }
      const stored = await db.query('select seller_id, version, clients from seller_list order by seller_id');
      expect(stored.rows).toEqual(
        [...newest]
          .toSorted(([a], [b]) => a - b)
          .map(([seller_id, version]) => ({
            ...{ seller_id, version },
            clients: (seller_id + version) % 3 === 0 ? [] : clientsAt(seller_id, version),
          })),
      );
    }),
    { numRuns: 60 },
  );
}, 60_000);
