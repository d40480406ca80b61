import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { CATALOGUE } from './catalogue.ts';
import { MUTATIONS, patched } from './mutations.ts';

test.each(MUTATIONS)(
  '$name still fits the code, and names faults that exist',
  async ({ patches, faults }) => {
    const files = new Map<string, string>();
    for (const patch of patches) {
      const before = files.get(patch.file) ?? (await readFile(patch.file, 'utf8'));
      const after = patched(before, patch);
      expect(after).not.toBe(before);
      files.set(patch.file, after);
    }
    expect(CATALOGUE.filter(({ name }) => faults.includes(name))).toHaveLength(faults.length);
  },
);

test('a mutation that fits nowhere, or twice, is refused', () => {
  const patch = { file: 'x.ts', find: 'a', replace: 'b' };
  expect(patched('cat', patch)).toBe('cbt');
  expect(() => patched('dog', patch)).toThrow('fits 0 places of x.ts');
  expect(() => patched('banana', patch)).toThrow('fits 3 places');
});
