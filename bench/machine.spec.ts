import { expect, test } from '@jest/globals';
import { busySeconds } from './machine.ts';

test('time at work is what was neither idle nor waiting for the disk, in seconds', () => {
  expect(busySeconds('cpu  100 20 300 9000 800 5 75 0 0 0\ncpu0 1 1 1 1\n')).toBe(5);
});
