import { expect, test } from '@jest/globals';
import { kafkaTopic } from './kafka-topic.ts';

/** As kafkajs tells it: `high` is the last stable offset, which an open transaction holds back. */
const admin = {
  fetchTopicOffsets: async () =>
    [0, 1].map((partition) => ({ partition, offset: '5', low: '2', high: partition === 1 ? '4' : '5' })),
};

test('a partition ends at its high watermark, also while a transaction of somebody else is open', async () => {
  const offsets = new Map([
    [0, { first: 2, lastStable: 5, highWatermark: 5 }],
    [1, { first: 2, lastStable: 4, highWatermark: 9 }],
  ]);
  expect(await kafkaTopic(admin, 'topic', { offsets: async () => offsets }).ends()).toEqual(
    new Map([
      [0, { first: 2, next: 5 }],
      [1, { first: 2, next: 9 }],
    ]),
  );
});

test('a partition of which nobody tells the end is no reason to do without it', async () => {
  const offsets = new Map([[0, { first: 2, lastStable: 5, highWatermark: 5 }]]);
  await expect(kafkaTopic(admin, 'topic', { offsets: async () => offsets }).ends()).rejects.toThrow(
    'partition 1',
  );
});
