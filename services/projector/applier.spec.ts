import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeEvent } from '#contracts/event-codec.ts';
import { cloudEventId, cloudEventType, MOVED_TYPE, movedId, type SellerEvent } from '#contracts/events.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { APPLIER_LIMITS, Applier, type ApplierObserver } from './applier.ts';
import type { BusMessage } from './bus.ts';
import type { ParkedMessage, Superseding } from './parked.ts';
import type { ViewStore } from './view-store.ts';

const message = (offset: number, sellerId: number, version: number, value?: string): BusMessage => ({
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
  options: {
    refuses?: (row: SellerEvent) => boolean;
    parked?: number[];
    partitions?: number[];
    /** The database's queue of notifications. */
    queue?: { isFull: boolean };
    clock?: Clock;
    isMuted?: boolean;
    isCopying?: boolean;
  } = {},
) {
  const view = new Map<number, number>();
  const parked = new Map<number, ParkedMessage>();
  const statements: SellerEvent[][] = [];
  const failures: unknown[] = [];
  const superseding: Superseding[] = [];
  const muted: boolean[] = [];
  /** How many events the view was asked about, because a statement had changed fewer rows than it was given. */
  const asked: number[] = [];
  const counted: Record<string, number> = {};
  let gate: Promise<void> = Promise.resolve();
  let failure: Error | undefined;
  const store = {
    lost: new AbortController().signal,
    isMuted: options.isMuted ?? false,
    isCopying: () => options.isCopying ?? false,
    async mute() {
      store.isMuted = true;
    },
    async unmute() {
      store.isMuted = options.queue?.isFull ?? false;
      return !store.isMuted;
    },
    async upsert(rows: readonly unknown[]) {
      statements.push(rows as SellerEvent[]);
      await gate;
      if (failure) throw failure;
      if (options.queue?.isFull && !store.isMuted) {
        throw Object.assign(new Error('the queue is full'), { code: '54000', file: 'async.c' });
      }
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
      const kept = messages.filter(
        ({ sellerId, version }) => version === null || (view.get(sellerId!) ?? 0) < version,
      );
      for (const one of kept) parked.set(one.offset, one);
      return kept;
    },
    async supersede(applied: readonly Superseding[]) {
      superseding.push(...applied);
      for (const { sellerId, version, offset } of applied) {
        for (const [at, one] of parked) {
          if (one.sellerId !== sellerId) continue;
          if (one.version && version ? one.version <= version : at < offset) parked.delete(at);
        }
      }
    },
  };
  const count = (result: string, more: number) => {
    counted[result] = (counted[result] ?? 0) + more;
  };
  const observer: ApplierObserver = {
    applied: (_, changed) => count('applied', changed),
    repaired: (result) => count(result, 1),
    skipped: count,
    parked: () => count('parked', 1),
    muted: (isMuted) => muted.push(isMuted),
  };
  const applier = new Applier(
    store as unknown as ViewStore,
    (event) => event,
    new Map((options.partitions ?? [0]).map((partition) => [partition, 0])),
    options.parked ?? [],
    observer,
    (err) => failures.push(err),
    options.clock,
  );
  return {
    applier,
    view,
    parked,
    statements,
    failures,
    superseding,
    muted,
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

test('many rows that are copied go in larger chunks, of which fewer are in flight', async () => {
  const { rowsPerChunk } = APPLIER_LIMITS.copied;
  const { applier, statements, block } = rig({ isCopying: true });
  const open = block();
  const messages = Array.from({ length: rowsPerChunk * 3 }, (_, i) => message(i, i + 1, 1));
  applier.handOver(0, messages, messages.length);
  await new Promise(setImmediate);
  expect(statements.map((rows) => rows.length)).toEqual([rowsPerChunk, rowsPerChunk]);
  open();
  await applier.drain();
  expect(statements.map((rows) => rows.length)).toEqual([rowsPerChunk, rowsPerChunk, rowsPerChunk]);
  expect(applier.positions.get(0)!.next).toBe(messages.length);
});

test('few messages do not wait for one another, whether rows are copied or not', async () => {
  const { applier, statements, block } = rig({ isCopying: true });
  const open = block();
  for (let i = 0; i < APPLIER_LIMITS.chunksInFlight; i++) {
    applier.handOver(0, [message(i, i + 1, 1)], i + 1);
    await new Promise(setImmediate);
  }
  expect(statements).toHaveLength(APPLIER_LIMITS.chunksInFlight);
  open();
  await applier.drain();
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
  ['54000', 'the queue of notifications is full, and stays so whatever is done'],
  ['54001', 'statement too complex'],
])('SQLSTATE %s (%s) is nobody’s row', async (code) => {
  const { applier, parked, failures, failWith } = rig();
  failWith(Object.assign(new Error(code), { code, file: 'async.c' }));
  applier.handOver(0, [message(0, 1, 1), message(1, 2, 1)], 2);
  await applier.drain();
  await new Promise(setImmediate);
  expect([failures.length, parked.size]).toEqual([1, 0]);
});

test('a full queue of notifications stops and parks nothing: page servers are not told until it has room', async () => {
  const queue = { isFull: true };
  const pauses: Array<() => void> = [];
  const clock: Clock = {
    ...SYSTEM_CLOCK,
    pause: () => new Promise((resolve) => pauses.push(resolve)),
  };
  const { applier, view, parked, failures, muted, statements } = rig({ queue, clock });
  const messages = Array.from({ length: APPLIER_LIMITS.rowsPerChunk * 2 }, (_, i) => message(i, i + 1, 1));
  applier.handOver(0, messages, messages.length);
  await applier.drain();
  expect([view.size, parked.size, failures.length]).toEqual([messages.length, 0, 0]);
  // Both chunks were on their way when the first was refused.
  expect(statements.map((rows) => rows.length)).toEqual([1_000, 1_000, 1_000, 1_000]);
  expect([muted, pauses.length]).toEqual([[true], 1]);
  pauses.shift()!();
  await new Promise(setImmediate);
  expect([muted, pauses.length]).toEqual([[true], 1]);
  queue.isFull = false;
  pauses.shift()!();
  await new Promise(setImmediate);
  expect([muted, pauses.length]).toEqual([[true, false], 0]);
});

test('who goes on with a session that does not tell page servers has them told again', async () => {
  const { muted, applier } = rig({
    isMuted: true,
    clock: { ...SYSTEM_CLOCK, pause: () => Promise.resolve() },
  });
  await new Promise(setImmediate);
  expect(muted).toEqual([false]);
  applier.end();
});

const tombstone = (offset: number, sellerId: number, version: number): BusMessage => ({
  ...message(offset, sellerId, version),
  value: null,
  headers: {
    ce_type: cloudEventType('seller-erased'),
    ce_id: cloudEventId(sellerId, version),
    ce_time: '2026-11-23T10:00:00.000Z',
  },
});

test('a tombstone that compaction left alone empties the row, and takes away what is parked of the seller', async () => {
  const { applier, view, parked, statements, superseding, counted } = rig();
  applier.handOver(0, [message(0, 1, 5), message(1, 1, 6, '{"sellerId":1,"version":6,')], 2);
  await applier.drain();
  expect([view.get(1), parked.size]).toEqual([5, 1]);
  applier.handOver(0, [tombstone(2, 1, 7)], 3);
  await applier.drain();
  expect(view.get(1)).toBe(7);
  expect(statements.at(-1)).toMatchObject([
    { sellerId: 1, version: 7, clients: [], committedAt: '2026-11-23T10:00:00.000Z' },
  ]);
  expect(parked.size).toBe(0);
  expect(superseding.at(-1)).toEqual({ sellerId: 1, version: 7, partition: 0, offset: 2, isFinal: true });
  expect(counted).toEqual({ applied: 2, parked: 1 });
});

test('an erasure and its tombstone are one row', async () => {
  const { applier, statements, counted } = rig();
  applier.handOver(0, [message(0, 1, 5), message(1, 1, 6), tombstone(2, 1, 6)], 3);
  await applier.drain();
  expect(statements.map((rows) => rows.map(({ version }) => version))).toEqual([[6]]);
  expect(counted).toEqual({ applied: 1, stale: 1, tombstone: 1 });
});

test('a refused tombstone is parked as its erasure', async () => {
  const { applier, parked } = rig({ refuses: ({ version }) => version === 6 });
  applier.handOver(0, [tombstone(0, 1, 6)], 1);
  await applier.drain();
  const [one] = [...parked.values()];
  expect(one).toMatchObject({ sellerId: 1, version: 6 });
  expect(decodeEvent(one!)).toMatchObject({ kind: 'event', event: { version: 6, clients: [] } });
});

test('a tombstone without a version and a marker of a move change nothing and are counted', async () => {
  const { applier, view, counted, parked } = rig();
  const { ce_id: _, ...headers } = tombstone(1, 1, 6).headers as Record<string, string>;
  applier.handOver(
    0,
    [
      message(0, 1, 5),
      { ...tombstone(1, 1, 6), headers },
      { ...tombstone(2, 1, 6), headers: { ce_type: MOVED_TYPE, ce_id: movedId(1, 6) } },
    ],
    3,
  );
  await applier.drain();
  expect([view.get(1), parked.size, applier.positions.get(0)!.next]).toEqual([5, 0, 3]);
  expect(counted).toEqual({ applied: 1, unversioned: 1, moved: 1 });
});

test('an unreadable message that tells an older version than the view has is stale, not parked', async () => {
  const { applier, parked, counted } = rig();
  applier.handOver(0, [message(0, 1, 5)], 1);
  await applier.drain();
  applier.handOver(0, [message(1, 1, 4, '{"sellerId":1,"version":4,')], 2);
  await applier.drain();
  expect(parked.size).toBe(0);
  expect(counted).toEqual({ applied: 1, stale: 1 });
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

test('a partition that was released begins anew where it is told to, whatever is on its way', async () => {
  const { applier, block, view } = rig();
  const goOn = block();
  applier.handOver(0, [message(0, 1, 1), message(1, 2, 1)], 2);
  await new Promise(setImmediate);
  applier.release(0);
  // As after a reset of the checkpoints by somebody else meanwhile.
  applier.begin(0, 1, []);
  expect(applier.handedOver(0)).toBe(1);
  goOn();
  await applier.drain();
  expect(view.size).toBe(2);
  expect(applier.positions.get(0)?.next).toBe(1);
});
