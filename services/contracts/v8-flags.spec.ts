import { execFileSync } from 'node:child_process';
import { totalmem } from 'node:os';
import { expect, test } from '@jest/globals';
import { containerHeapFlags } from './v8-flags.ts';

test('Node takes the flags of a container from NODE_OPTIONS, and gives the heap three quarters of the memory', () => {
  const limit = Number(
    execFileSync(process.execPath, ['-p', 'v8.getHeapStatistics().heap_size_limit'], {
      env: { NODE_OPTIONS: containerHeapFlags({ semiSpaceMiB: 8 }).join(' ') },
      encoding: 'utf8',
    }),
  );
  const constrained = process.constrainedMemory();
  const memory = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  // Three semi-spaces come on top.
  expect(Math.abs(limit - 24 * 2 ** 20 - memory * 0.75)).toBeLessThan(2 * 2 ** 20);
});
