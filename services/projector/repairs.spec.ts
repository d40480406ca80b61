/** What a repair may do to a view, and what it must not: the reasoning of contracts/repair.ts, tried. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { cloudEventType, type SellerEvent } from '#contracts/events.ts';
import { REPAIR_TYPE, type WrongRow, writeWrongRow } from '#contracts/repair.ts';
import { Applier } from './applier.ts';
import type { BusMessage } from './bus.ts';
import { latestPerKey } from './latest-per-key.ts';
import type { Place } from './parked.ts';
import type { ViewStore } from './view-store.ts';

const SELLER = 7;
const AT = '2026-11-23T10:00:00.000Z';
const change = { type: 'seller-erased' } as const;

interface Row {
  readonly version: number;
  readonly says: string;
}
/** Of all that a row says, as the database's is. */
const digestOf = ({ version, says }: Row): string =>
  String([...`${version} ${says}`].reduce((sum, one) => (sum * 31 + one.charCodeAt(0)) % 2 ** 40, 7));
const wrongRow = (row: Row): WrongRow => ({ version: row.version, digest: digestOf(row) });
const right = (version: number): Row => ({ version, says: `list ${version}` });

const message = (value: string | null, headers: Record<string, string>): Omit<BusMessage, 'offset'> => ({
  timestamp: '0',
  key: Buffer.from(String(SELLER)),
  value: value === null ? null : Buffer.from(value),
  headers,
});
/** In the order of members that we write, or in another, as repairs of an earlier release have. */
type Order = 'ours' | 'another';
const textOf = (version: number, order: Order) =>
  JSON.stringify({
    ...(order === 'another' ? { version } : {}),
    sellerId: SELLER,
    version,
    committedAt: AT,
    change,
    clients: [],
  });
const event = (version: number, order: Order = 'ours') =>
  message(textOf(version, order), { ce_type: cloudEventType('seller-erased') });
const repair = (version: number, wrong: Row | null, order: Order = 'ours') =>
  message(version === 0 ? null : textOf(version, order), {
    ce_type: REPAIR_TYPE,
    ...(wrong ? { ce_replaces: writeWrongRow(wrongRow(wrong)) } : {}),
  });

const anyOrder = fc.constantFrom<Order>('ours', 'another');

/** The view takes no row of this one. */
const REFUSED = 8;
const refused = (): Omit<BusMessage, 'offset'> => ({
  ...event(1),
  key: Buffer.from(String(REFUSED)),
  value: Buffer.from(JSON.stringify({ sellerId: REFUSED, version: 1, committedAt: AT, change, clients: [] })),
});

/** A view of one seller, and what a projector does to it. */
function openView() {
  let row: Row | undefined;
  const results: string[] = [];
  const upsert = ({ version }: SellerEvent) => {
    if ((row?.version ?? 0) >= version) return false;
    row = right(version);
    return true;
  };
  const store = {
    lost: new AbortController().signal,
    // What is sent is done in that order; the answers come later.
    async upsert(rows: readonly unknown[]) {
      const isRefused = (rows as SellerEvent[]).some(({ sellerId }) => sellerId === REFUSED);
      const changed = isRefused ? 0 : (rows as SellerEvent[]).filter(upsert).length;
      await new Promise(setImmediate);
      if (isRefused) throw Object.assign(new Error('value too long'), { code: '22001' });
      return changed;
    },
    park: async (messages: readonly Place[]) => messages,
    countAtVersion: async () => 0,
    async replace(_: number, wrong: readonly WrongRow[], written: SellerEvent | null) {
      const before = row;
      if (wrong.some(({ version, digest }) => row && row.version === version && digestOf(row) === digest)) {
        row = undefined;
      }
      if (written) upsert(written);
      return row !== before;
    },
  } as unknown as ViewStore;
  return {
    results,
    get row() {
      return row;
    },
    spoil: (spoilt: Row | undefined) => {
      row = spoilt;
    },
    /** Applies the messages as a member of its own would, `chunk` of them at a time. */
    async apply(
      messages: readonly Omit<BusMessage, 'offset'>[],
      chunk = 100,
      { inFlight = false } = {},
    ): Promise<void> {
      const applier = new Applier(
        store,
        (one) => one,
        new Map([[0, 0]]),
        [],
        {
          applied: () => {},
          repaired: (result) => results.push(result),
          skipped: () => {},
          parked: ({ reason }) => results.push(reason),
          muted: () => {},
        },
        (err) => results.push(String(err)),
      );
      for (let at = 0; at < messages.length; at += chunk) {
        const some = messages.slice(at, at + chunk);
        applier.handOver(
          0,
          some.map((one, i) => ({ ...one, offset: String(at + i) })),
          at + some.length,
        );
        // The chunk is sent in this turn.
        if (inFlight) await Promise.resolve();
        else await applier.drain();
      }
      await applier.drain();
    },
  };
}

test.each<[string, Row | undefined, number]>([
  ['that is absent', undefined, 3],
  ['that is older', { version: 2, says: 'list 2' }, 3],
  ['of the same version that says something else', { version: 3, says: 'x' }, 3],
  ['above the source', { version: 10, says: 'x' }, 3],
  ['of a seller the source does not know', { version: 4, says: 'x' }, 0],
])('a row %s is put right', async (_, row, version) => {
  const view = openView();
  view.spoil(row);
  await view.apply([repair(version, row ?? null)]);
  expect(view.row).toEqual(version === 0 ? undefined : right(version));
  expect(view.results).toEqual(['applied']);
});

test('a repair replaces the very row it names, and none that only has its version', async () => {
  const view = openView();
  await view.apply([1, 2, 3, 4, 5].map((version) => event(version)));
  await view.apply([repair(3, { version: 5, says: 'x' })]);
  expect(view.row).toEqual(right(5));
  expect(view.results).toEqual(['duplicate']);
  await view.apply([repair(0, { version: 5, says: 'x' })]);
  expect(view.row).toEqual(right(5));
});

test.each<Order>(['ours', 'another'])(
  'a repair is not lost where a newer event stands beside it, its members in %s order',
  async (order) => {
    const view = openView();
    view.spoil({ version: 90, says: 'x' });
    await view.apply([event(4), repair(4, { version: 90, says: 'x' }, order), event(5)]);
    expect(view.row).toEqual(right(5));
  },
);

test('an event behind a repair, delivered right after it, finds the wrong row gone', async () => {
  const view = openView();
  view.spoil({ version: 90, says: 'x' });
  await view.apply([repair(4, { version: 90, says: 'x' }), event(5)], 1);
  expect(view.row).toEqual(right(5));
});

test.each([3, 0])(
  'a wrong row that the topic itself makes, of version 5 against %d, is put right',
  async (version) => {
    const view = openView();
    await view.apply([event(5), repair(version, right(5))]);
    expect(view.row).toEqual(version === 0 ? undefined : right(version));
  },
);

test.each([
  ['in the same chunk', 100],
  ['in the next chunk', 2],
])(
  'a repair %s as a statement that is refused still finds the wrong row that this makes',
  async (_, chunk) => {
    const view = openView();
    await view.apply([event(9), refused(), repair(3, right(9)), event(4)], chunk, { inFlight: true });
    expect(view.row).toEqual(right(4));
  },
);

test('how messages are taken together does not change what they come to', async () => {
  const anyMessage = fc.oneof(
    fc.tuple(fc.integer({ min: 1, max: 6 }), anyOrder).map(([version, order]) => event(version, order)),
    fc
      .tuple(fc.nat(6), fc.option(fc.integer({ min: 1, max: 6 })), anyOrder)
      .map(([version, wrong, order]) => repair(version, wrong === null ? null : right(wrong), order)),
    fc.constant(null).map(refused),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyMessage, { maxLength: 12 }),
      fc.integer({ min: 1, max: 12 }),
      fc.boolean(),
      async (messages, chunk, inFlight) => {
        const [alone, together] = [openView(), openView()];
        await alone.apply(messages, 1);
        await together.apply(messages, chunk, { inFlight });
        expect(together.row).toEqual(alone.row);
      },
    ),
    { numRuns: 500 },
  );
});

test('a header that names no row replaces none', async () => {
  for (const text of ['', '3', '3:', '3:x', '3:99999999999999999999', '1e3:4']) {
    const view = openView();
    await view.apply([event(3)]);
    await view.apply([
      { ...repair(0, null), headers: { ce_type: REPAIR_TYPE, ce_replaces: text } } as Omit<
        BusMessage,
        'offset'
      >,
    ]);
    expect([view.row, view.results]).toEqual([right(3), ['duplicate']]);
  }
});

test('a reader of old takes a repair for the event it repeats, and its tombstone for one', () => {
  const received = [event(2), repair(3, null), repair(0, null)].map((one, offset) => ({
    partition: 0,
    message: { ...one, offset: String(offset) },
  }));
  const { events, tombstones } = latestPerKey(received);
  expect(events.map((one) => one.event.version)).toEqual([3]);
  expect(tombstones).toBe(1);
});

test('whatever was spoilt and repaired, no duplicate, replay, zombie or other view comes to harm', async () => {
  await fc.assert(
    fc.asyncProperty(
      // How far the source is when the row is spoilt, when it is repaired, and in the end.
      fc.tuple(fc.nat(6), fc.nat(4), fc.nat(6)),
      fc.option(fc.record({ version: fc.integer({ min: 1, max: 14 }), says: fc.constantFrom('x', 'y') })),
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.tuple(fc.nat(20), fc.nat(20)), { maxLength: 4 }),
      anyOrder,
      async ([n, more, rest], spoilt, chunk, zombies, order) => {
        const view = openView();
        const [seen, last] = [n + more, n + more + rest];
        const events = Array.from({ length: last }, (_, i) => event(i + 1));
        const topic = [...events.slice(0, seen)];
        await view.apply(events.slice(0, n), chunk);
        view.spoil(spoilt ?? undefined);
        await view.apply(events.slice(n, seen), chunk);
        // The comparison names the row as it finds it.
        const found = view.row;
        const repaired = repair(seen, found && found.version >= seen ? found : null, order);
        topic.push(repaired, ...events.slice(seen));
        await view.apply(topic.slice(seen), chunk);
        const wanted = last === 0 ? undefined : right(last);
        expect(view.row).toEqual(wanted);
        for (const [from, length] of [...zombies, [0, topic.length] as const]) {
          await view.apply(topic.slice(from, from + length), chunk);
          expect(view.row).toEqual(wanted);
        }
        const fresh = openView();
        await fresh.apply(topic, chunk);
        expect(fresh.row).toEqual(wanted);
        // Compaction keeps the last message of the key; a tombstone not for ever.
        const compacted = openView();
        await compacted.apply(topic.slice(-1));
        expect(compacted.row).toEqual(wanted);
      },
    ),
    { numRuns: 300 },
  );
});
