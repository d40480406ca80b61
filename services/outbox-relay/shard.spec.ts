import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { silentLog } from '#platform/log.ts';
import type { Message } from './message.ts';
import type { OutboxRow } from './outbox.ts';
import { type Publisher, TooLarge } from './publisher.ts';
import { LIMITS, relayRows } from './shard.ts';

const row = (id: number, sellerId: number, version: number, value = '{}'): OutboxRow => ({
  id,
  sellerId,
  version,
  type: 'client-updated',
  value,
  committedAt: 0,
  traceparent: null,
});

/** An outbox in memory, a Kafka that fails on demand, and the end of the run when all rows are gone. */
function rig(
  rows: OutboxRow[],
  send: (batch: readonly Message[], attempt: number) => void | Promise<void> = () => {},
  moreToCome: () => boolean = () => false,
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
    cut() {},
    async close() {},
  };
  const outbox = {
    async take(taken: readonly number[], held: readonly number[], limit: number) {
      return waiting
        .filter(({ id, sellerId }) => !taken.includes(id) && !held.includes(sellerId))
        .sort((a, b) => a.id - b.id)
        .slice(0, limit);
    },
    async remove(ids: readonly number[]) {
      for (const id of ids)
        waiting.splice(
          waiting.findIndex((one) => one.id === id),
          1,
        );
      if (waiting.length === 0 && !moreToCome()) ended.abort();
    },
  };
  const observer = { sent: () => {}, sendFailed: () => {} };
  const run = () =>
    relayRows(outbox, publisher, observer, ended.signal, () => !ended.signal.aborted, silentLog);
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

test('a removal that fails ends the loop before a later row is removed', async () => {
  const { run, outbox, waiting } = rig(
    Array.from({ length: LIMITS.rowsPerBatch + 1 }, (_, i) => row(i + 1, 1, i + 1)),
  );
  outbox.remove = async () => {
    throw new Error('statement timeout');
  };
  await expect(run()).rejects.toThrow('statement timeout');
  expect(waiting).toHaveLength(LIMITS.rowsPerBatch + 1);
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
        );
        const take = outbox.take;
        outbox.take = async (...args) => {
          for (let i = chance(); i > 0 && later.length > 0; i--) {
            const { sellerId } = later[chance() % later.length]!;
            const [first] = later.splice(
              later.findIndex((one) => one.sellerId === sellerId),
              1,
            );
            waiting.push(first!);
          }
          return take(...args);
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
