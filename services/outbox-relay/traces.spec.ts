import { expect, test } from '@jest/globals';
import { type FinishedWork, NO_TRACING, type Tracing } from '#platform/span.ts';
import type { OutboxRow } from '../top-clients/adapters/postgres/outbox.ts';
import type { ShardObserver } from './shard.ts';
import { tracedRelay } from './traces.ts';

const SAMPLED = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const row = (id: number, traceparent: string | null): OutboxRow => ({
  id,
  sellerId: id,
  version: 3,
  type: 'client-added',
  value: '{}',
  committedAt: 0,
  traceparent,
  replaces: null,
  partition: null,
});

const observe = (isOn: boolean) => {
  const recorded: FinishedWork[] = [];
  const sent: number[] = [];
  const observer: ShardObserver = {
    sent: (rows) => sent.push(rows.length),
    sendFailed: () => {},
    blocked: () => {},
    held: () => {},
  };
  const tracing: Tracing = { ...NO_TRACING, isOn, record: (work) => recorded.push(work) };
  return { recorded, sent, observer, traced: tracedRelay(observer, tracing) };
};

test('each message of a recorded trace gets a span below the context of its row, the others none', () => {
  const { traced, recorded, sent } = observe(true);
  traced.sent([row(1, SAMPLED), row(2, SAMPLED.replace(/1$/, '0')), row(3, null), row(4, 'nonsense')], 12);
  expect(sent).toEqual([4]);
  expect(recorded).toMatchObject([
    {
      kind: 'producer',
      parent: SAMPLED,
      tookMs: 12,
      attributes: { 'topclients.seller.id': 1, 'messaging.batch.message_count': 4 },
    },
  ]);
});

test('while traces are off the rows are not even looked through', () => {
  const { traced, observer } = observe(false);
  expect(traced).toBe(observer);
});
