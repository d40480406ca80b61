import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { instantOf } from './instant.ts';

test('an instant is what Date.parse says it is', () => {
  fc.assert(
    fc.property(fc.date({ noInvalidDate: true }), (date) => {
      expect(instantOf(date.toISOString())).toBe(date.getTime());
    }),
    { numRuns: 3_000 },
  );
});

test('a text that is nearly an instant is what Date.parse says it is', () => {
  const stroke = fc.constantFrom('', '0', '1', '2', '3', '9', '-', ':', 'T', 'Z', '.', ' ', '+', 'é');
  fc.assert(
    fc.property(
      fc.date({ noInvalidDate: true, min: new Date('0000-01-01'), max: new Date('2999-12-31') }),
      fc.array(fc.tuple(fc.nat(24), fc.nat(2), stroke), { minLength: 1, maxLength: 3 }),
      (date, strokes) => {
        let text = date.toISOString();
        for (const [at, removed, inserted] of strokes)
          text = text.slice(0, at) + inserted + text.slice(at + removed);
        expect(instantOf(text)).toBe(Date.parse(text));
      },
    ),
    { numRuns: 5_000 },
  );
  for (const text of [
    '2024-02-29T00:00:00.000Z',
    '2023-02-29T00:00:00.000Z',
    '2023-00-01T00:00:00.000Z',
    '',
    'now',
  ])
    expect(instantOf(text)).toBe(Date.parse(text));
});
