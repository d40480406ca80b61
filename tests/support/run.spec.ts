import { expect, test } from '@jest/globals';
import { run } from './run.ts';

test('a program that ends before it has read its input is judged by how it ended', async () => {
  const input = 'x'.repeat(2_000_000);
  expect(await run('true', [], { input })).toMatchObject({ code: 0 });
  expect(await run('false', [], { input })).toMatchObject({ code: 1 });
});
