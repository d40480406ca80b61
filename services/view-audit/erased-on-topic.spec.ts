import { expect, test } from '@jest/globals';
import { silentLog } from '#platform/log.ts';
import { confirmTopic, findErased, type TopicSession } from './erased-on-topic.ts';

interface Told {
  readonly key: string;
  readonly id: string | null;
  /** Bytes of the value; 0 is a tombstone. */
  readonly length: number;
}
const message = ({ key, id, length }: Told, offset: number) => ({
  offset: String(offset),
  key: Buffer.from(key),
  valueLength: length,
  header: () => id,
});

/** Partitions that hold these messages, each delivered two at a time. */
function topicOf(partitions: Record<number, Told[]>, lastStable?: number): TopicSession['reader'] {
  return {
    offsets: async () =>
      new Map(
        Object.entries(partitions).map(([partition, { length }]) => [
          Number(partition),
          { first: 0, lastStable: lastStable ?? length, highWatermark: length },
        ]),
      ),
    async read(reading, signal) {
      while (!signal.aborted) {
        for (const [partition, from] of [...reading.positions()]) {
          const messages = partitions[partition]!.slice(from, from + 2).map((one, i) =>
            message(one, from + i),
          );
          const next = from + messages.length;
          reading.deliver({ partition, from, next, end: next, messages: messages as never });
        }
        await new Promise(setImmediate);
      }
    },
  };
}
const never = new AbortController().signal;
const OF_7 = { id: 'a', sellerId: 7, version: 3 };

test('what stands before an erasure is found in any partition, the tombstone and later lists are not', async () => {
  const tombstone = { key: '7', id: '7/3', length: 0 };
  const clean = [
    { key: '8', id: '8/1', length: 9 },
    tombstone,
    { key: '7', id: '7/4', length: 9 },
    { key: '7', id: '7/3/repaired/x', length: 9 },
  ];
  expect(await findErased(topicOf({ 0: clean, 1: [] }), [OF_7], never)).toEqual(new Map([['a', null]]));
  for (const left of [
    { key: '7', id: '7/2', length: 9 },
    // Nobody knows of when it is.
    { key: '7', id: null, length: 9 },
  ]) {
    const found = await findErased(topicOf({ 0: clean, 5: [left, ...clean] }), [OF_7], never);
    expect(found.get('a')).toBe('partition 5 still has a message from before, at 0');
  }
});

test('what stands behind an open transaction of somebody else is looked at too', async () => {
  const behind = [
    { key: '8', id: '8/1', length: 9 },
    { key: '8', id: '8/2', length: 9 },
    { key: '7', id: '7/2', length: 9 },
    { key: '7', id: '7/3', length: 0 },
  ];
  expect((await findErased(topicOf({ 0: behind }, 1), [OF_7], never)).get('a')).toMatch(
    /still has a message/,
  );
});

test('a topic that cannot be read to its end says nothing', async () => {
  const damaged: TopicSession['reader'] = {
    ...topicOf({ 0: [{ key: '8', id: '8/1', length: 9 }] }),
    read: async (reading) => reading.unreadable(0, new Error('is damaged')),
  };
  await expect(findErased(damaged, [OF_7], never)).rejects.toThrow();
  const unknown = { ...damaged, offsets: async () => new Map([[0, null]]) };
  await expect(findErased(unknown, [OF_7], never)).rejects.toThrow(/nobody tells/);
});

test('it is read when something is due, and no more often than it should be', async () => {
  const stop = new AbortController();
  let now = 0;
  const reports: unknown[] = [];
  const opened: number[] = [];
  const open = async (): Promise<TopicSession> => {
    opened.push(now);
    return {
      due: async () => (now < 120_000 ? [] : [OF_7]),
      report: async (found) => void reports.push([now, ...found]),
      reader: topicOf({ 0: [{ key: '7', id: '7/1', length: 9 }] }),
      close: async () => {},
    };
  };
  await confirmTopic(open, { readTopicAfterMs: 0, readTopicEveryMs: 600_000 }, silentLog, stop.signal, {
    now: () => now,
    monotonic: () => now,
    pause: async (ms) => {
      now += ms;
      if (now > 1_000_000) stop.abort();
    },
  });
  const because = 'partition 0 still has a message from before, at 0';
  expect(reports).toEqual([
    [120_000, ['a', because]],
    [720_000, ['a', because]],
  ]);
  expect(opened).toEqual([0, 60_000, 120_000, 720_000]);
});
