import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { silentLog } from '#platform/log.ts';
import type { Message } from './message.ts';
import type { Exchange, OutboxRow } from './outbox.ts';
import { type Publisher, TooLarge } from './publisher.ts';
import { LIMITS, relayRows, restAfter } from './shard.ts';

const row = (id: number, sellerId: number, version: number, value = '{}'): OutboxRow => ({
  id,
  sellerId,
  version,
  type: 'client-updated',
  value,
  committedAt: 0,
  traceparent: null,
  replaces: null,
  partition: null,
});

/** An outbox in memory, a Kafka that fails on demand, and the end of the run when all rows are gone. */
function rig(
  rows: OutboxRow[],
  send: (batch: readonly Message[], attempt: number) => void | Promise<void> = () => {},
  moreToCome: () => boolean = () => false,
  prefetchFrom: number = LIMITS.prefetchFrom,
) {
  const ended = new AbortController();
  const attempts: Array<readonly Message[]> = [];
  const acknowledged: string[] = [];
  const waiting = [...rows];
  let sending = 0;
  const publisher: Publisher = {
    async send(batch) {
      sending += 1;
      expect(sending).toBe(1);
      attempts.push(batch);
      try {
        await send(batch, attempts.length);
        acknowledged.push(...batch.map(({ headers }) => headers['ce_id']!));
      } finally {
        sending -= 1;
      }
    },
    end() {},
  };
  const outbox = {
    async exchange({ remove, except, held, limit }: Exchange) {
      for (const id of remove) {
        waiting.splice(
          waiting.findIndex((one) => one.id === id),
          1,
        );
      }
      if (remove.length > 0 && waiting.length === 0 && !moreToCome()) ended.abort();
      return waiting
        .filter(({ id, sellerId }) => !except.includes(id) && !held.includes(sellerId))
        .sort((a, b) => a.id - b.id)
        .slice(0, limit);
    },
  };
  const observer = { sent: () => {}, sendFailed: () => {} };
  const run = () =>
    relayRows(
      outbox,
      publisher,
      observer,
      ended.signal,
      () => !ended.signal.aborted,
      silentLog,
      prefetchFrom,
    );
  return { run, attempts, acknowledged, waiting, ended, outbox };
}

test('rows go out in order, are removed after the acknowledgement, and nothing is left', async () => {
  const { run, acknowledged, waiting } = rig([row(1, 1, 1), row(2, 2, 1), row(3, 1, 2)]);
  await run();
  expect(acknowledged).toEqual(['1/1', '2/1', '1/2']);
  expect(waiting).toEqual([]);
});

test('a batch that failed is sent again unchanged, also when more rows have come', async () => {
  const { run, attempts, acknowledged, waiting } = rig([row(5, 1, 1)], (_, attempt) => {
    // A transaction that drew its id earlier commits while the batch is on its way.
    if (attempt === 1) waiting.push(row(4, 2, 1));
    if (attempt < 3) throw new Error('no answer');
  });
  await run();
  expect(attempts.slice(0, 3).map((batch) => batch.map(({ key }) => key))).toEqual([['1'], ['1'], ['1']]);
  expect(attempts[1]).toBe(attempts[0]);
  expect(acknowledged).toEqual(['1/1', '2/1']);
});

test('a message that is too large for the topic holds its seller, and nobody else', async () => {
  const huge = 'x'.repeat(2_000);
  const { run, acknowledged, waiting, ended } = rig(
    [row(1, 1, 1), row(2, 2, 1, huge), row(3, 2, 2), row(4, 3, 1), row(5, 1, 2)],
    (batch) => {
      if (batch.some(({ value }) => value === huge)) throw new TooLarge('too large');
      if (batch.some(({ headers }) => headers['ce_id'] === '1/2')) setTimeout(() => ended.abort(), 20);
    },
  );
  await run();
  expect(acknowledged).toEqual(['1/1', '3/1', '1/2']);
  expect(waiting.map(({ id }) => id)).toEqual([2, 3]);
});

test('after a small batch it rests to the end of the round, longer when answers are slow, never for long', () => {
  expect([1, 2, 4, 8, 500].map(restAfter)).toEqual([2, 2, 4, 8, 10]);
});

test('a batch holds a bounded number of bytes', async () => {
  const big = 'x'.repeat(LIMITS.bytesPerBatch / 2);
  const { run, attempts } = rig([row(1, 1, 1, big), row(2, 1, 2, big), row(3, 1, 3, big)]);
  await run();
  expect(attempts.map((batch) => batch.length)).toEqual([1, 1, 1]);
});

test('it ends without another attempt once the leadership is gone', async () => {
  const { run, attempts, ended, waiting } = rig([row(1, 1, 1)], () => {
    ended.abort();
    throw new Error('no answer');
  });
  await run();
  expect(attempts).toHaveLength(1);
  expect(waiting).toHaveLength(1);
});

test('an acknowledged batch is removed even when the end came while it was sent', async () => {
  const { run, waiting, ended } = rig([row(1, 1, 1)], () => ended.abort());
  await run();
  expect(waiting).toEqual([]);
});

test('a deletion that fails ends the loop before a later row is deleted', async () => {
  const { run, outbox, waiting } = rig(
    Array.from({ length: LIMITS.rowsPerBatch * 2 }, (_, i) => row(i + 1, 1, i + 1)),
  );
  const { exchange } = outbox;
  outbox.exchange = async (one) => {
    if (one.remove.length > 0) throw new Error('statement timeout');
    return exchange(one);
  };
  await expect(run()).rejects.toThrow('statement timeout');
  expect(waiting).toHaveLength(LIMITS.rowsPerBatch * 2);
});

test('under a backlog the next batch is taken while one is on its way, without what is in it', async () => {
  const all = Array.from({ length: LIMITS.rowsPerBatch * 3 }, (_, i) => row(i + 1, 1, i + 1));
  const exchanges: number[] = [];
  const { run, outbox, acknowledged, waiting } = rig(all, async () => {
    exchanges.push(exchanged);
    await new Promise(setImmediate);
    exchanges.push(exchanged);
  });
  let exchanged = 0;
  const { exchange } = outbox;
  outbox.exchange = (one) => {
    exchanged += 1;
    return exchange(one);
  };
  await run();
  // One before the first batch; each of the batches finds the next one taken by the time it arrives.
  expect(exchanges).toEqual([1, 2, 2, 3, 3, 4]);
  expect(acknowledged).toEqual(all.map(({ version }) => `1/${version}`));
  expect(waiting).toEqual([]);
});

test('a batch taken ahead is removed although a small one follows it, and goes out once', async () => {
  const all = Array.from({ length: LIMITS.prefetchFrom }, (_, i) => row(i + 1, 1, i + 1));
  const { run, attempts, waiting } = rig(all, (_, attempt) => {
    if (attempt === 1) waiting.push(row(LIMITS.prefetchFrom + 1, 1, LIMITS.prefetchFrom + 1));
    if (attempt === 4) throw new Error('the first batch goes out again and again');
  });
  await run();
  expect(attempts.map((batch) => batch.length)).toEqual([LIMITS.prefetchFrom, 1]);
});

test("whatever fails and whenever rows appear, each seller's versions are acknowledged in order and all arrive", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 60 }),
      fc.infiniteStream(fc.integer({ min: 0, max: 9 })),
      async (sellers, chances) => {
        const chance = () => chances.next().value as number;
        const versions = new Map<number, number>();
        const all = sellers.map((sellerId, i) => {
          const version = (versions.get(sellerId) ?? 0) + 1;
          versions.set(sellerId, version);
          return row(i + 1, sellerId, version);
        });
        // Rows become visible late, in any order between sellers, in order within one.
        const later = [...all];
        let failures = 1;
        const { run, waiting, acknowledged, outbox } = rig(
          [],
          () => {
            if (chance() === 0 && failures-- > 0) throw new Error('no answer');
          },
          () => later.length > 0,
          // So that batches taken ahead and others follow one another.
          3,
        );
        const { exchange } = outbox;
        outbox.exchange = async (one) => {
          for (let i = chance(); i > 0 && later.length > 0; i--) {
            const { sellerId } = later[chance() % later.length]!;
            const [first] = later.splice(
              later.findIndex((one) => one.sellerId === sellerId),
              1,
            );
            waiting.push(first!);
          }
          return exchange(one);
        };
        await run();
        for (const seller of versions.keys()) {
          const sent = acknowledged.filter((id) => id.startsWith(`${seller}/`));
          expect(sent).toEqual(Array.from({ length: versions.get(seller)! }, (_, i) => `${seller}/${i + 1}`));
        }
      },
    ),
    { numRuns: 50 },
  );
});
