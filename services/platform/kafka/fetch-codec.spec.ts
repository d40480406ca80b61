import { createRequire } from 'node:module';
import { beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { COMPRESSION, type Codec, type Compression, LARGEST_BATCH_BYTES, OPEN_CODEC } from './compression.ts';
import { crc32c } from './crc32c.ts';
import {
  allThatWasFetched,
  decodeBatch,
  type FetchResponse,
  replaceFetchDecoder,
  type UndecodableBatch,
} from './fetch-codec.ts';
import { type Definition, loadedKafkajs } from './kafkajs.ts';

const require = createRequire(import.meta.url);
const Encoder = require('kafkajs/src/protocol/encoder.js');
const encodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0/index.js');
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0/index.js');
const definition = require('kafkajs/src/protocol/requests/fetch/index.js') as Definition;
const theirsOf = (version: number) => require(`kafkajs/src/protocol/requests/fetch/v${version}/response.js`);
const { Codecs } = require('kafkajs/src/protocol/message/compression/index.js');

const codecs = Object.fromEntries(Object.entries(OPEN_CODEC).map(([name, open]) => [name, open()])) as Record<
  Compression,
  Codec
>;
const numberOf = (name: Compression) =>
  Number(Object.entries(COMPRESSION).find(([, one]) => one === name)![0]);
const met: UndecodableBatch[] = [];

beforeAll(() => {
  const library = loadedKafkajs();
  for (const [number, name] of Object.entries(COMPRESSION)) {
    Codecs[number] = () => ({
      compress: (encoder: { buffer: Buffer }) => codecs[name].compress(encoder.buffer),
      decompress: (bytes: Buffer) => codecs[name].decompress(bytes),
    });
  }
  replaceFetchDecoder(library, codecs, { decoded() {}, undecodable: (batch) => met.push(batch) });
});

const oursOf = (version: number) =>
  definition.protocol({ version })({ maxWaitTime: 1, minBytes: 1, maxBytes: 1, topics: [] } as never)
    .response;
const read = async (version: number, bytes: Buffer) =>
  (await oursOf(version).parse((await oursOf(version).decode(bytes)) as never)) as FetchResponse;

interface Batch {
  readonly firstOffset: number;
  readonly compression: number;
  readonly records: readonly object[];
  readonly transactional: boolean;
}
interface Partition {
  readonly partition: number;
  readonly batches: readonly Batch[];
  readonly aborted: readonly { producerId: number; firstOffset: number }[];
  /** Bytes that the broker has cut off the end. */
  readonly cut: number;
}

async function batchBytes({ firstOffset, compression, records, transactional }: Batch): Promise<Buffer> {
  const batch = await RecordBatch({
    compression,
    transactional,
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

/** A response to a fetch, with record batches as given. */
function responseBytes(version: number, partitions: readonly (Partition & { records?: Buffer })[]): Buffer {
  const one = ({ partition, aborted, records = Buffer.alloc(0) }: Partition & { records?: Buffer }) => {
    const to = new Encoder().writeInt32(partition).writeInt16(0).writeInt64(99).writeInt64(98);
    if (version >= 5) to.writeInt64(1);
    to.writeArray(
      aborted.map(({ producerId, firstOffset }) =>
        new Encoder().writeInt64(producerId).writeInt64(firstOffset),
      ),
    );
    if (version >= 11) to.writeInt32(-1);
    return to.writeInt32(records.length).writeBuffer(records);
  };
  const to = new Encoder().writeInt32(5);
  if (version >= 7) to.writeInt16(0).writeInt32(42);
  to.writeArray([new Encoder().writeString('topic').writeArray(partitions.map(one))]);
  return to.buffer;
}

const text = fc.string({ unit: 'grapheme', maxLength: 200 });
const record = fc.record({
  key: fc.option(text),
  value: fc.option(text),
  headers: fc.dictionary(fc.constantFrom('ce_id', 'ce_type', 'traceparent'), text, { noNullPrototype: true }),
});
const batch = fc.record({
  firstOffset: fc.nat({ max: 2 ** 40 }),
  compression: fc.constantFrom(0, 1, 2, 3, 4),
  records: fc.array(record, { minLength: 1, maxLength: 5 }),
  transactional: fc.boolean(),
});
const partition = fc.record({
  partition: fc.nat({ max: 100 }),
  batches: fc.array(batch, { maxLength: 4 }),
  aborted: fc.array(fc.record({ producerId: fc.nat(), firstOffset: fc.nat() }), { maxLength: 2 }),
  cut: fc.nat({ max: 60 }),
});

/** What can be compared: kafkajs makes plain objects, ours has getters and does not share their prototypes. */
const plain = (response: FetchResponse) => ({
  ...response,
  responses: response.responses.map(({ topicName, partitions }) => ({
    topicName,
    partitions: partitions.map(({ nextOffset: _n, undecodable: _u, messages, ...rest }) => ({
      ...rest,
      messages: messages.map((one) => ({
        offset: one.offset,
        timestamp: one.timestamp,
        key: one.key,
        value: one.value,
        headers: { ...one.headers },
        attributes: one.attributes,
        magicByte: one.magicByte,
        isControlRecord: one.isControlRecord,
        batchContext: one.batchContext,
      })),
    })),
  })),
});

test.each([4, 5, 6, 7, 8, 9, 10, 11])(
  'version %i reads as kafkajs reads it, in any compression',
  async (version) => {
    await fc.assert(
      fc.asyncProperty(fc.array(partition, { maxLength: 3 }), async (partitions) => {
        const encoded = await Promise.all(
          partitions.map(async (one) => {
            const all = Buffer.concat(await Promise.all(one.batches.map(batchBytes)));
            return { ...one, records: all.subarray(0, Math.max(0, all.length - one.cut)) };
          }),
        );
        const bytes = responseBytes(version, encoded);
        const theirs = (await theirsOf(version).decode(bytes)) as FetchResponse;
        expect(plain(await read(version, bytes))).toEqual(plain(theirs));
      }),
      { numRuns: 40 },
    );
  },
);

const three = [{ value: 'a' }, { value: 'b' }, { value: 'c' }].map((one) => ({
  key: 'k',
  headers: {},
  ...one,
}));
const of = (firstOffset: number, compression: number) =>
  batchBytes({ firstOffset, compression, records: three, transactional: false });
const withRecords = (partition: number, ...records: Buffer[]) => ({
  partition,
  batches: [],
  aborted: [],
  cut: 0,
  records: Buffer.concat(records),
});

test('the next offset counts what compaction took from the end of a batch', async () => {
  const { responses } = await read(11, responseBytes(11, [withRecords(0, await of(10, 0)), withRecords(1)]));
  expect(responses[0]!.partitions.map(({ nextOffset }) => nextOffset)).toEqual([16, null]);
});

test('a batch that cannot be read is named, and all else of the fetch is had', async () => {
  met.length = 0;
  const damaged = await of(20, numberOf('lz4'));
  damaged[damaged.length - 8]! ^= 0xff;
  const bytes = responseBytes(11, [
    withRecords(3, await of(10, 0), await of(20, 0)),
    withRecords(4, damaged, await of(30, 0)),
    withRecords(5, await of(10, numberOf('zstd')), damaged),
  ]);
  const fetch = read(11, bytes);
  await expect(fetch).rejects.toMatchObject({
    name: 'UndecodableBatch',
    message: 'the batch at topic/4, offsets 20 to 25, compression lz4, cannot be read: its checksum is wrong',
    topic: 'topic',
    partition: 4,
    offset: 20,
    lastOffset: 25,
    codec: 'lz4',
    retriable: false,
  });
  const thrown = await fetch.catch((err: UndecodableBatch) => err);
  expect(JSON.stringify(thrown)).not.toContain('messages');
  const { responses } = await allThatWasFetched(fetch);
  expect(
    responses[0]!.partitions.map(({ partition, messages, nextOffset, undecodable }) => ({
      partition,
      values: messages.map(({ value }) => String(value)).join(''),
      nextOffset,
      undecodable: undecodable?.offset ?? null,
    })),
  ).toEqual([
    { partition: 3, values: 'abcabc', nextOffset: 26, undecodable: null },
    { partition: 4, values: '', nextOffset: null, undecodable: 20 },
    { partition: 5, values: 'abc', nextOffset: 16, undecodable: 20 },
  ]);
  expect(met.map(({ partition, offset }) => [partition, offset])).toEqual([
    [4, 20],
    [5, 20],
  ]);
});

test('what was readable before it is delivered without an error; the next fetch begins with it', async () => {
  const unknown = await of(20, 0);
  unknown.writeInt16BE(6, 21); // a codec that there is not
  const { responses } = await read(11, responseBytes(11, [withRecords(0, await of(10, 0), unknown)]));
  expect(responses[0]!.partitions[0]).toMatchObject({ nextOffset: 16, undecodable: { codec: 'unknown' } });
});

test('one fetch does not unpack more than its bound: what is left comes with a later one', async () => {
  const large = await batchBytes({
    firstOffset: 0,
    compression: numberOf('zstd'),
    records: [{ key: 'k', value: 'x'.repeat(LARGEST_BATCH_BYTES - 1_000), headers: {} }],
    transactional: false,
  });
  const { responses } = await read(
    11,
    responseBytes(11, [
      withRecords(0, large, await of(10, numberOf('gzip')), await of(20, numberOf('gzip'))),
      withRecords(1, Buffer.from(large)),
      withRecords(2, await of(10, numberOf('gzip'))),
      withRecords(3, await of(10, 0)),
    ]),
  );
  // The first batch leaves 1,000 bytes, the next two take some, the one of partition 1 takes far more.
  expect(responses[0]!.partitions.map(({ partition, messages }) => [partition, messages.length])).toEqual([
    [0, 7],
    [1, 1],
    [3, 3],
  ]);
});

test('a length that cannot be is no endless loop', async () => {
  const lying = await of(20, 0);
  lying.writeInt32BE(-12, 8);
  await expect(read(11, responseBytes(11, [withRecords(0, lying)]))).rejects.toThrow(
    /says that it is 0 bytes/,
  );
  expect(crc32c(Buffer.from('123456789'), 0, 9)).toBe(0xe306_9283);
});

test('one batch alone is decoded for who takes the frames apart', async () => {
  const where = { topic: 'topic', partition: 3 };
  const lz4 = await of(20, numberOf('lz4'));
  const { records } = await decodeBatch(lz4, where, codecs);
  expect(records.map(({ offset, value }) => `${offset}${value}`)).toEqual(['20a', '21b', '22c']);
  await expect(decodeBatch(lz4, where, {})).rejects.toThrow(
    'the batch at topic/3, offsets 20 to 25, compression lz4, cannot be read: there is no codec for compression lz4 (3) here',
  );
});
