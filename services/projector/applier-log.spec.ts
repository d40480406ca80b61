import { expect, test } from '@jest/globals';
import { SYSTEM_CLOCK } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { ApplierObserver } from './applier.ts';
import { loggedApplier } from './applier-log.ts';
import type { PoisonMessage } from './latest-per-key.ts';

function rig() {
  const lines: string[] = [];
  const counted: string[] = [];
  const time = { now: 0 };
  const log = {
    warn: (...words: unknown[]) => lines.push(String(words.at(-1))),
    info: (...words: unknown[]) => lines.push(String(words.at(-1))),
  } as unknown as Log;
  const observer: ApplierObserver = {
    applied: () => counted.push('applied'),
    repaired: () => counted.push('repaired'),
    skipped: (result, count) => counted.push(`${result} ${count}`),
    parked: () => counted.push('parked'),
    muted: (isMuted) => counted.push(`muted ${isMuted}`),
  };
  const told = loggedApplier(observer, log, { ...SYSTEM_CLOCK, monotonic: () => time.now });
  return { lines, counted, time, told };
}

test('everything is counted, and a tombstone without a version is said once', () => {
  const { told, lines, counted } = rig();
  told.applied([], 0, 0);
  told.skipped('stale', 2);
  told.skipped('unversioned', 1);
  told.skipped('unversioned', 3);
  expect(counted).toEqual(['applied', 'stale 2', 'unversioned 1', 'unversioned 3']);
  expect(lines).toEqual([expect.stringContaining('said once')]);
});

test('each parked message is named, but no more than a log bears', () => {
  const { told, lines, counted, time } = rig();
  const one = { partition: 0, sellerId: 7, reason: 'any', message: { offset: '1' } } as PoisonMessage;
  for (let i = 0; i < 1_000; i++) told.parked(one);
  expect(counted).toHaveLength(1_000);
  expect(lines).toHaveLength(61);
  time.now = 60_000;
  told.parked(one);
  expect(lines).toHaveLength(62);
});

test('an outage of notifications is said at its beginning and at its end', () => {
  const { told, lines, counted } = rig();
  told.muted(true);
  told.muted(false);
  expect(counted).toEqual(['muted true', 'muted false']);
  expect(lines).toHaveLength(2);
});
