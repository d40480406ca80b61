import { expect, test } from '@jest/globals';
import { silentLog } from '#platform/log.ts';
import { type FinishedWork, NO_TRACING, type Tracing } from '#platform/span.ts';
import type { ApplierObserver } from './applier.ts';
import type { Applicable } from './latest-per-key.ts';
import { tracedApplier } from './traces.ts';
import type { TracedChange } from './view-store.ts';

const SAMPLED = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const UNSAMPLED = SAMPLED.replace(/1$/, '0');
const applicable = (sellerId: number, traceparent: string | null, agoMs = 0): Applicable => ({
  partition: 4,
  message: {
    offset: '17',
    timestamp: '0',
    key: null,
    value: null,
    headers: traceparent === null ? {} : { traceparent: Buffer.from(traceparent) },
  },
  event: {
    sellerId,
    version: 9,
    committedAt: new Date(Date.now() - agoMs).toISOString(),
    change: { type: 'seller-erased' },
    clients: [],
  } as unknown as Applicable['event'],
});

const rig = (isOn: boolean, noteTraces: (changes: readonly TracedChange[]) => Promise<void>) => {
  const recorded: FinishedWork[] = [];
  const counted: number[] = [];
  const observer: ApplierObserver = {
    applied: (events) => counted.push(events.length),
    repaired: () => {},
    skipped: () => {},
    parked: () => {},
    muted: () => {},
  };
  const tracing: Tracing = { ...NO_TRACING, isOn, record: (work) => recorded.push(work) };
  const page = { page: 'gig', delivery: 'asynchronous' };
  return {
    recorded,
    counted,
    observer,
    traced: tracedApplier(observer, tracing, { noteTraces }, page, silentLog),
  };
};

test('each event of a recorded trace gets a span below the context in its header, and is noted for the page', () => {
  const noted: TracedChange[] = [];
  const { traced, recorded, counted } = rig(true, async (changes) => void noted.push(...changes));
  traced.applied([applicable(1, SAMPLED), applicable(2, UNSAMPLED), applicable(3, null)], 3, 5);
  expect(counted).toEqual([3]);
  expect(recorded).toMatchObject([
    {
      kind: 'consumer',
      parent: SAMPLED,
      tookMs: 5,
      attributes: { 'messaging.destination.partition.id': '4', 'messaging.kafka.offset': 17 },
    },
  ]);
  expect(noted).toEqual([{ sellerId: 1, version: 9, traceparent: SAMPLED }]);
});

test('a replay of old events notes nothing: nobody waits for them to be shown', () => {
  const { traced, recorded } = rig(true, () => {
    throw new Error('noted');
  });
  traced.applied([applicable(1, SAMPLED, 3_600_000)], 1, 5);
  expect(recorded).toHaveLength(1);
});

test('a note that fails fails nothing else', async () => {
  const { traced } = rig(true, () => Promise.reject(new Error('no such table')));
  traced.applied([applicable(1, SAMPLED)], 1, 5);
  await new Promise(setImmediate);
});

test('while traces are off neither headers nor the database are touched', () => {
  const { traced, observer } = rig(false, async () => {});
  expect(traced).toBe(observer);
});
