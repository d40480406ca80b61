import { expect, test } from '@jest/globals';
import { keptView } from './kept-views.ts';

test('a view is read as it is named, and nothing else is', () => {
  expect(keptView.parse('asynchronous-v12')).toEqual({ delivery: 'asynchronous', version: 12 });
  expect(keptView.parse('hybrid-v1')).toEqual({ delivery: 'hybrid', version: 1 });
  for (const text of ['', 'v1', 'synchronous-v1', 'asynchronous-v0', 'hybrid-v1x', 'top_clients_hybrid_v1']) {
    expect(keptView.safeParse(text).error?.issues[0]?.message).toMatch(/is no view; write asynchronous-v1/);
  }
});
