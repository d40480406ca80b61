import { expect, test } from '@jest/globals';
import { kafkaTopic } from './kafka-topic.ts';

test('a partition ends at its high watermark, also while a transaction of somebody else is open', async () => {
  const offsets = new Map([
    [0, { first: 2, lastStable: 5, highWatermark: 5 }],
    [1, { first: 2, lastStable: 4, highWatermark: 9 }],
  ]);
  expect(await kafkaTopic({ offsets: async () => offsets }).ends()).toEqual(
    new Map([
      [0, { first: 2, next: 5 }],
      [1, { first: 2, next: 9 }],
    ]),
  );
});

test('a partition of which nobody tells the end is no reason to do without it', async () => {
  const offsets = new Map([
    [0, { first: 2, lastStable: 5, highWatermark: 5 }],
    [1, null],
  ]);
  await expect(kafkaTopic({ offsets: async () => offsets }).ends()).rejects.toThrow('partition 1');
});
