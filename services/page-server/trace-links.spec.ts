import { expect, test } from '@jest/globals';
import { silentLog } from '#platform/log.ts';
import type { Queryable } from '#platform/postgres.ts';
import { followTraceLinks, TraceLinks } from './trace-links.ts';

const note = (
  changes: TraceLinks,
  seller_id: number,
  version: number,
  traceparent = `${seller_id}/${version}`,
) => changes.note({ seller_id, version, traceparent });

test('the first render at the version of a change, or beyond it, gets its trace; no other does', () => {
  const changes = new TraceLinks();
  note(changes, 1, 5);
  expect([4, 5, 5].map((version) => changes.shownBy(1, version))).toEqual([null, '1/5', null]);
  note(changes, 2, 5);
  expect([7, 7].map((version) => changes.shownBy(2, version))).toEqual(['2/5', null]);
  expect(changes.shownBy(3, 1)).toBeNull();
});

test('a change that was shown stays shown when it is found again, and a newer one takes its place', () => {
  const changes = new TraceLinks();
  note(changes, 1, 5);
  changes.shownBy(1, 5);
  note(changes, 1, 5);
  note(changes, 1, 4);
  expect(changes.shownBy(1, 5)).toBeNull();
  note(changes, 1, 6);
  expect([5, 6].map((version) => changes.shownBy(1, version))).toEqual([null, '1/6']);
});

test('of too many sellers the longest known make room', () => {
  const changes = new TraceLinks();
  for (let sellerId = 1; sellerId <= 10_001; sellerId++) note(changes, sellerId, 1);
  expect([1, 2, 10_001].map((sellerId) => changes.shownBy(sellerId, 1))).toEqual([null, '2/1', '10001/1']);
});

test('looking goes on after a failure, as far back as the last look that succeeded', async () => {
  const stop = new AbortController();
  const reaches: number[] = [];
  const changes = new TraceLinks();
  const db = {
    async query({ values: [reach] }: { values: number[] }) {
      reaches.push(reach!);
      if (reaches.length === 2) throw new Error('away');
      if (reaches.length === 3) stop.abort();
      return { rows: [{ seller_id: 1, version: reaches.length, traceparent: 'trace' }] };
    },
  } as unknown as Queryable;
  await followTraceLinks(db, changes, stop.signal, silentLog);
  expect(changes.isEmpty).toBe(false);
  expect(changes.shownBy(1, 3)).toBe('trace');
  const [first, second, third] = reaches as [number, number, number];
  expect(second).toBeGreaterThan(first + 200);
  expect(third).toBeGreaterThan(second + 200);
});
