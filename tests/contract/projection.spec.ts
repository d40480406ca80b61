/** Every view of every page, held against the real PostgreSQL: whatever order events come in, it ends the same. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Client } from '#contracts/client.ts';
import { decodeEvent } from '#contracts/event-codec.ts';
import { cloudEventType, type SellerEvent } from '#contracts/events.ts';
import { PAGES } from '#pages/index.ts';
import { rowDigest, viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { CopyRows, copyRows } from '#platform/postgres-copy.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { migratePage } from '../../services/migrate/databases.ts';

let folder: string;
let postgres: LocalPostgres;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'top-clients-projection-'));
  postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
});
afterAll(async () => {
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

const SELLERS = 4;
const client: fc.Arbitrary<Client> = fc.record({
  id: fc.uuid({ version: 4 }),
  // What SQL, JSON, array literals and HTML each find special.
  name: fc.oneof(
    fc.constantFrom('Spotify', 'Ben & Jerry\'s "Ice"', '{a,b}', '\\', '<b>', 'NULL', '🦊'),
    fc
      .string({ minLength: 1, maxLength: 20 })
      .filter((name) => name.trim() === name && /^[ -~]+$/.test(name)),
  ),
  industry: fc.constantFrom('', 'Music', "';--"),
  description: fc.constantFrom('', 'Launch film\nand cut-downs', '"quoted", \\escaped\\'),
  logo: fc.constantFrom(null, 'spotify'),
  from: fc.constantFrom(null, '2021-03'),
  to: fc.constant(null),
});

/** Each seller's versions 1 to n, the list of each version its own; one in six an erasure. */
const histories = fc
  .array(
    fc.array(
      fc.oneof({ weight: 5, arbitrary: fc.array(client, { maxLength: 4 }) }, fc.constant([] as Client[])),
      {
        minLength: 1,
        maxLength: 6,
      },
    ),
    { minLength: 1, maxLength: SELLERS },
  )
  .map((sellers) =>
    sellers.map((lists, at) =>
      lists.map((clients, i): SellerEvent => {
        const change: SellerEvent['change'] =
          clients.length === 0 ? { type: 'seller-erased' } : { type: 'client-updated', client: clients[0]! };
        return {
          sellerId: at + 1,
          version: i + 1,
          committedAt: new Date(1_700_000_000_000 + i * 1_000).toISOString(),
          change,
          clients,
        };
      }),
    ),
  );

/** Any order, any event again and again, cut into chunks anywhere. */
const deliveries = histories.chain((sellers) => {
  const events = sellers.flat();
  return fc.record({
    events: fc.constant(events),
    order: fc
      .tuple(
        fc.shuffledSubarray([...events.keys()], { minLength: events.length }),
        fc.array(fc.nat({ max: events.length - 1 }), { maxLength: 12 }),
      )
      .chain(([all, again]) =>
        fc.shuffledSubarray([...all, ...again], { minLength: all.length + again.length }),
      ),
    sizes: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
  });
});

/** One statement may not touch a seller twice. */
const distinct = (events: readonly SellerEvent[]) => [
  ...new Map(
    events.toSorted((a, b) => a.version - b.version).map((event) => [event.sellerId, event]),
  ).values(),
];

const views = Object.values(PAGES).flatMap((page) =>
  (['asynchronous', 'hybrid'] as const).map((delivery) => ({ page, delivery })),
);

describe.each(views)('the $delivery view of $page.name', ({ page, delivery }) => {
  const projection = projectionsOf(page.name)[delivery];
  let db: Pool;
  beforeAll(async () => {
    await postgres.createDatabase(page.name);
    await migratePage(page.name, postgres.url(page.name), { delivery, version: 1 }, silentLog);
    db = openPool(
      {
        url: postgres.url(page.name),
        applicationName: 'projection.spec',
        maximum: 1,
        statementTimeoutMs: 10_000,
        connectTimeoutMs: 5_000,
        searchPath: [viewSchema(delivery, 1), 'public'],
      },
      silentLog,
    );
    await db.query('set synchronous_commit = off');
  });
  afterAll(() => db?.end());

  const content = async () =>
    (await db.query('select to_jsonb(held) as row from top_clients held order by seller_id')).rows;

  test('any order, duplication and chunking of a history ends where the newest events alone end', async () => {
    await fc.assert(
      fc.asyncProperty(deliveries, async ({ events, order, sizes }) => {
        await db.query('delete from top_clients');
        const newest = distinct(events);
        expect(await projection.upsert(db, newest.map(projection.toRow))).toBe(newest.length);
        const expected = await content();

        await db.query('delete from top_clients');
        let at = 0;
        for (let i = 0; at < order.length; i++) {
          const chunk = order.slice(at, at + sizes[i % sizes.length]!).map((index) => events[index]!);
          at += chunk.length;
          await projection.upsert(db, distinct(chunk).map(projection.toRow));
        }
        expect(await content()).toEqual(expected);

        // A replay from the beginning changes nothing, and says so.
        for (const event of events) {
          expect(await projection.upsert(db, [projection.toRow(event)])).toBe(0);
        }
        expect(await content()).toEqual(expected);
      }),
      { numRuns: 30 },
    );
  });

  test('a copied row is to the last byte the row that a statement writes, from a message or from its text', async () => {
    const digests = async () =>
      (
        await db.query(
          `select seller_id, ${rowDigest('held')}::text as digest from top_clients held order by seller_id`,
        )
      ).rows;
    const read = (event: SellerEvent, asBytes: boolean) => {
      const text = JSON.stringify(event);
      const value = asBytes ? Buffer.from(text) : text;
      const decoded = decodeEvent({
        key: String(event.sellerId),
        value,
        type: cloudEventType(event.change.type),
      });
      return projection.toRow((decoded as Extract<typeof decoded, { kind: 'event' }>).event);
    };
    await fc.assert(
      fc.asyncProperty(deliveries, async ({ events }) => {
        const newest = distinct(events);
        await db.query('delete from top_clients');
        await projection.upsert(
          db,
          newest.map((event) => read(event, false)),
        );
        const expected = await digests();
        for (const asBytes of [false, true]) {
          await db.query('delete from top_clients');
          const rows = new CopyRows(0);
          for (const event of newest) projection.copy.write(read(event, asBytes), rows);
          await copyRows(db, projection.copy.statement, rows);
          expect(await digests()).toEqual(expected);
        }
        // The statement takes the row of a message as well.
        await db.query('delete from top_clients');
        await projection.upsert(
          db,
          newest.map((event) => read(event, true)),
        );
        expect(await digests()).toEqual(expected);
      }),
      { numRuns: 30 },
    );
  });

  test('an erased seller leaves a row with the version and nothing of the person', async () => {
    await db.query('delete from top_clients');
    // A name that nothing else in the row could hold.
    const secret = { ...(fc.sample(client, 1)[0] as Client), name: 'Nobody may read this' };
    const event = (version: number, clients: Client[]): SellerEvent => ({
      sellerId: 1,
      version,
      committedAt: '2026-11-23T10:00:00.000Z',
      change:
        clients.length > 0 ? { type: 'client-updated', client: clients[0]! } : { type: 'seller-erased' },
      clients,
    });
    await projection.upsert(db, [projection.toRow(event(1, [secret]))]);
    await projection.upsert(db, [projection.toRow(event(2, []))]);
    await projection.upsert(db, [projection.toRow(event(1, [secret]))]);
    const rows = JSON.stringify(await content());
    expect(rows).toContain('"version":2');
    expect(rows).not.toContain(secret.id);
    expect(rows).not.toContain(secret.name);
  });

  test('a thousand sellers go in one statement', async () => {
    await db.query('delete from top_clients');
    const [list] = fc.sample(fc.array(client, { minLength: 3, maxLength: 3 }), 1) as [Client[]];
    const rows = Array.from({ length: 1_000 }, (_, i) =>
      projection.toRow({
        sellerId: i + 1,
        version: 1,
        committedAt: '2026-11-23T10:00:00.000Z',
        change: { type: 'client-updated', client: list[0]! },
        clients: list,
      }),
    );
    expect(await projection.upsert(db, rows)).toBe(1_000);
  });
});

test('the events of this suite are events of the contract', () => {
  fc.assert(
    fc.property(histories, (sellers) => {
      for (const event of sellers.flat()) {
        const decoded = decodeEvent({
          key: String(event.sellerId),
          value: JSON.stringify(event),
          type: cloudEventType(event.change.type),
        });
        expect(decoded).toMatchObject({ kind: 'event' });
      }
    }),
    { numRuns: 50 },
  );
});
