import { expect, test } from '@jest/globals';
import { openMinVersionLimit } from './min-version-limit.ts';

test('each client has its calls of a minute, and is told how long to wait for the next', () => {
  let now = 5_000;
  const calls = openMinVersionLimit(2, () => now);
  expect([calls.take('a'), calls.take('a'), calls.take('b')]).toEqual(['yes', 'yes', 'yes']);
  now += 50_400;
  expect(calls.take('a')).toEqual({ waitSeconds: 10 });
  expect(calls.take('b')).toBe('yes');
  now += 9_600;
  expect(calls.take('a')).toBe('yes');
});

test('0 is any number', () => {
  const calls = openMinVersionLimit(0);
  for (let i = 0; i < 1_000; i++) expect(calls.take('a')).toBe('yes');
});

test('however many clients come, as many are counted as memory is set aside for; the others share one count', () => {
  const calls = openMinVersionLimit(1, () => 0);
  for (let i = 0; i < 10_000; i++) expect(calls.take(`client ${i}`)).toBe('yes');
  expect(calls.take('one more')).toBe('yes');
  expect(calls.take('and another')).toEqual({ waitSeconds: 60 });
  expect(calls.take('client 0')).toEqual({ waitSeconds: 60 });
});
