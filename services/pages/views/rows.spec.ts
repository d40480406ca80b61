import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { anyEvent, anyLayout, readBothWays } from '#contracts/testing/any-event.ts';
import { clientIds } from './client-ids.ts';
import { fullList } from './full-list.ts';

test('the rows that views make of an event do not hang on how it is laid out', () => {
  fc.assert(
    fc.property(anyEvent, anyLayout, (one, layout) => {
      const [written, other] = readBothWays(one, layout);
      expect(fullList.toRow(other)).toEqual(fullList.toRow(written));
      expect(fullList.toRow(other)).toEqual(fullList.toRow(one));
      expect(clientIds.toRow(other)).toEqual(clientIds.toRow(written));
    }),
    { numRuns: 1_000 },
  );
});
