import { expect, test } from '@jest/globals';
import { readMinVersion } from './min-version.ts';

const minVersion = (text: string | undefined, shows: 'one seller' | 'many sellers', sellerId = 12) => {
  const read = readMinVersion(text, shows);
  return 'minVersion' in read ? read.minVersion(sellerId) : read.refused;
};

test('a page of one seller takes a version, and none means any', () => {
  expect(minVersion('7', 'one seller')).toBe(7);
  expect(minVersion('0', 'one seller')).toBe(0);
  expect(minVersion(undefined, 'one seller')).toBe(0);
});

test('a page of many sellers takes a version for each seller named, the highest counts, and others may have any', () => {
  expect(minVersion('12:7', 'many sellers')).toBe(7);
  expect(minVersion('12:7,13:2,12:5', 'many sellers')).toBe(7);
  expect(minVersion('13:2', 'many sellers')).toBe(0);
});

test.each(['', 'x', '-1', '1.5', '1e3', '07', '99999999999999999', '12:7'])(
  'a page of one seller refuses %j and says what to send',
  (text) => expect(minVersion(text, 'one seller')).toMatch(/whole number such as 7/),
);

test.each([
  '',
  '7',
  '12:',
  ':7',
  '12:x',
  '0:7',
  '12:7;13:2',
  '12:7,',
  Array(101)
    .fill(0)
    .map((_, i) => `${i + 1}:1`)
    .join(),
])('a page of many sellers refuses %j and says what to send', (text) =>
  expect(minVersion(text, 'many sellers')).toMatch(/pairs of a seller and a version/),
);
