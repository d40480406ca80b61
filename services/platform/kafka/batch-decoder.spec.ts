import { createRequire } from 'node:module';
import { beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeBatch, readHead, UndecodableBatch } from './batch-decoder.ts';
import { COMPRESSION, type Codec, type Compression, OPEN_CODEC } from './compression.ts';
import { crc32c } from './crc32c.ts';

const require = createRequire(import.meta.url);
const encodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0/index.js');
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0/index.js');
const theirs = require('kafkajs/src/protocol/recordBatch/v0/decoder.js');
const Decoder = require('kafkajs/src/protocol/decoder.js');
const { Codecs } = require('kafkajs/src/protocol/message/compression/index.js');

const codecs = Object.fromEntries(Object.entries(OPEN_CODEC).map(([name, open]) => [name, open()])) as Record<
  Compression,
  Codec
>;
const numberOf = (name: Compression) =>
  Number(Object.entries(COMPRESSION).find(([, one]) => one === name)![0]);
const WHERE = { topic: 'topic', partition: 3 };

beforeAll(() => {
  for (const [number, name] of Object.entries(COMPRESSION)) {
    Codecs[number] = () => ({
      compress: (encoder: { buffer: Buffer }) => codecs[name].compress(encoder.buffer),
      decompress: (bytes: Buffer) => codecs[name].decompress(bytes),
    });
  }
});

async function batchBytes(
  firstOffset: number,
  compression: number,
  records: readonly object[],
): Promise<Buffer> {
  const batch = await RecordBatch({
    compression,
    firstOffset,
    firstTimestamp: 1_795_428_000_000,
    maxTimestamp: 1_795_428_009_999,
    lastOffsetDelta: records.length + 2,
    producerId: 7,
    producerEpoch: 1,
    firstSequence: 3,
    records: records.map((one, i) => encodeRecord({ ...one, offsetDelta: i, timestampDelta: i })),
  });
  return batch.buffer;
}

const text = fc.string({ unit: 'grapheme', maxLength: 200 });
const record = fc.record({
  key: fc.option(text),
  value: fc.option(text),
  headers: fc.dictionary(fc.constantFrom('ce_id', 'ce_type', 'traceparent'), text, { noNullPrototype: true }),
});

test('a batch reads as kafkajs reads it, in any compression', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: 2 ** 40 }),
      fc.constantFrom(0, 1, 2, 3, 4),
      fc.array(record, { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      async (firstOffset, compression, records, isStamped) => {
        const bytes = await batchBytes(firstOffset, compression, records);
        if (isStamped) stamp(bytes);
        const plain = (all: readonly Record<string, unknown>[]) =>
          all.map(({ offset, timestamp, key, value, headers }) => ({
            ...{ offset, timestamp, key, value },
            headers: { ...(headers as object) },
          }));
        const { records: ours } = await decodeBatch(bytes, readHead(bytes, 0), WHERE, codecs);
        const { records: all } = await theirs(new Decoder(bytes));
        expect(plain(ours as never)).toEqual(plain(all));
      },
    ),
    { numRuns: 200 },
  );
});

/** As a broker does that stamps messages itself; the checksum counts from the attributes on. */
function stamp(bytes: Buffer): void {
  bytes.writeInt16BE(bytes.readInt16BE(21) | 0x08, 21);
  bytes.writeUInt32BE(crc32c(bytes, 21, bytes.length), 17);
}

const three = [{ value: 'a' }, { value: 'b' }, { value: 'c' }].map((one) => ({
  key: 'k',
  headers: {},
  ...one,
}));

test('a batch that cannot be read is named', async () => {
  const lz4 = await batchBytes(20, numberOf('lz4'), three);
  await expect(decodeBatch(lz4, readHead(lz4, 0), WHERE, {})).rejects.toThrow(
    'the batch at topic/3, offsets 20 to 25, compression lz4, cannot be read: there is no codec for compression lz4 (3) here',
  );
  const damaged = Buffer.from(lz4);
  damaged[damaged.length - 8]! ^= 0xff;
  const failure = decodeBatch(damaged, readHead(damaged, 0), WHERE, codecs);
  await expect(failure).rejects.toThrow(UndecodableBatch);
  await expect(failure).rejects.toMatchObject({
    message: 'the batch at topic/3, offsets 20 to 25, compression lz4, cannot be read: its checksum is wrong',
    ...{ topic: 'topic', partition: 3, offset: 20, lastOffset: 25, codec: 'lz4' },
  });
  const unknown = await batchBytes(20, 0, three);
  unknown.writeInt16BE(6, 21); // a codec that there is not
  await expect(decodeBatch(unknown, readHead(unknown, 0), WHERE, codecs)).rejects.toMatchObject({
    codec: 'unknown',
  });
});

test('a length that cannot be is refused', async () => {
  const lying = await batchBytes(20, 0, three);
  lying.writeInt32BE(-12, 8);
  await expect(decodeBatch(lying, readHead(lying, 0), WHERE, codecs)).rejects.toThrow(
    /says that it is 0 bytes/,
  );
});

test('a checksum is that of CRC-32C', () => {
  expect(crc32c(Buffer.from('123456789'), 0, 9)).toBe(0xe306_9283);
});
