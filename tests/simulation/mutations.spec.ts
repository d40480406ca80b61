import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { patched } from '../faults/mutations.ts';
import { MUTATIONS } from './mutations.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

test.each(MUTATIONS.map((mutation) => [mutation.name, mutation] as const))(
  'the mutation %s still fits the code',
  async (_, { patches }) => {
    for (const patch of patches) {
      const text = await readFile(`${ROOT}${patch.file}`, 'utf8');
      expect(patched(text, patch)).not.toBe(text);
    }
  },
);
