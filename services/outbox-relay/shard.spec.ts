import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Bell, untilRung } from '#platform/bell.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { pause } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import type { AckAndFetch, OutboxRow, WaitingRow } from '../top-clients/adapters/postgres/outbox.ts';
import type { OutboxAlarm } from '../top-clients/adapters/postgres/outbox-alarm.ts';
import { RETRY_EVERY_MS } from './held.ts';
import type { RelayMessage } from './message.ts';
import type { Publisher } from './publisher.ts';
import { LIMITS, type RelayOptions, relayRows, restAfter, type ShardObserver } from './shard.ts';

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

/** As kafkajs says it. */
const refusal = (type: string) => Object.assign(new Error(`the broker says ${type}`), { type });

/** Time that passes only when it is waited for. */
function virtualClock(start = 1_000_000) {
  let now = start;
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    pause: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        // One round of the loop is a millisecond, so that what is waited for comes at its time.
        const due = now + ms;
        const look = () => {
          if (signal?.aborted || now >= due) return resolve();
          now += 1;
          setImmediate(look);
        };
        setImmediate(look);
      }),
  };
  return clock;
}

/** An outbox in memory, a Kafka that fails on demand, and the end of the run when all rows are gone. */
function rig(
  rows: OutboxRow[],
  send: (batch: readonly RelayMessage[], attempt: number) => void | Promise<void> = () => {},
  moreToCome: () => boolean = () => false,
  { prefetchFrom = LIMITS.prefetchFrom, clock = SYSTEM_CLOCK }: Partial<RelayOptions> = {},
) {
  const ended = new AbortController();
  const attempts: Array<readonly RelayMessage[]> = [];
  const acknowledged: string[] = [];
  const waiting: (OutboxRow & Partial<WaitingRow>)[] = [...rows];
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
    async ackAndFetch({ remove, except, held, limit }: AckAndFetch) {
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
        .slice(0, limit)
        .map((one) => ({ waitedMs: 0, ...one }));
    },
    find: async (id: number) => waiting.find((one) => one.id === id) ?? null,
    release: ({ id }: { id: number }) => void released.push(id),
  };
  const released: number[] = [];
  const told: string[] = [];
  const observer: ShardObserver = {
    sent: () => {},
    sendFailed: ({ reason }) => void told.push(reason),
    blocked: (because) => void told.push(because === null ? 'goes on' : `blocked: ${because}`),
    held: (sellers) => void told.push(`${sellers} held`),
  };
  const run = (alarm: OutboxAlarm | null = null) =>
    relayRows(outbox, publisher, observer, ended.signal, { isHeld: () => !ended.signal.aborted }, silentLog, {
      prefetchFrom,
      clock,
      alarm,
    });
  return { run, attempts, acknowledged, waiting, ended, outbox, told, released };
}

test('an ack that removes the tombstone of an erasure confirms it, and no other does', async () => {
  const tombstone = { ...row(2, 7, 2), type: 'seller-erased', value: null };
  const { run, outbox } = rig([row(1, 7, 1), tombstone, row(3, 8, 1)]);
  const tells: unknown[] = [];
  const { ackAndFetch } = outbox;
  outbox.ackAndFetch = (one) => {
    if (one.remove.length > 0) tells.push([one.remove, one.endsErasures]);
    return ackAndFetch(one);
  };
  await run();
  expect(tells).toEqual([[[1, 2, 3], true]]);
});

test('a marker waits until the state before it is on the topic, and nobody else waits for that', async () => {
  const state = (id: number, sellerId: number, value = '{}') => ({
    ...row(id, sellerId, 7, value),
    type: 'seller-repaired',
    partition: 15,
  });
  const marker = (id: number, sellerId: number): OutboxRow => ({
    ...row(id, sellerId, 7),
    type: 'seller-moved',
    value: null,
    partition: 3,
  });
  const large = 'x'.repeat(2_000);
  const stored: string[] = [];
  const { run, waiting, ended, acknowledged } = rig(
    [state(1, 1, large), marker(2, 1), state(3, 2), marker(4, 2), row(5, 2, 8)],
    (batch) => {
      // As a broker does: each partition takes its part, or refuses it.
      const refused = batch.some(({ value }) => value === large) ? 15 : null;
      for (const { partition, headers } of batch) {
        if (partition !== refused) stored.push(headers['ce_id']!);
      }
      if (refused !== null) throw refusal('MESSAGE_TOO_LARGE');
      if (batch.some(({ headers }) => headers['ce_id'] === '2/8')) setTimeout(() => ended.abort(), 20);
    },
  );
  await run();
  // The one whose state is refused is held, and its old partition keeps what it has.
  expect(waiting.map(({ id }) => id)).toEqual([1, 2]);
  expect(stored).not.toContain('1/7/moved');
  expect(acknowledged.filter((id) => id.startsWith('2/'))).toEqual([
    expect.stringMatching(/^2\/7\/repair/),
    '2/7/moved',
    '2/8',
  ]);
});

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

test.each(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD', 'INVALID_TIMESTAMP'])(
  'a row that is refused with %s holds its seller, and nobody else',
  async (type) => {
    const bad = 'x'.repeat(2_000);
    const { run, acknowledged, waiting, ended, told } = rig(
      [row(1, 1, 1), row(2, 2, 1, bad), row(3, 2, 2), row(4, 3, 1), row(5, 1, 2)],
      (batch) => {
        if (batch.some(({ value }) => value === bad)) throw refusal(type);
        if (batch.some(({ headers }) => headers['ce_id'] === '1/2')) setTimeout(() => ended.abort(), 20);
      },
    );
    await run();
    expect(acknowledged).toEqual(['1/1', '3/1', '1/2']);
    expect(waiting.map(({ id }) => id)).toEqual([2, 3]);
    expect(told).toContain('1 held');
    expect(told.join()).not.toContain('blocked');
  },
);

test('a bad row among a thousand is found in a few attempts, and the others keep their order', async () => {
  const all = Array.from({ length: 1_000 }, (_, i) => row(i + 1, (i % 50) + 1, Math.floor(i / 50) + 1));
  all[777] = { ...all[777]!, value: 'bad' };
  const { run, acknowledged, attempts, waiting, ended } = rig(all, (batch) => {
    if (batch.some(({ value }) => value === 'bad')) throw refusal('INVALID_RECORD');
    if (batch.some(({ key, headers }) => key === '50' && headers['ce_id'] === '50/20'))
      setTimeout(() => ended.abort(), 20);
  });
  await run();
  const { sellerId, version } = all[777]!;
  const late = all.filter((one) => one.sellerId === sellerId && one.version >= version);
  expect(waiting).toEqual(late);
  expect(acknowledged).toEqual(
    all.filter((one) => !late.includes(one)).map((one) => `${one.sellerId}/${one.version}`),
  );
  expect(attempts.length).toBeLessThan(2 * Math.ceil(Math.log2(1_000)) + 2);
});

test('a row that cannot be a message holds its seller, and nobody else', async () => {
  const { run, acknowledged, waiting, ended, told } = rig(
    [{ ...row(1, 1, 1), committedAt: Number.POSITIVE_INFINITY }, row(2, 1, 2), row(3, 2, 1)],
    () => void setTimeout(() => ended.abort(), 20),
  );
  await run();
  expect(acknowledged).toEqual(['2/1']);
  expect(waiting.map(({ id }) => id)).toEqual([1, 2]);
  expect(told).toEqual(['NOT_ENCODABLE', '1 held']);
});

test('a held row is tried again by itself every 30 s, and its seller goes on from there', async () => {
  const clock = virtualClock();
  const tries: number[] = [];
  const { run, attempts, acknowledged, told, released } = rig(
    [row(1, 1, 1, 'bad'), row(2, 1, 2), row(3, 2, 1)],
    (batch) => {
      if (!batch.some(({ value }) => value === 'bad')) return;
      tries.push(clock.now());
      if (tries.length < 5) throw refusal('INVALID_RECORD');
    },
    () => false,
    { clock },
  );
  await run();
  expect(acknowledged).toEqual(['2/1', '1/1', '1/2']);
  // In the whole batch, in its first half, alone; and then alone each time.
  const [, , , second, third] = tries;
  expect(tries).toHaveLength(5);
  for (const wait of [second! - tries[2]!, third! - second!]) {
    expect(wait).toBeGreaterThanOrEqual(RETRY_EVERY_MS);
    expect(wait).toBeLessThan(RETRY_EVERY_MS + 100);
  }
  expect(attempts.slice(-3).map((batch) => batch.map(({ headers }) => headers['ce_id']))).toEqual([
    ['1/1'],
    ['1/1'],
    ['1/2'],
  ]);
  expect(told.filter((one) => one.endsWith('held'))).toEqual(['1 held', '1 held', '0 held']);
  expect(released).toEqual([1]);
});

test('a seller is held no more when somebody has deleted the row', async () => {
  const clock = virtualClock();
  const { run, acknowledged, waiting } = rig(
    [row(1, 1, 1, 'bad'), row(2, 1, 2), row(3, 2, 1)],
    (batch) => {
      if (batch.some(({ value }) => value === 'bad')) throw refusal('INVALID_RECORD');
      if (batch.some(({ key }) => key === '2')) waiting.splice(0, 1);
    },
    () => false,
    { clock },
  );
  await run();
  expect(acknowledged).toEqual(['2/1', '1/2']);
});

test('what the topic refuses for its time goes out with the present one before anybody is held', async () => {
  const clock = virtualClock(5_000_000);
  const { run, attempts, acknowledged, told } = rig(
    [row(1, 1, 1), row(2, 2, 1)],
    (batch) => {
      if (batch.some(({ timestamp }) => timestamp === '0')) throw refusal('INVALID_TIMESTAMP');
    },
    () => false,
    { clock },
  );
  await run();
  expect(acknowledged).toEqual(['1/1', '2/1']);
  expect(attempts).toHaveLength(2);
  expect(attempts[1]!.map(({ timestamp }) => timestamp)).toEqual(['5000000', '5000000']);
  expect(told).toEqual(['INVALID_TIMESTAMP']);
});

test('a row far ahead of this machine goes out with the present time', async () => {
  const clock = virtualClock(5_000_000);
  const { run, attempts } = rig([{ ...row(1, 1, 1), committedAt: 9_000_000 }], undefined, undefined, {
    clock,
  });
  await run();
  expect(attempts[0]![0]).toMatchObject({
    timestamp: '5000000',
    headers: { ce_time: '1970-01-01T02:30:00.000Z' },
  });
});

test('what is refused for everyone is named at once, tried again unchanged, and said to be over', async () => {
  const clock = virtualClock();
  const { run, attempts, told } = rig(
    [row(1, 1, 1)],
    (_, attempt) => {
      if (attempt < 4) throw refusal('TOPIC_AUTHORIZATION_FAILED');
    },
    () => false,
    { clock },
  );
  await run();
  expect(attempts).toHaveLength(4);
  expect(new Set(attempts).size).toBe(1);
  expect(told).toEqual([
    'TOPIC_AUTHORIZATION_FAILED',
    'blocked: Kafka takes no messages: TOPIC_AUTHORIZATION_FAILED, the broker says TOPIC_AUTHORIZATION_FAILED',
    'TOPIC_AUTHORIZATION_FAILED',
    'TOPIC_AUTHORIZATION_FAILED',
    'goes on',
  ]);
});

test('what should pass by itself is named when it has not after 5 s, and so is a send without an answer', async () => {
  const clock = virtualClock();
  const startedAt = clock.now();
  const blockedAfter: number[] = [];
  const { run, told } = rig(
    [row(1, 1, 1), row(2, 2, 1)],
    async (_, attempt) => {
      if (clock.now() < startedAt + 8_000) throw refusal('NOT_ENOUGH_REPLICAS');
      if (attempt > 0) await clock.pause(6_000);
    },
    () => false,
    { clock },
  );
  const push = told.push.bind(told);
  told.push = (...words) => {
    if (words[0]!.startsWith('blocked')) blockedAfter.push(clock.now() - startedAt);
    return push(...words);
  };
  await run();
  expect(blockedAfter).toHaveLength(1);
  expect(blockedAfter[0]).toBeGreaterThanOrEqual(LIMITS.blockedAfterMs);
  expect(blockedAfter[0]).toBeLessThan(LIMITS.blockedAfterMs + 100);
  expect(told.at(-1)).toBe('goes on');
});

test('where all are refused one by one, a hundred are held and the next is waited for, by name', async () => {
  const clock = virtualClock();
  let mended = false;
  const { run, told, acknowledged } = rig(
    Array.from({ length: 150 }, (_, i) => row(i + 1, i + 1, 1)),
    () => {
      if (told.some((one) => one.startsWith('blocked'))) mended = true;
      if (!mended) throw refusal('INVALID_RECORD');
    },
    () => false,
    { clock },
  );
  await run();
  expect(told).toContain('100 held');
  expect(told).not.toContain('101 held');
  expect(told.some((one) => one.startsWith('blocked: Kafka takes no messages: INVALID_RECORD'))).toBe(true);
  expect(acknowledged).toHaveLength(150);
});

test('a clock that was far behind and is set right heals all by itself', async () => {
  const clock = virtualClock();
  const right = clock.now() + 20_000;
  const { run, acknowledged, told } = rig(
    Array.from({ length: 102 }, (_, i) => row(i + 1, i + 1, 1)),
    (batch) => {
      if (batch.some(({ timestamp }) => Number(timestamp) < right)) throw refusal('INVALID_TIMESTAMP');
    },
    () => false,
    { clock },
  );
  await run();
  expect(told.some((one) => one.startsWith('blocked: Kafka takes no messages: INVALID_TIMESTAMP'))).toBe(
    true,
  );
  expect(acknowledged.toSorted()).toEqual(Array.from({ length: 102 }, (_, i) => `${i + 1}/1`).toSorted());
});

test('after a small batch it rests to the end of the round, longer when answers are slow, never for long', () => {
  expect([1, 2, 4, 8, 500].map((tookMs) => restAfter(tookMs, 1, 5))).toEqual([2, 2, 4, 8, 10]);
});

test('a round is as long as it was told to be, and shorter while few rows come', () => {
  expect([1, 2, 3, 4, 150].map((rows) => restAfter(1, rows, 5))).toEqual([2, 3, 4, 4, 4]);
  expect([1, 2, 3, 4, 150].map((rows) => restAfter(1, rows, 50))).toEqual([2, 3, 4, 5, 49]);
  expect(restAfter(0.25, 1, 1)).toBe(0.75);
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
  const { ackAndFetch } = outbox;
  outbox.ackAndFetch = async (one) => {
    if (one.remove.length > 0) throw new Error('statement timeout');
    return ackAndFetch(one);
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
  const { ackAndFetch } = outbox;
  outbox.ackAndFetch = (one) => {
    exchanged += 1;
    return ackAndFetch(one);
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
        let refusals = 6;
        const { run, waiting, acknowledged, outbox } = rig(
          [],
          () => {
            if (chance() === 0 && failures-- > 0) throw new Error('no answer');
            // Refused once, whatever is in it: it is divided, and somebody may be held for a while.
            if (chance() === 1 && refusals-- > 0) throw refusal('INVALID_RECORD');
          },
          () => later.length > 0,
          // So that batches taken ahead and others follow one another.
          { prefetchFrom: 3, clock: virtualClock() },
        );
        const { ackAndFetch } = outbox;
        outbox.ackAndFetch = async (one) => {
          for (let i = chance(); i > 0 && later.length > 0; i--) {
            const { sellerId } = later[chance() % later.length]!;
            const [first] = later.splice(
              later.findIndex((one) => one.sellerId === sellerId),
              1,
            );
            waiting.push(first!);
          }
          return ackAndFetch(one);
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

/** An alarm that rings when told to, and of which can be told how often it was set and ended. */
function testAlarm(set: () => boolean = () => true) {
  const told = { set: 0, off: 0, waits: 0 };
  const slept = new Bell();
  const bell = new Bell();
  const alarm: OutboxAlarm = {
    async set() {
      told.set += 1;
      if (!set()) return null;
      return {
        async rung(_, signal) {
          told.waits += 1;
          slept.ring();
          await untilRung(bell.next(), 60_000, signal, SYSTEM_CLOCK);
        },
        off() {
          told.off += 1;
        },
      };
    },
  };
  return {
    alarm,
    told,
    slept: () => slept.next(),
    /** Rings once this is written. @returns what resolves when the relay sleeps again */
    wake(write: () => void): Promise<void> {
      const again = slept.next();
      write();
      bell.ring();
      return again;
    },
  };
}

test('an idle relay sleeps until the alarm rings, and sees what was written before it was set', async () => {
  const { run, waiting, acknowledged, outbox } = rig(
    [row(1, 7, 1)],
    () => {},
    () => acknowledged.length < 4,
  );
  let looks = 0;
  const { ackAndFetch } = outbox;
  outbox.ackAndFetch = (one) => {
    looks += 1;
    return ackAndFetch(one);
  };
  const { alarm, told, slept, wake } = testAlarm(() => {
    if (told.set === 2) waiting.push(row(2, 7, 2));
    // Somebody writes: it cannot be set, and the relay goes on looking.
    return told.set > 1;
  });
  let sleeping = slept();
  const running = run(alarm);
  for (const id of [3, 4]) {
    await sleeping;
    expect(acknowledged).toHaveLength(id - 1);
    const before = looks;
    await pause(60);
    expect(looks).toBe(before);
    sleeping = wake(() => waiting.push(row(id, 7, id)));
  }
  await running;
  // It stays set while a row that woke the relay is sent.
  expect(told).toEqual({ set: 2, off: 0, waits: 2 });
});

test.each([
  [
    'a relay that is woken twice in quick succession looks by itself, until rows are rare again',
    0,
    [20, 3, 20, 3, 3],
  ],
  ['where commits are slow, quick succession is slower: they wait for one another', 100, [60, 60, 40, 40]],
])('%s', async (_, waitedMs, pauses) => {
  const clock = virtualClock();
  const { run, waiting, acknowledged } = rig(
    [row(1, 7, 1)],
    () => {},
    () => acknowledged.length <= pauses.length,
    { clock },
  );
  const { alarm, told, slept, wake } = testAlarm();
  let sleeping = slept();
  const running = run(alarm);
  for (const [at, afterMs] of pauses.entries()) {
    await sleeping;
    expect(told).toMatchObject({ set: 1, off: 0 });
    await clock.pause(afterMs);
    sleeping = wake(() => waiting.push({ ...row(at + 2, 7, at + 2), waitedMs }));
  }
  await running;
  expect(told).toEqual({ set: 1, off: 1, waits: pauses.length });
});

test('a relay that sleeps wakes for the row of a held seller when it is due', async () => {
  const clock = virtualClock();
  const { run, waiting, acknowledged } = rig(
    [row(1, 7, 1)],
    (batch, attempt) => {
      if (batch.some(({ headers }) => headers['ce_id'] === '7/2') && attempt < 4)
        throw refusal('MESSAGE_TOO_LARGE');
    },
    () => acknowledged.length < 2,
    { clock },
  );
  const { alarm, told, slept, wake } = testAlarm();
  const sleeping = slept();
  const running = run(alarm);
  await sleeping;
  void wake(() => waiting.push(row(2, 7, 2)));
  await running;
  // Once before the row, and once after it was taken.
  expect(told).toEqual({ set: 2, off: 1, waits: 1 });
  expect(acknowledged).toEqual(['7/1', '7/2']);
});
