import { expect, test } from '@jest/globals';
import { readSwitch } from './switches.ts';

test('forms of the lab are understood', () => {
  expect(readSwitch({ target: 'kafka', action: 'kill' })).toEqual({ target: 'kafka', action: 'kill' });
  expect(readSwitch({ target: 'postgres-source', action: 'kill' })).toEqual({
    target: 'postgres-source',
    action: 'kill',
  });
  expect(readSwitch({ target: 'top-clients', action: 'restore' })).toEqual({
    target: 'top-clients',
    action: 'restore',
  });
  expect(readSwitch({ target: 'top-clients', action: 'slow', delayMs: '200' })).toEqual({
    target: 'top-clients',
    action: 'slow',
    delayMs: 200,
  });
});

test.each([
  [{}, /target must be one of/],
  [{ target: 'postgres-pages', action: 'kill' }, /target must be one of/],
  [{ target: 'kafka', action: 'explode' }, /kill, slow or restore/],
  [{ target: 'kafka', action: 'slow', delayMs: '10' }, /only top-clients/],
  [{ target: 'top-clients', action: 'slow' }, /from 1 to 5000/],
  [{ target: 'top-clients', action: 'slow', delayMs: '0' }, /from 1 to 5000/],
  [{ target: 'top-clients', action: 'slow', delayMs: '1e3' }, /from 1 to 5000/],
  [{ target: 'top-clients', action: 'slow', delayMs: '9999' }, /from 1 to 5000/],
])('%j is refused in a sentence', (form, sentence) => {
  expect(readSwitch(form)).toMatch(sentence);
});
