import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { silentLog } from '../log.ts';
import { LARGEST_BATCH_BYTES } from './compression.ts';
import { crc32c } from './crc32c.ts';
import { decodeFetchResponse } from './fetch-response.ts';
import { installKafkaCodecs } from './install.ts';

const require = createRequire(import.meta.url);
installKafkaCodecs(silentLog);

const int = (size: 2 | 4 | 8, value: number): Buffer => {
  const bytes = Buffer.alloc(size);
  if (size === 8) bytes.writeBigInt64BE(BigInt(value));
  else bytes.writeIntBE(value, 0, size);
  return bytes;
};
const varint = (value: number) => Buffer.from([value * 2]);
const sized = (text: string) => Buffer.concat([varint(text.length), Buffer.from(text)]);

interface BatchOf {
  readonly first: number;
  /** Offset within the batch, and value. */
  readonly records: ReadonlyArray<readonly [delta: number, value: string]>;
  readonly last: number;
  readonly producer?: number;
  readonly transactional?: boolean;
  readonly control?: 'abort' | 'commit';
  readonly magic?: number;
}

function batch({ first, records, last, producer = -1, transactional, control, magic = 2 }: BatchOf): Buffer {
  const bodies = records.map(([delta, value]) => {
    const key = control ? String.fromCharCode(0, 0, 0, control === 'abort' ? 0 : 1) : 'key';
    const body = Buffer.concat([
      Buffer.from([0]),
      varint(0),
      varint(delta),
      sized(key),
      sized(value),
      varint(0),
    ]);
    return Buffer.concat([varint(body.length), body]);
  });
  const attributes = (transactional ? 0x10 : 0) | (control ? 0x30 : 0);
  const rest = Buffer.concat([
    ...[int(4, 0), Buffer.from([magic]), int(4, 0), int(2, attributes), int(4, last - first)],
    ...[int(8, 1_000), int(8, 1_000), int(8, producer), int(2, 0), int(4, 0), int(4, bodies.length)],
    ...bodies,
  ]);
  return Buffer.concat([int(8, first), int(4, rest.length), rest]);
}

async function decode(
  from: number,
  batches: readonly Buffer[],
  aborted: ReadonlyArray<readonly [number, number]> = [],
) {
  const bytes = Buffer.concat(batches);
  const payload = Buffer.concat([
    ...[int(4, 0), int(2, 0), int(4, 0), int(4, 1), int(2, 1), Buffer.from('t'), int(4, 1)],
    ...[int(4, 3), int(2, 0), int(8, 90), int(8, 80), int(8, 0), int(4, aborted.length)],
    ...aborted.flatMap(([producer, first]) => [int(8, producer), int(8, first)]),
    ...[int(4, -1), int(4, bytes.length), bytes],
  ]);
  const [one] = await decodeFetchResponse(payload, 11, new Map([[3, from]]));
  return { ...one!, values: one!.records.map(({ offset, value }) => `${offset}:${value}`) };
}

test.each([4, 5, 6, 7, 8, 9, 10, 11])('version %i is taken apart as kafkajs does it', async (version) => {
  const bytes = batch({
    first: 5,
    last: 9,
    records: [
      [0, 'a'],
      [3, 'b'],
    ],
  });
  const payload = Buffer.concat([
    int(4, 0),
    ...(version >= 7 ? [int(2, 0), int(4, 42)] : []),
    ...[int(4, 1), int(2, 1), Buffer.from('t'), int(4, 2)],
    ...[3, 4].flatMap((partition) => [
      ...[int(4, partition), int(2, partition === 4 ? 6 : 0), int(8, 90), int(8, 80)],
      ...(version >= 5 ? [int(8, 1)] : []),
      ...[int(4, 1), int(8, 7), int(8, 2)],
      ...(version >= 11 ? [int(4, -1)] : []),
      ...(partition === 3 ? [int(4, bytes.length), bytes] : [int(4, 0)]),
    ]),
  ]);
  const theirs = await require(`kafkajs/src/protocol/requests/fetch/v${version}/response.js`).decode(payload);
  const ours = await decodeFetchResponse(
    payload,
    version,
    new Map([
      [3, 0],
      [4, 0],
    ]),
  );
  expect(
    ours.map(({ partition, errorCode, highWatermark, lastStableOffset, records }) => ({
      ...{ partition, errorCode },
      ...{ highWatermark: String(highWatermark), lastStableOffset: String(lastStableOffset) },
      messages: records.map(({ offset, value }) => `${offset}:${value}`),
    })),
  ).toEqual(
    theirs.responses[0].partitions.map((one: Record<string, unknown>) => ({
      ...{ partition: one['partition'], errorCode: one['errorCode'] },
      ...{ highWatermark: one['highWatermark'], lastStableOffset: one['lastStableOffset'] },
      messages: (one['messages'] as { offset: string; value: Buffer }[]).map(
        ({ offset, value }) => `${offset}:${value}`,
      ),
    })),
  );
  expect(ours[0]!.records).toHaveLength(2);
});

test('records below the offset that was asked for are dropped, and one goes on behind the last batch', async () => {
  const one = batch({
    first: 5,
    last: 9,
    records: [
      [0, 'a'],
      [1, 'b'],
      [2, 'c'],
    ],
  });
  expect(await decode(6, [one])).toMatchObject({
    ...{ partition: 3, highWatermark: 90, lastStableOffset: 80 },
    ...{ values: ['6:b', '7:c'], next: 10 },
  });
});

test('where no record is left one goes on behind the frames, and without a frame nowhere', async () => {
  const frames = [batch({ first: 0, last: 4, records: [] }), batch({ first: 5, last: 6, records: [] })];
  expect(await decode(0, frames)).toMatchObject({ values: [], next: 7 });
  expect(await decode(12, [])).toMatchObject({ values: [], next: 12 });
});

test('a batch that was cut off is left for the next fetch', async () => {
  const whole = batch({ first: 0, last: 0, records: [[0, 'a']] });
  const cut = batch({ first: 1, last: 1, records: [[0, 'b']] }).subarray(0, -1);
  expect(await decode(0, [whole, cut])).toMatchObject({ values: ['0:a'], next: 1 });
});

test('an aborted transaction is left out until its marker, and only that of its producer', async () => {
  const batches = [
    batch({ first: 0, last: 0, records: [[0, 'aborted']], producer: 7, transactional: true }),
    batch({ first: 1, last: 1, records: [[0, 'other']], producer: 8, transactional: true }),
    batch({ first: 2, last: 2, records: [[0, '']], producer: 7, control: 'abort' }),
    batch({ first: 3, last: 3, records: [[0, 'later']], producer: 7, transactional: true }),
    batch({ first: 4, last: 4, records: [[0, '']], producer: 7, control: 'commit' }),
  ];
  expect(await decode(0, batches, [[7, 0]])).toMatchObject({ values: ['1:other', '3:later'], next: 5 });
});

test('what cannot be decoded keeps nothing from being read that comes before it', async () => {
  const good = batch({ first: 0, last: 0, records: [[0, 'a']] });
  const old = batch({ first: 1, last: 1, records: [[0, 'b']], magic: 1 });
  const answer = await decode(0, [good, old]);
  expect(answer).toMatchObject({ values: ['0:a'], next: 1 });
  expect(String(answer.undecodable)).toMatch(/format 1/);
});

test.each([-12, 0, 20])(
  'a batch that says it has %i bytes is not gone around for ever, aborted or not',
  async (length) => {
    const good = batch({ first: 0, last: 0, records: [[0, 'a']] });
    const aborted = batch({ first: 1, last: 1, records: [[0, 'b']], producer: 7, transactional: true });
    aborted.writeInt32BE(length, 8);
    const answer = await decode(0, [good, aborted], [[7, 1]]);
    expect(answer).toMatchObject({ values: ['0:a'], next: 1 });
    expect(String(answer.undecodable)).toContain(`it says that it is ${length + 12} bytes long`);
  },
);

test('no more than one batch of the largest size is unpacked beyond what an answer may hold', async () => {
  const each = LARGEST_BATCH_BYTES / 4;
  const compressed = (first: number) => {
    const length = each - 100;
    const varintOf = (value: number) => {
      const bytes: number[] = [];
      for (let left = value * 2; ; left = Math.floor(left / 128)) {
        bytes.push(left < 128 ? left : (left % 128) | 0x80);
        if (left < 128) return Buffer.from(bytes);
      }
    };
    const body = Buffer.concat([
      ...[Buffer.from([0]), varint(0), varint(0), sized('key'), varintOf(length), Buffer.alloc(length)],
      varint(0),
    ]);
    const packed = gzipSync(Buffer.concat([varintOf(body.length), body]));
    const checked = Buffer.concat([
      ...[int(2, 1), int(4, 0), int(8, 1_000), int(8, 1_000), int(8, -1), int(2, 0), int(4, 0), int(4, 1)],
      packed,
    ]);
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32c(checked, 0, checked.length));
    const rest = Buffer.concat([int(4, 0), Buffer.from([2]), sum, checked]);
    return Buffer.concat([int(8, first), int(4, rest.length), rest]);
  };
  const batches = Array.from({ length: 12 }, (_, first) => compressed(first));
  const bytes = Buffer.concat(batches);
  expect(bytes.length).toBeLessThan(1024 * 1024);
  const payload = Buffer.concat([
    ...[int(4, 0), int(2, 0), int(4, 0), int(4, 1), int(2, 1), Buffer.from('t'), int(4, 1)],
    ...[int(4, 3), int(2, 0), int(8, 90), int(8, 80), int(8, 0), int(4, 0), int(4, -1)],
    ...[int(4, bytes.length), bytes],
  ]);
  const [answer] = await decodeFetchResponse(payload, 11, new Map([[3, 0]]));
  expect(answer!.undecodable).toBeUndefined();
  expect(answer!.records.length).toBe(answer!.next);
  // The rest comes with a later fetch.
  expect(answer!.next).toBeLessThanOrEqual(5);
  expect(answer!.next).toBeGreaterThan(0);
});
