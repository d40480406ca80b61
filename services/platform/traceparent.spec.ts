import { expect, test } from '@jest/globals';
import { isSampled, isTraceparent, newTraceparent } from './traceparent.ts';

const VALID = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

test('a trace context is valid, also one of a later version', () => {
  expect(isTraceparent(VALID)).toBe(true);
  expect(isTraceparent(`${VALID.replace('00', '01')}-more`)).toBe(true);
});

test.each([
  undefined,
  '',
  VALID.toUpperCase(),
  `${VALID}-more`,
  VALID.replace('00-', 'ff-'),
  VALID.replace(/-[0-9a-f]{32}-/, `-${'0'.repeat(32)}-`),
  VALID.replace(/-[0-9a-f]{16}-/, `-${'0'.repeat(16)}-`),
  `${VALID}, ${VALID}`,
  `01${VALID.slice(2)}-${'x'.repeat(600)}`,
])('%s is none', (text) => {
  expect(isTraceparent(text)).toBe(false);
});

test('the last bit of the flags says whether a trace is recorded', () => {
  for (let flags = 0; flags < 256; flags++) {
    const text = VALID.replace(/01$/, flags.toString(16).padStart(2, '0'));
    expect([text, isSampled(text)]).toEqual([text, flags % 2 === 1]);
  }
  expect(isSampled('1'.repeat(VALID.length))).toBe(false);
  expect(isSampled('')).toBe(false);
});

test('a new trace is valid, its own, and recorded by nobody', () => {
  const made = newTraceparent();
  expect([isTraceparent(made), isSampled(made), made === newTraceparent()]).toEqual([true, false, false]);
});
