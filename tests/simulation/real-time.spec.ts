import { expect, test } from '@jest/globals';
import { RealTimeUsed, withoutRealTime } from './real-time.ts';

test.each([
  ['Date.now', () => Date.now()],
  ['new Date()', () => new Date()],
  ['performance.now', () => performance.now()],
  ['setTimeout', () => setTimeout(() => {}, 1)],
  ['setInterval', () => setInterval(() => {}, 1)],
  ['setImmediate', () => setImmediate(() => {})],
  ['Math.random', () => Math.random()],
] as [string, () => unknown][])('%s ends a run, and is there again afterwards', (_, use) => {
  expect(() => withoutRealTime(use)).toThrow(RealTimeUsed);
  expect(typeof Date.now()).toBe('number');
  expect(Math.random()).toBeLessThan(1);
});

test('a date that is told may be made', () => {
  expect(withoutRealTime(() => new Date(0).toISOString())).toBe('1970-01-01T00:00:00.000Z');
});
