import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { cloudEventId, cloudEventType, type SellerEvent } from '#contracts/events.ts';
import { APPLIER_LIMITS, Applier, type ApplierObserver } from './applier.ts';
import type { Message } from './bus.ts';
import type { ParkedMessage, ViewStore } from './view-store.ts';

const message = (offset: number, sellerId: number, version: number, value?: string): Message => ({
  offset: String(offset),
  timestamp: String(1_000 + offset),
  key: Buffer.from(String(sellerId)),
  value: Buffer.from(
    value ??
      JSON.stringify({
        sellerId,
        version,
        committedAt: '2026-11-23T10:00:00.000Z',
        change: { type: 'seller-erased' },
        clients: [],
      }),
  ),
  headers: { ce_type: cloudEventType('seller-erased'), ce_id: cloudEventId(sellerId, version) },
});

/** A view in memory, which can refuse rows, take its time, or fail. */
function rig(
  options: { refuses?: (row: SellerEvent) => boolean; parked?: number[]; partitions?: number[] } = {},
) {
  const view = new Map<number, number>();
  const parked = new Map<number, ParkedMessage>();
  const statements: SellerEvent[][] = [];
  const failures: unknown[] = [];
  /** How many events the view was asked about, because a statement had changed fewer rows than it was given. */
  const asked: number[] = [];
  const counted: Record<string, number> = {};
  let gate: Promise<void> = Promise.resolve();
  let failure: Error | undefined;
  const store = {
    lost: new AbortController().signal,
    async upsert(rows: readonly unknown[]) {
      statements.push(rows as SellerEvent[]);
      await gate;
      if (failure) throw failure;
      if ((rows as SellerEvent[]).some((row) => options.refuses?.(row))) {
        throw Object.assign(new Error('value too long'), { code: '22001' });
      }
      const newer = (rows as SellerEvent[]).filter(
        ({ sellerId, version }) => (view.get(sellerId) ?? 0) < version,
      );
      for (const { sellerId, version } of newer) view.set(sellerId, version);
      return newer.length;
    },
    async countAtVersion(events: ReadonlyArray<{ sellerId: number; version: number }>) {
      asked.push(events.length);
      return events.filter(({ sellerId, version }) => view.get(sellerId) === version).length;
    },
    async park(messages: readonly ParkedMessage[]) {
      for (const one of messages) parked.set(one.offset, one);
    },
    async supersede(applied: ReadonlyArray<{ sellerId: number; offset: number }>) {
      for (const { sellerId, offset } of applied) {
        for (const [at, one] of parked) if (one.sellerId === sellerId && at < offset) parked.delete(at);
      }
    },
  } as unknown as ViewStore;
  const count = (result: string, more: number) => {
    counted[result] = (counted[result] ?? 0) + more;
  };
  const observer: ApplierObserver = {
    applied: (_, changed) => count('applied', changed),
    repaired: (result) => count(result, 1),
    skipped: count,
    parked: () => count('parked', 1),
  };
  const applier = new Applier(
    store,
    (event) => event,
    new Map((options.partitions ?? [0]).map((partition) => [partition, 0])),
    options.parked ?? [],
    observer,
    (err) => failures.push(err),
  );
  return {
    applier,
    view,
    parked,
    statements,
    failures,
    asked,
    counted,
    block() {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      return resolve;
    },
    failWith: (err: Error) => {
      failure = err;
    },
  };
}

test('what several partitions deliver at the same time goes into one statement', async () => {
  const { applier, statements, view } = rig({ partitions: [0, 1, 2] });
  for (const partition of [0, 1, 2]) applier.handOver(partition, [message(0, partition + 1, 1)], 1);
  await applier.drain();
  expect(statements.map((rows) => rows.length)).toEqual([3]);
  expect([...view]).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
  ]);
});

test('an event the view has is a duplicate, one it is beyond is stale, and only their chunk costs a look', async () => {
  const { applier, asked, counted } = rig();
  const deliver = async (from: number, ...events: Array<[sellerId: number, version: number]>) => {
    const messages = events.map(([sellerId, version], i) => message(from + i, sellerId, version));
    applier.handOver(0, messages, from + events.length);
    await applier.drain();
    await new Promise(setImmediate);
  };
  await deliver(0, [1, 3], [2, 3], [3, 3]);
  expect([asked, counted]).toEqual([[], { applied: 3 }]);
  await deliver(3, [1, 3], [2, 2], [3, 4], [4, 1]);
  expect([asked, counted]).toEqual([[4], { applied: 5, duplicate: 1, stale: 1 }]);
});

test('a position moves once its rows are written, not before', async () => {
  const { applier, block } = rig();
  const open = block();
  applier.handOver(0, [message(0, 1, 1), message(1, 2, 1)], 2);
  await new Promise(setImmediate);
  expect(applier.positions.get(0)!.next).toBe(0);
  expect(applier.handedOver(0)).toBe(2);
  expect(applier.oldestWaiting(0)).toBe(1_000);
  open();
  await applier.drain();
  expect(applier.positions.get(0)).toEqual({
    next: 2,
    writtenAt: 1_001,
    committedAt: '2026-11-23T10:00:00.000Z',
  });
  expect(applier.oldestWaiting(0)).toBeNull();
});

test('a statement has a bounded number of rows, and a partition may stand within a delivery', async () => {
  const { applier, statements, block } = rig();
  const open = block();
  const messages = Array.from({ length: APPLIER_LIMITS.rowsPerChunk * 4 + 10 }, (_, i) =>
    message(i, i + 1, 1),
  );
  applier.handOver(0, messages, messages.length);
  await new Promise(setImmediate);
  expect(statements.map((rows) => rows.length)).toEqual([1_000, 1_000, 1_000, 1_000]);
  open();
  await applier.drain();
  expect(statements.map((rows) => rows.length)).toEqual([1_000, 1_000, 1_000, 1_000, 10]);
  expect(applier.positions.get(0)!.next).toBe(messages.length);
});

test('it says when there is no more room', async () => {
  const { applier, block } = rig();
  const open = block();
  const messages = Array.from({ length: APPLIER_LIMITS.waiting }, (_, i) => message(i, i + 1, 1));
  applier.handOver(0, messages, messages.length);
  expect(applier.hasRoom).toBe(false);
  open();
  await applier.drain();
  expect(applier.hasRoom).toBe(true);
});

test('large messages fill a statement, and the room, before they are many', async () => {
  const { applier, block, statements } = rig();
  const open = block();
  const messages = Array.from({ length: 97 }, (_, i) => {
    const small = message(i, i + 1, 1);
    return { ...small, value: Buffer.from(String(small.value).padEnd(APPLIER_LIMITS.bytesPerChunk / 8)) };
  });
  applier.handOver(0, messages.slice(0, 95), 95);
  await new Promise(setImmediate);
  expect(applier.hasRoom).toBe(true);
  applier.handOver(0, messages.slice(95), messages.length);
  expect(applier.hasRoom).toBe(false);
  open();
  await applier.drain();
  expect(statements.map((rows) => rows.length)).toEqual([...Array(12).fill(8), 1]);
  expect(applier.hasRoom).toBe(true);
});

test('a row that the database refuses is found among many, parked with the reason, and the others are written', async () => {
  const { applier, view, parked } = rig({ refuses: ({ sellerId }) => sellerId === 37 });
  const messages = Array.from({ length: 100 }, (_, i) => message(i, i + 1, 1));
  applier.handOver(0, messages, 100);
  await applier.drain();
  expect(view.size).toBe(99);
  expect([...parked.values()]).toMatchObject([
    { offset: 36, sellerId: 37, key: '37', reason: 'the view refuses it: value too long' },
  ]);
  expect(applier.positions.get(0)!.next).toBe(100);
});

test('an unreadable message parks its seller; the next good event of the seller sets it free', async () => {
  const { applier, view, parked } = rig();
  applier.handOver(0, [message(0, 1, 1, '{'), message(1, 2, 1)], 2);
  await applier.drain();
  expect([...parked.keys()]).toEqual([0]);
  expect([...view.keys()]).toEqual([2]);
  applier.handOver(0, [message(2, 1, 2)], 3);
  await applier.drain();
  expect(parked.size).toBe(0);
  expect(view.get(1)).toBe(2);
});

test('a seller parked by an earlier process is set free too', async () => {
  const { applier, parked } = rig({ parked: [1] });
  parked.set(5, { offset: 5, sellerId: 1 } as ParkedMessage);
  applier.handOver(0, [message(6, 1, 2)], 7);
  await applier.drain();
  expect(parked.size).toBe(0);
});

test('a refused row is parked before the good event right behind it frees the seller', async () => {
  // Two statements are under way at once: the second succeeds while the first is still being halved.
  const { applier, view, parked, block } = rig({ refuses: ({ version }) => version === 1 });
  const open = block();
  applier.handOver(0, [message(0, 1, 1)], 1);
  await new Promise(setImmediate);
  applier.handOver(0, [message(1, 1, 2)], 2);
  await new Promise(setImmediate);
  open();
  await applier.drain();
  expect(view.get(1)).toBe(2);
  expect(parked.size).toBe(0);
});

test('a database that is away parks nothing and moves nothing: the failure is reported once', async () => {
  const { applier, parked, failures, failWith, view } = rig();
  failWith(Object.assign(new Error('terminating connection'), { code: '57P01' }));
  applier.handOver(0, [message(0, 1, 1)], 1);
  await applier.drain();
  await new Promise(setImmediate);
  expect(failures).toHaveLength(1);
  expect(parked.size).toBe(0);
  expect(view.size).toBe(0);
  expect(applier.positions.get(0)!.next).toBe(0);
  applier.handOver(0, [message(1, 1, 2)], 2);
  await applier.drain();
  expect(failures).toHaveLength(1);
});

test.each([
  ['40P01', 'deadlock'],
  ['57014', 'statement timeout'],
  ['42P01', 'no such table'],
  ['53100', 'disk full'],
])('SQLSTATE %s (%s) is nobody’s row', async (code) => {
  const { applier, parked, failures, failWith } = rig();
  failWith(Object.assign(new Error(code), { code }));
  applier.handOver(0, [message(0, 1, 1), message(1, 2, 1)], 2);
  await applier.drain();
  await new Promise(setImmediate);
  expect([failures.length, parked.size]).toEqual([1, 0]);
});

test('any deliveries in any sizes leave each seller at its newest version and every partition at its end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 9 })), { maxLength: 40 }),
      fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
      async (events, sizes) => {
        const { applier, view } = rig();
        let offset = 0;
        for (let i = 0; offset < events.length; i++) {
          const delivery = events.slice(offset, offset + sizes[i % sizes.length]!);
          applier.handOver(
            0,
            delivery.map(([sellerId, version], at) => message(offset + at, sellerId, version)),
            offset + delivery.length,
          );
          offset += delivery.length;
          if (i % 3 === 0) await new Promise(setImmediate);
        }
        await applier.drain();
        const newest = new Map<number, number>();
        for (const [sellerId, version] of events)
          newest.set(sellerId, Math.max(version, newest.get(sellerId) ?? 0));
        expect(new Map([...view].sort())).toEqual(new Map([...newest].sort()));
        expect(applier.positions.get(0)!.next).toBe(events.length);
      },
    ),
    { numRuns: 100 },
  );
});

test('a partition that is taken on later begins where it is told, and is forgotten when it is released', async () => {
  const { applier, view } = rig({ partitions: [0] });
  expect(applier.handedOver(1)).toBeUndefined();
  applier.begin(1, 7, []);
  expect(applier.handedOver(1)).toBe(7);
  applier.handOver(1, [message(7, 1, 1)], 8);
  await applier.drainPartition(1);
  expect(view.get(1)).toBe(1);
  expect(applier.positions.get(1)!.next).toBe(8);
  applier.release(1);
  expect(applier.handedOver(1)).toBeUndefined();
});

test('a partition is drained by itself, and one that is released with a queue leaves the room it took', async () => {
  const held = rig({ partitions: [0, 1] });
  const { applier } = held;
  const open = held.block();
  for (let chunk = 0; chunk < APPLIER_LIMITS.chunksInFlight; chunk++) {
    applier.handOver(0, [message(chunk, chunk + 1, 1)], chunk + 1);
    await Promise.resolve();
  }
  // Nothing of it goes out before the others are answered.
  const most = Array.from({ length: APPLIER_LIMITS.waiting }, (_, i) => message(i, 500, i + 1));
  applier.handOver(1, most, most.length);
  expect(applier.hasRoom).toBe(false);
  applier.release(1);
  expect(applier.hasRoom).toBe(true);
  // It may be taken on again before what was on its way has arrived; then it goes only forward.
  applier.release(0);
  applier.begin(0, 9, []);
  open();
  await applier.drain();
  expect(applier.positions.get(0)!.next).toBe(9);
});
