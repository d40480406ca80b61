import { expect, test } from '@jest/globals';
import { silentLog } from '#platform/log.ts';
import type { Queryable } from '#platform/postgres.ts';
import { type GrowingTopic, growPartitions } from './growth.ts';

/** A source without sellers: its layout, and the runs that were begun. */
function source(partitions: number | null, movedFrom: number | null = null) {
  const state = { partitions, movedFrom, runs: [] as string[], waits: [] as number[], age: 0 };
  const db = {
    async query(text: string, values: unknown[] = []) {
      if (text.startsWith('select partitions, moved_from')) {
        return {
          rows:
            state.partitions === null
              ? []
              : [{ partitions: state.partitions, moved_from: state.movedFrom, age: state.age }],
        };
      }
      if (text.startsWith('update partition_layout set partitions')) {
        [state.movedFrom, state.partitions] = values as [number, number];
      }
      if (text.startsWith('update partition_layout set moved_from = null')) state.movedFrom = null;
      if (text.startsWith('insert into republish')) state.runs.push(values[0] as string);
      if (text.startsWith('select count(*) as waiting')) return { rows: [{ waiting: 0 }] };
      if (text.startsWith('select through')) {
        return {
          rows: [
            {
              through: -1,
              last_seller: 9,
              moved_from: state.movedFrom,
              sellers_done: 0,
              sellers: 0,
              finished: false,
              partitions: state.partitions,
            },
          ],
        };
      }
      return { rows: [] };
    },
  } as unknown as Queryable;
  const clock = {
    now: () => 0,
    monotonic: () => state.waits.reduce((sum, ms) => sum + ms, 0),
    pause: async (ms: number) => void state.waits.push(ms),
  };
  const grow = (topic: GrowingTopic, wanted: number, cured?: number) =>
    growPartitions(
      db,
      topic,
      { partitions: wanted, movedFrom: cured, sellersPerSecond: 1_000, mostWaiting: 10, clock },
      silentLog,
    );
  return { state, grow };
}
const topicOf = (partitions: number | null, grows = true) => {
  const topic = {
    partitions,
    count: async () => topic.partitions,
    grow: grows
      ? async (to: number) => {
          topic.partitions = to;
        }
      : null,
  };
  return topic;
};

test('the topic grows before the layout, and the layout before anybody moves', async () => {
  const { state, grow } = source(12);
  const topic = topicOf(12);
  expect(await grow(topic, 24)).toMatchObject({ partitions: 24, movedFrom: null });
  expect(topic.partitions).toBe(24);
  expect(state.runs).toEqual(['growth-12-24']);
  // What a former leader of the relay has on its way arrives first.
  expect(state.waits).toContain(10_000);
});

test('a layout that has long been so is not waited for', async () => {
  const { state, grow } = source(24, 12);
  state.age = 60_000;
  await grow(topicOf(24), 24);
  expect(state.waits.filter((ms) => ms > 1_000)).toEqual([]);
});

test('what an earlier growth has left is ended before another one begins', async () => {
  const { state, grow } = source(24, 12);
  await grow(topicOf(24), 36);
  expect(state).toMatchObject({ partitions: 36, movedFrom: null, runs: ['growth-24-36'] });
});

test('nothing grows before a relay has stored a layout', async () => {
  const { grow } = source(null);
  const topic = topicOf(12);
  await expect(grow(topic, 24)).rejects.toThrow('start a relay of this version');
  expect(topic.partitions).toBe(12);
});

test('a topic that others grow is waited for, and asked for in words in the end', async () => {
  const { state, grow } = source(12);
  const topic = topicOf(12, false);
  await expect(grow(topic, 24)).rejects.toThrow('the topic has 12 partitions; give it 24');
  expect(state).toMatchObject({ partitions: 12, movedFrom: null });
  topic.partitions = 24;
  expect(await grow(topic, 24)).toMatchObject({ partitions: 24 });
});

test('fewer partitions are refused, and so is a cure from more than there are', async () => {
  const { grow } = source(24);
  await expect(grow(topicOf(24), 12)).rejects.toThrow('ask for 24 or more instead of 12');
  await expect(grow(topicOf(24), 24, 24)).rejects.toThrow('grown from fewer, not from 24');
});

test('a topic that was grown by other means gets its markers once', async () => {
  const { state, grow } = source(24);
  await grow(topicOf(24), 24, 12);
  expect(state).toMatchObject({ partitions: 24, movedFrom: null, runs: ['growth-12-24'] });
});
