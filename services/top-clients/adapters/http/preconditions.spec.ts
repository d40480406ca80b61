import { expect, test } from '@jest/globals';
import { excludedVersions, expectedVersions, isKnown } from './preconditions.ts';

test.each([
  [undefined, null],
  ['*', null],
  ['"5"', [5]],
  ['"5", "7"', [5, 7]],
  ['"5" ,"7"', [5, 7]],
  ['W/"5"', []],
  ['W/"5", "6"', [6]],
  ['"05"', []],
  ['"5x"', []],
  ['"not,ours", "8"', [8]],
])('If-Match %s accepts %j', (header, versions) => {
  expect(expectedVersions(header)).toEqual(versions);
});

test.each(['5', '"5', '5"', '', ',', '"5",', '"5" "6"', 'w/"5"', '*, "5"'])(
  'If-Match %j is refused',
  (header) => {
    expect(() => expectedVersions(header)).toThrow('quoted tags');
  },
);

test.each([
  [undefined, null],
  ['*', 'any'],
  ['"5"', [5]],
  ['W/"5", "7"', [5, 7]],
  ['"05", "not,ours"', []],
])('If-None-Match %s on a change excludes %j', (header, versions) => {
  expect(excludedVersions(header)).toEqual(versions);
});

test('If-None-Match that cannot be read is refused on a change as on a read', () => {
  expect(() => excludedVersions('5')).toThrow('quoted tags');
  expect(() => isKnown('5', 5)).toThrow('quoted tags');
});

test.each([
  [undefined, false],
  ['"5"', true],
  ['W/"5"', true],
  ['*', true],
  ['"4"', false],
  ['"4", "5"', true],
])('If-None-Match %s knows version 5: %j', (header, known) => {
  expect(isKnown(header, 5)).toBe(known);
});
