import { expect, test } from '@jest/globals';
import { decodeEvent } from '#contracts/event-codec.ts';
import type { OutboxRow } from '../top-clients/adapters/postgres/outbox.ts';
import { at, sizeOf, toMessage } from './message.ts';

const NOW = Date.parse('2026-11-24T00:00:00Z');
const row: OutboxRow = {
  id: 7,
  sellerId: 42,
  version: 3,
  type: 'client-removed',
  value: JSON.stringify({
    sellerId: 42,
    version: 3,
    committedAt: '2026-11-23T10:00:00.123Z',
    change: { type: 'client-removed', clientId: '8c3a6cf1-6e6a-4d3e-9a53-6a9e2c1f0a11' },
    clients: [],
  }),
  committedAt: Date.parse('2026-11-23T10:00:00.123Z'),
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  replaces: null,
  partition: null,
};

test('a message carries the CloudEvents attributes and the trace context as headers', () => {
  expect(toMessage(row, NOW)).toEqual({
    key: '42',
    value: row.value,
    timestamp: '1795428000123',
    headers: {
      ce_specversion: '1.0',
      ce_id: '42/3',
      ce_source: '/top-clients',
      ce_type: 'dev.topclients.seller.client-removed.v1',
      ce_time: '2026-11-23T10:00:00.123Z',
      'content-type': 'application/json',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    },
    partition: null,
  });
});

test("Kafka's time is never after the present one, nor before 1970; the event's own stays as it was written", () => {
  const ahead = toMessage({ ...row, committedAt: NOW + 7_200_000 }, NOW);
  expect(ahead.timestamp).toBe(String(NOW));
  expect(ahead.headers['ce_time']).toBe('2026-11-24T02:00:00.000Z');
  expect(toMessage({ ...row, committedAt: -5 }, NOW).timestamp).toBe('0');
  expect(at(ahead, NOW + 5.5)).toEqual({ ...ahead, timestamp: String(NOW + 5) });
});

test('a row names its partition, and one that can be no message is refused', () => {
  expect(toMessage({ ...row, partition: 7 }, NOW).partition).toBe(7);
  for (const wrong of [
    { partition: -1 },
    { partition: 1.5 },
    { committedAt: Infinity },
    { committedAt: Number.NaN },
  ])
    expect(() => toMessage({ ...row, ...wrong }, NOW)).toThrow(RangeError);
});

test('a write without a trace has no traceparent header', () => {
  expect(toMessage({ ...row, traceparent: null }, NOW).headers).not.toHaveProperty('traceparent');
});

test('a tombstone has no value, and says what it is in the headers', () => {
  const { value, headers } = toMessage({ ...row, type: 'seller-erased', value: null }, NOW);
  expect(value).toBeNull();
  expect(headers['ce_type']).toBe('dev.topclients.seller.seller-erased.v1');
});

test('a repair has a type and an id of its own, and names the row it replaces', () => {
  const { headers } = toMessage({ ...row, type: 'seller-repaired', replaces: '9:-77' }, NOW);
  expect(headers).toMatchObject({
    ce_id: '42/3/repair/9:-77',
    ce_type: 'dev.topclients.seller.seller-repaired.v1',
    ce_replaces: '9:-77',
  });
  expect(toMessage({ ...row, type: 'seller-repaired' }, NOW).headers).not.toHaveProperty('ce_replaces');
  expect(toMessage(row, NOW).headers).not.toHaveProperty('ce_replaces');
});

test('readers of the contract read what the relay sends', () => {
  const { key, value, headers } = toMessage(row, NOW);
  expect(decodeEvent({ key, value, type: headers['ce_type']! })).toMatchObject({ kind: 'event' });
});

test('the size of a message is not estimated below what its text takes', () => {
  expect(sizeOf({ ...row, value: 'é'.repeat(1_000) })).toBeGreaterThan(2_000);
  expect(sizeOf({ ...row, value: null })).toBeGreaterThan(0);
});

test('a marker has an id and a type of its own, no value, and the partition that its row names', () => {
  const marker = toMessage({ ...row, type: 'seller-moved', value: null, partition: 3 }, NOW);
  expect(marker).toMatchObject({
    key: '42',
    value: null,
    partition: 3,
    headers: { ce_id: '42/3/moved', ce_type: 'dev.topclients.seller.seller-moved.v1' },
  });
  expect(toMessage(row, NOW).partition).toBeNull();
});
