import { createRequire } from 'node:module';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeRecord } from './record-decoder.ts';

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
  magicByte: fc.constant(2),
  isControlBatch: fc.boolean(),
  timestampType: fc.constantFrom(0, 1),
});

/** kafkajs puts the length before a record and takes it away before decoding. */
const bodyOf = (one: object): Buffer => new Decoder(encode(one).buffer).readVarIntBytes();

test('a record reads as kafkajs reads it', () => {
  fc.assert(
    fc.property(record, context, (one, batch) => {
      const body = bodyOf(one);
      const { headers, ...rest } = theirs(new Decoder(body), batch);
      const ours = decodeRecord(new Decoder(body), batch);
      expect(
        Object.fromEntries(Object.keys(rest).map((name) => [name, ours[name as keyof typeof ours]])),
      ).toEqual(rest);
      expect(ours.valueLength).toBe(rest.value?.length ?? 0);
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
  const body = bodyOf({ offsetDelta: 0, timestampDelta: 0, key: null, value: null, headers });
  const read = decodeRecord(new Decoder(body)).headers;
  expect(Object.entries(read).map(([name, value]) => [name, String(value)])).toEqual(Object.entries(headers));
});
