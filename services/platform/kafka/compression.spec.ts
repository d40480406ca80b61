import { zstdCompressSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { snappyCompress } from 'hysnappy';
import { type Compression, LARGEST_BATCH_BYTES, OPEN_CODEC } from './compression.ts';

const ALL = Object.keys(OPEN_CODEC) as Compression[];

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 5_000 }),
  // Repetitive, and longer than a block of any of them.
  fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 50 }), fc.nat({ max: 10_000 })).map(([part, times]) => {
    const all = Buffer.alloc(part.length * times);
    for (let i = 0; i < times; i++) all.set(part, i * part.length);
    return all;
  }),
);

test.each(ALL)('%s opens what it has packed', async (name) => {
  const codec = OPEN_CODEC[name]();
  await fc.assert(
    fc.asyncProperty(bytes, async (plain) => {
      const opened = await codec.decompress(await codec.compress(Buffer.from(plain)));
      expect(opened.equals(Buffer.from(plain))).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test.each(ALL)('%s refuses what unpacks to more than the bound', async (name) => {
  const codec = OPEN_CODEC[name]();
  const most = await codec.compress(Buffer.alloc(LARGEST_BATCH_BYTES));
  expect((await codec.decompress(most)).length).toBe(LARGEST_BATCH_BYTES);
  const more = await codec.compress(Buffer.alloc(LARGEST_BATCH_BYTES + 1));
  expect(more.length).toBeLessThan(2 * 1024 * 1024);
  await expect(decompressed(codec, more)).rejects.toThrow(/unpacks to|larger than/);
});

/** One that throws at once rejects as well. */
const decompressed = async (codec: ReturnType<(typeof OPEN_CODEC)['lz4']>, packed: Buffer) =>
  codec.decompress(packed);

test('a claim of 4 GiB takes no memory', async () => {
  const before = process.memoryUsage().rss;
  const claim = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]);
  await expect(decompressed(OPEN_CODEC.snappy(), claim)).rejects.toThrow(/unpacks to 4294967295 bytes/);
  // A frame of LZ4 whose head claims as much; the blocks are what counts.
  const lz4 = await OPEN_CODEC.lz4().compress(Buffer.alloc(100));
  const head = Buffer.from(lz4.subarray(0, 6));
  head[4]! |= 0x08;
  const size = Buffer.alloc(8);
  size.writeUInt32LE(0xffff_ffff);
  const lying = Buffer.concat([head, size, lz4.subarray(6)]);
  await expect(decompressed(OPEN_CODEC.lz4(), lying)).rejects.toThrow();
  await expect(
    decompressed(OPEN_CODEC.zstd(), zstdCompressSync(Buffer.alloc(512 * 1024 * 1024))),
  ).rejects.toThrow(/larger than/);
  expect(process.memoryUsage().rss - before).toBeLessThan(1024 * 1024 * 1024);
});

test.each(ALL)('%s rejects what is none of its own, or broken off', async (name) => {
  const codec = OPEN_CODEC[name]();
  const packed = await codec.compress(Buffer.from('top clients '.repeat(1_000)));
  for (const broken of [
    Buffer.alloc(0),
    Buffer.from('no such thing'),
    packed.subarray(0, packed.length - 5),
  ]) {
    await expect(decompressed(codec, broken)).rejects.toThrow();
  }
});

test('snappy opens the blocks that Java clients frame', async () => {
  const parts = ['one '.repeat(10_000), 'two '.repeat(3), 'three'];
  const framed = Buffer.concat([
    Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]),
    ...parts.flatMap((part) => {
      const packed = snappyCompress(Buffer.from(part));
      const length = Buffer.alloc(4);
      length.writeUInt32BE(packed.length);
      return [length, packed];
    }),
  ]);
  const codec = OPEN_CODEC.snappy();
  expect(String(await codec.decompress(framed))).toBe(parts.join(''));
  await expect(decompressed(codec, framed.subarray(0, framed.length - 2))).rejects.toThrow(
    /end within a block/,
  );
});
