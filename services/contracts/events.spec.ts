import { expect, test } from '@jest/globals';
import { versionInId } from './events.ts';

test.each([
  ['7/3', 3],
  ['7/3/repair/9', 3],
  ['7/3/moved', 3],
  ['8/3', null],
  ['7/3x', null],
  ['7/', null],
  ['7/0', null],
  ['7/9999999999999999', null],
  [null, null],
])('of the id %s it reads version %s of seller 7', (id, version) => {
  expect(versionInId(7, id)).toBe(version);
});
