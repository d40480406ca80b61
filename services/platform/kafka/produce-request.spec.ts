import { createRequire } from 'node:module';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { crc32c } from './crc32c.ts';
import { encodeProduceRequest, type ProduceRequest } from './produce-request.ts';

const require = createRequire(import.meta.url);
const theirs = require('kafkajs/src/protocol/requests/produce/v3/request.js');
const theirCrc = require('kafkajs/src/protocol/recordBatch/crc32C/index.js');

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 200 }),
  fc.string({ minLength: 60, maxLength: 70 }),
  fc.string({ minLength: 8_185, maxLength: 8_195 }),
);
const message = fc.record({
  key: fc.nat({ max: Number.MAX_SAFE_INTEGER }).map(String),
  value: fc.option(text),
  // Ages on both sides of each length that a varint can have, up to a year.
  timestamp: fc
    .oneof(fc.nat({ max: 100 }), fc.nat({ max: 20_000 }), fc.nat({ max: 31_536_000_000 }))
    .map((age) => String(1_795_428_000_000 + age)),
  headers: fc.dictionary(fc.string({ minLength: 1, maxLength: 80 }), text, {
    maxKeys: 8,
    noNullPrototype: true,
  }),
});
const request: fc.Arbitrary<ProduceRequest> = fc.record({
  acks: fc.constantFrom(-1, 1),
  timeout: fc.nat(),
  producerId: fc.oneof(fc.nat(), fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(String)),
  producerEpoch: fc.nat({ max: 32_767 }),
  topicData: fc.array(
    fc.record({
      topic: fc.constantFrom('top-clients.seller.v1', 'é'),
      partitions: fc.array(
        fc.record({
          partition: fc.nat(),
          firstSequence: fc.nat(),
          messages: fc.array(message, { minLength: 1, maxLength: 5 }),
        }),
        { maxLength: 3 },
      ),
    }),
    { minLength: 1, maxLength: 2 },
  ),
});

test('the bytes are those of kafkajs', async () => {
  await fc.assert(
    fc.asyncProperty(request, async (one) => {
      const encoded = await theirs(one).encode();
      expect(encodeProduceRequest(one).equals(encoded.buffer)).toBe(true);
    }),
    { numRuns: 150 },
  );
});

test('a batch of more than 64 records too, whose positions take two bytes', async () => {
  const [one] = fc.sample(message, 1);
  const large = {
    acks: -1,
    timeout: 1,
    producerId: '7',
    producerEpoch: 0,
    topicData: [
      { topic: 't', partitions: [{ partition: 0, firstSequence: 9, messages: Array(300).fill(one) }] },
    ],
  };
  const encoded = await theirs(large).encode();
  expect(encodeProduceRequest(large).equals(encoded.buffer)).toBe(true);
});

test('the checksum is the one of kafkajs, and of the standard', () => {
  expect(crc32c(Buffer.from('123456789'), 0, 9)).toBe(0xe306_9283);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat({ max: 9 }), (bytes, start) => {
      const part = Buffer.from(bytes).subarray(start);
      expect(crc32c(bytes, Math.min(start, bytes.length), bytes.length)).toBe(theirCrc(part));
    }),
  );
});
