import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeEvent, encodeEvent } from '#contracts/event-codec.ts';
import { anyEvent, anyLayout, laidOut } from '#contracts/testing/any-event.ts';
import { clientIds } from './client-ids.ts';
import { fullList } from './full-list.ts';

test('the rows that views make of an event do not hang on how it is laid out', () => {
  fc.assert(
    fc.property(anyEvent, anyLayout, (one, layout) => {
      const read = (value: string) => {
        const decoded = decodeEvent({ key: String(one.sellerId), value, type: null });
        if (decoded.kind !== 'event') throw new Error(`it was read as ${JSON.stringify(decoded)}`);
        return decoded.event;
      };
      const [written, other] = [read(encodeEvent(one)), read(laidOut(one, layout))];
      expect(fullList.toRow(other)).toEqual(fullList.toRow(written));
      expect(fullList.toRow(other)).toEqual(fullList.toRow(one));
      expect(clientIds.toRow(other)).toEqual(clientIds.toRow(written));
    }),
    { numRuns: 1_000 },
  );
});
