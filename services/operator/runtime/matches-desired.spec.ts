import { expect, test } from '@jest/globals';
import { matchesDesired } from './matches-desired.ts';

test.each([
  ['defaults of the server', { a: 1, protocol: 'TCP' }, { a: 1 }, true],
  ['defaults inside lists', [{ name: 'x', more: 1 }], [{ name: 'x' }], true],
  ['another value', { a: 2 }, { a: 1 }, false],
  ['a missing field', {}, { a: 1 }, false],
  ['a list that somebody lengthened', [1, 2], [1], false],
  ['a list in another order', [2, 1], [1, 2], false],
  [
    'quantities as the server writes them',
    { cpu: '500m', memory: '1Gi' },
    { cpu: '0.5', memory: '1024Mi' },
    true,
  ],
  ['another quantity', { cpu: '500m' }, { cpu: '0.6' }, false],
  ['a number is not a text', { cpu: 1 }, { cpu: '1' }, false],
  ['empty lists that the server leaves out', {}, { env: [], labels: {} }, true],
  ['an empty object that has defaults by now', { emptyDir: { medium: '' } }, { emptyDir: {} }, true],
  ['entries where none are wanted', { env: [1] }, { env: [] }, false],
  ['an empty text', { value: '' }, { value: '' }, true],
  ['a text where an empty one is wanted', { value: 'x' }, { value: '' }, false],
])('%s', (_, live, wanted, expected) => {
  expect(matchesDesired(live, wanted)).toBe(expected);
});
