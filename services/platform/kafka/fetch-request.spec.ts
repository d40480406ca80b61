import { createRequire } from 'node:module';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeFetchRequest } from './fetch-request.ts';

const require = createRequire(import.meta.url);

const request = fc.record({
  topic: fc.constantFrom('top-clients.seller.v1', 'é'),
  maxWaitMs: fc.nat(),
  maxBytes: fc.nat(),
  partitionBytes: fc.nat(),
  isolationLevel: fc.constantFrom(0, 1),
  session: fc.record({ id: fc.nat(), epoch: fc.integer({ min: -1, max: 1_000 }) }),
  offsets: fc
    .array(fc.tuple(fc.nat({ max: 500 }), fc.nat({ max: Number.MAX_SAFE_INTEGER })), { maxLength: 6 })
    .map((entries) => new Map(entries)),
  forgotten: fc.array(fc.nat({ max: 500 }), { maxLength: 4 }),
});

test.each([4, 5, 6, 7, 8, 9, 10, 11])('the bytes of version %i are those of kafkajs', async (version) => {
  const theirs = require(`kafkajs/src/protocol/requests/fetch/v${version}/request.js`);
  await fc.assert(
    fc.asyncProperty(request, async (one) => {
      const { topic, offsets, forgotten } = one;
      const partitions = [...offsets].map(([partition, offset]) => ({
        partition,
        fetchOffset: String(offset),
        maxBytes: one.partitionBytes,
      }));
      const encoded = await theirs({
        replicaId: -1,
        maxWaitTime: one.maxWaitMs,
        minBytes: 1,
        maxBytes: one.maxBytes,
        isolationLevel: one.isolationLevel,
        sessionId: one.session.id,
        sessionEpoch: one.session.epoch,
        topics: partitions.length > 0 ? [{ topic, partitions }] : [],
        forgottenTopics: forgotten.length > 0 ? [{ topic, partitions: forgotten }] : [],
      }).encode();
      const ours = encodeFetchRequest(one, version, 3);
      expect(ours.subarray(3).equals(encoded.buffer)).toBe(true);
    }),
    { numRuns: 50 },
  );
});
