import { expect, test } from '@jest/globals';
import { traceparentOf } from './trace-context.ts';

const VALID = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

test('a valid trace context is kept, also one of a later version', () => {
  expect(traceparentOf(VALID)).toBe(VALID);
  expect(traceparentOf(`${VALID.replace('00', '01')}-more`)).toBe(`${VALID.replace('00', '01')}-more`);
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
])('instead of %s a new trace begins', (header) => {
  const made = traceparentOf(header);
  expect(made).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  expect(made).not.toBe(header);
});
