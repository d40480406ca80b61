import { createRequire } from 'node:module';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readRecords } from './record-decoder.ts';

const require = createRequire(import.meta.url);
const encode = require('kafkajs/src/protocol/recordBatch/record/v0/index.js');
const Decoder = require('kafkajs/src/protocol/decoder.js');
const theirs = require('kafkajs/src/protocol/recordBatch/record/v0/decoder.js');

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 70 }),
  fc.string({ minLength: 60, maxLength: 9_000 }),
);
const record = fc.record({
  offsetDelta: fc.oneof(fc.nat({ max: 200 }), fc.nat()),
  // A record may be older than the first of its batch.
  timestampDelta: fc.oneof(fc.integer({ min: -100_000, max: 100_000 }), fc.nat({ max: 31_536_000_000 })),
  key: fc.option(text),
  value: fc.option(text),
  headers: fc.dictionary(
    fc.oneof(
      fc.constantFrom('ce_id', 'ce_type'),
      // kafkajs takes what every object inherits for a header of that name; the test below has ours.
      fc.string({ minLength: 1, maxLength: 80 }).filter((name) => !(name in Object.prototype)),
    ),
    fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 3 })),
    { maxKeys: 8, noNullPrototype: true },
  ),
});
const context = fc.record({
  firstOffset: fc.nat({ max: 2 ** 52 }).map(String),
  firstTimestamp: fc.constant('1795428000000'),
  maxTimestamp: fc.constant('1795428009999'),
  timestampType: fc.constantFrom(0, 1),
});

/** With its length before it, as in a batch. */
const bytesOf = (one: object): Buffer => encode(one).buffer;
const theirsOf = (one: object, batch: object) =>
  theirs(new Decoder(new Decoder(bytesOf(one)).readVarIntBytes()), batch);
const oursOf = (one: object, batch: Parameters<typeof readRecords>[4] = NO_CONTEXT) => {
  const bytes = bytesOf(one);
  return readRecords(bytes, 0, bytes.length, 1, batch)[0]!;
};
const NO_CONTEXT = { firstOffset: '0', firstTimestamp: '0' };

test('a record reads as kafkajs reads it', () => {
  fc.assert(
    fc.property(record, context, (one, batch) => {
      const { headers, offset, timestamp, key, value } = theirsOf(one, batch);
      const ours = oursOf(one, batch);
      expect([ours.offset, ours.timestamp, ours.key, ours.value]).toEqual([offset, timestamp, key, value]);
      expect(ours.valueLength).toBe(value?.length ?? 0);
      expect(ours.keyText).toBe(key?.toString('latin1') ?? null);
      const { bytes, start, end } = ours.valueIn ?? {};
      expect(bytes?.subarray(start, end) ?? null).toEqual(value);
      expect(ours.headers).toEqual(headers);
      for (const name of ['ce_id', 'ce_type', 'none']) {
        const first = Array.isArray(headers[name]) ? headers[name][0] : headers[name];
        expect(ours.header(name)).toBe(first?.toString() ?? null);
      }
    }),
    { numRuns: 300 },
  );
});

test('a header may bear the name of what every object inherits', () => {
  const headers = { constructor: 'a', ['__proto__']: 'b', toString: 'c' };
  const read = oursOf({ offsetDelta: 0, timestampDelta: 0, key: null, value: null, headers }).headers;
  expect(Object.entries(read).map(([name, value]) => [name, String(value)])).toEqual(Object.entries(headers));
});

test('records that end behind their batch are refused', () => {
  const bytes = bytesOf({ offsetDelta: 0, timestampDelta: 0, key: 'a', value: 'b', headers: {} });
  expect(() => readRecords(bytes, 0, bytes.length - 1, 1, NO_CONTEXT)).toThrow(
    /ends with 1 of its 1 records/,
  );
  expect(() => readRecords(bytes, 0, bytes.length, 2, NO_CONTEXT)).toThrow(/ends with 1 of its 2 records/);
});
