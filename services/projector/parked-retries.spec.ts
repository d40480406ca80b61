import { expect, test } from '@jest/globals';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { silentLog } from '#platform/log.ts';
import type { Retried } from './parked.ts';
import { ParkedRetries } from './parked-retries.ts';

const retried = (result: Retried['result']): Retried => ({
  partition: 0,
  offset: 1,
  sellerId: 7,
  result,
  reason: result === 'remains' ? 'any' : null,
});

function rig() {
  const time = { now: 0 };
  const clock: Clock = { ...SYSTEM_CLOCK, monotonic: () => time.now };
  const asked: Array<[partitions: readonly number[], anew: readonly number[]]> = [];
  const told: string[] = [];
  const state = { answer: async (): Promise<readonly Retried[]> => [] };
  const retries = new ParkedRetries(({ result }) => told.push(result), silentLog, clock);
  const store = {
    retryParked: (partitions: readonly number[], anew: readonly number[]) => {
      asked.push([partitions, anew]);
      return state.answer();
    },
  };
  const look = (...partitions: number[]) => retries.look(store, partitions);
  return { time, asked, told, state, store, retries, look };
}

test('everything of a partition is due once, when it is new to the process', async () => {
  const { asked, look } = rig();
  await look(0, 1);
  await look(0, 1);
  await look(1, 2);
  await look(0, 2);
  expect(asked.map(([, anew]) => anew)).toEqual([[0, 1], [], [2], [0]]);
});

test('what became of each is told', async () => {
  const { state, told, look } = rig();
  state.answer = async () => [retried('applied'), retried('superseded'), retried('remains')];
  await look(0);
  expect(told).toEqual(['applied', 'superseded', 'remains']);
});

test('one look works at a time', async () => {
  const { state, asked, look } = rig();
  const { promise, resolve } = Promise.withResolvers<readonly Retried[]>();
  state.answer = () => promise;
  const first = look(0);
  await look(0);
  expect(asked).toHaveLength(1);
  resolve([]);
  await first;
  await look(0);
  expect(asked).toHaveLength(2);
});

test('a database that fails is left alone for a minute, and everything is due still', async () => {
  const { state, time, asked, look } = rig();
  state.answer = async () => Promise.reject(new Error('is away'));
  await look(0);
  time.now = 59_000;
  await look(0);
  expect(asked).toHaveLength(1);
  state.answer = async () => [];
  time.now = 61_000;
  await look(0);
  expect(asked.map(([, anew]) => anew)).toEqual([[0], [0]]);
});

test('who owns no partition asks for nothing', async () => {
  const { asked, look } = rig();
  await look();
  expect(asked).toEqual([]);
});

test('where nothing is parked the view is not asked, and what is parked later has its own back-off', async () => {
  const { store, retries, asked } = rig();
  await retries.look(store, [0, 1], false);
  expect(asked).toEqual([]);
  await retries.look(store, [0, 1], true);
  expect(asked).toEqual([[[0, 1], []]]);
});
