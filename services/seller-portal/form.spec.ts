import { expect, test } from '@jest/globals';
import { problem } from '#contracts/problems.ts';
import { addressWith, clientOf, fieldErrors, NOTHING_TYPED, termsOf, valuesOf } from './form.ts';
import { explain } from './words.ts';

test('a form is taken as it was typed, and line ends count once', () => {
  const values = valuesOf({
    name: ' Spotify ',
    description: 'one\r\ntwo',
    logo: ['a', 'b'],
    from: '2024-01',
  });
  expect(values).toEqual({ ...NOTHING_TYPED, name: ' Spotify ', description: 'one\ntwo', from: '2024-01' });
  expect(clientOf(values)).toEqual({
    name: ' Spotify ',
    industry: '',
    description: 'one\ntwo',
    logo: null,
    from: '2024-01',
    to: null,
  });
});

test('terms that were tampered with are none', () => {
  const key = '3f1c2a9e-0f63-4c0e-9a46-2f4b1d9f1b11';
  expect(termsOf({ version: '3', key })).toEqual({ version: 3, key });
  for (const sent of [{ version: '-1', key }, { version: '3', key: 'x' }, { key }, { version: ['3'], key }]) {
    expect(termsOf(sent)).toBeUndefined();
  }
});

test('what was typed survives in an address', () => {
  const address = addressWith('/sellers/1', { ...NOTHING_TYPED, name: 'A & B', description: 'ü\n?' });
  const found = new URL(address, 'http://localhost').searchParams;
  expect(valuesOf(Object.fromEntries(found))).toEqual({
    ...NOTHING_TYPED,
    name: 'A & B',
    description: 'ü\n?',
  });
  expect(addressWith('/sellers/1', NOTHING_TYPED)).toBe('/sellers/1');
});

test('complaints go to their fields, whichever way the source writes the path', () => {
  const refused = problem('invalid-request', 'change it', {
    errors: [
      { at: 'body.name', message: 'must have 1 to 80 characters' },
      { at: '/description', message: 'must have 0 to 500 characters' },
      { at: 'body', message: 'must change at least one member' },
    ],
  });
  expect(fieldErrors(refused)).toEqual({
    fields: {
      name: 'Brand must have 1 to 80 characters',
      description: 'What you did must have at most 500 characters',
    },
    others: ['must change at least one member'],
  });
});

test('every refusal has words that say what to do', () => {
  const words = (type: Parameters<typeof problem>[0], retryAfterSeconds: number | null = null) =>
    explain({ problem: problem(type, 'the detail'), retryAfterSeconds }, { ...NOTHING_TYPED, name: 'x' });
  expect(words('too-many-clients').notice?.text).toBe(
    'Remove a client to add another. What you typed is still in the form.',
  );
  expect(words('too-many-requests', 7).notice?.text).toContain('Wait 7 seconds');
  expect(words('precondition-failed').notice?.title).toBe('Your list has changed since you opened this page');
  expect(words('duplicate-client').errors.name).toBe('Brand is in your list already');
  expect(words('too-many-requests', 3_600).notice?.text).toContain('Wait 60 minutes');
  expect(words('erased').notice?.title).toBe('Your list was erased since you opened this page');
  expect(words('idempotency-key-reused').notice?.title).toBe('Your first try was saved after all');
  // Refusals of a later version of the source speak for themselves.
  expect(words('body-too-large').notice?.text).toContain('the detail');
});
