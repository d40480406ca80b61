import { expect, test } from '@jest/globals';
import { oldSpaceMiB } from './heap.ts';

test.each([
  ['256Mi', 192],
  ['1Gi', 768],
  ['512M', 366],
  ['268435456', 192],
  ['1.5Gi', 1_152],
])('of %s the heap gets %i MiB', (memory, mebibytes) => {
  const resources = { requests: { cpu: '1', memory }, limits: { memory } };
  expect(oldSpaceMiB(resources)).toBe(mebibytes);
});
