import { createRequire } from 'node:module';
import { gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import { snappyCompress, snappyUncompress } from 'hysnappy';

/** Numbers of the protocol: the three lowest bits of a batch's attributes. */
export const COMPRESSION = { 1: 'gzip', 2: 'snappy', 3: 'lz4', 4: 'zstd' } as const;
export type Compression = (typeof COMPRESSION)[keyof typeof COMPRESSION];

export interface Codec {
  compress(bytes: Buffer): Promise<Buffer>;
  /** @throws Error when the bytes are not of this codec, or hold more than {@link LARGEST_BATCH_BYTES} */
  decompress(bytes: Buffer): Promise<Buffer>;
}

/**
 * What the records of a compressed batch may take, in bytes: 32 times what our topic takes uncompressed. A batch of
 * 1 MiB can claim, and with zstd even hold, gigabytes; whoever sends one must not end the process.
 */
export const LARGEST_BATCH_BYTES = 32 * 1024 * 1024;
const BOUND = { maxOutputLength: LARGEST_BATCH_BYTES };

const refuseBeyondBound = (bytes: number) => {
  if (bytes > LARGEST_BATCH_BYTES) {
    throw new RangeError(
      `the batch unpacks to ${bytes} bytes; ${LARGEST_BATCH_BYTES} is the most taken here`,
    );
  }
};

/** Opened one by one: if one cannot be loaded, only that one is missing. @throws Error when its library is missing */
export const OPEN_CODEC: Readonly<Record<Compression, () => Codec>> = {
  gzip: () => ({ compress: (bytes) => gzipped(bytes), decompress: (bytes) => gunzipped(bytes, BOUND) }),
  zstd: () => ({
    compress: (bytes) => zstdCompressed(bytes),
    decompress: (bytes) => zstdOpened(bytes, BOUND),
  }),
  snappy: () => ({
    compress: async (bytes) => Buffer.from(snappyCompress(bytes)),
    decompress: async (bytes) => openSnappy(bytes),
  }),
  lz4: () => {
    // Native code, fetched for the platform: where it is missing this throws, and not the import of this file.
    const lz4 = createRequire(import.meta.url)('lz4-napi') as typeof import('lz4-napi');
    return {
      compress: (bytes) => lz4.compressFrame(bytes),
      decompress(bytes) {
        refuseBeyondBound(mostOfLz4Frame(bytes));
        return lz4.decompressFrame(bytes);
      },
    };
  },
};
const { promisify } = process.getBuiltinModule('node:util');
const gzipped = promisify(gzip);
const gunzipped = promisify(gunzip) as (bytes: Buffer, options: object) => Promise<Buffer>;
const zstdCompressed = promisify(zstdCompress);
const zstdOpened = promisify(zstdDecompress) as (bytes: Buffer, options: object) => Promise<Buffer>;

// What snappy-java (xerial) puts before its blocks, with two versions of four bytes each; librdkafka and Go's clients
// write one bare block instead.
const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]);
const XERIAL_HEAD = XERIAL.length + 4 + 4;

function openSnappy(bytes: Buffer): Buffer {
  if (!bytes.subarray(0, XERIAL.length).equals(XERIAL)) return openSnappyBlock(bytes, 0);
  const parts: Buffer[] = [];
  let total = 0;
  for (let at = XERIAL_HEAD; at < bytes.length; ) {
    if (at + 4 > bytes.length) throw new RangeError('the bytes end within the length of a block of Snappy');
    const length = bytes.readUInt32BE(at);
    at += 4;
    if (at + length > bytes.length) throw new RangeError('the bytes end within a block of Snappy');
    const part = openSnappyBlock(bytes.subarray(at, at + length), total);
    parts.push(part);
    total += part.length;
    at += length;
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts, total);
}

/** @param before bytes that other blocks of the batch take already */
function openSnappyBlock(block: Buffer, before: number): Buffer {
  // The length of what it holds comes first, seven bits a byte.
  let length = 0;
  for (let i = 0; ; i++) {
    const byte = block[i];
    if (byte === undefined || i > 4) throw new RangeError('a block of Snappy does not say how long it is');
    length += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) break;
  }
  refuseBeyondBound(before + length);
  const opened = snappyUncompress(block, length);
  return Buffer.from(opened.buffer, opened.byteOffset, opened.byteLength);
}

const LZ4_MAGIC = 0x184d_2204;
const LZ4_BLOCK_BYTES: Readonly<Record<number, number>> = {
  4: 65_536,
  5: 262_144,
  6: 1_048_576,
  7: 4_194_304,
};
const UNCOMPRESSED_BLOCK = 0x8000_0000;

/** The most that a frame of LZ4 can hold, by the heads of its blocks, without unpacking any. */
function mostOfLz4Frame(bytes: Buffer): number {
  const head = 4 + 1 + 1;
  if (bytes.length < head + 1 || bytes.readUInt32LE(0) !== LZ4_MAGIC) throw new RangeError('no frame of LZ4');
  const flags = bytes[4]!;
  const [hasDictionary, hasSize, hasBlockSums] = [flags & 0x01, flags & 0x08, flags & 0x10];
  const largest = LZ4_BLOCK_BYTES[(bytes[5]! >> 4) & 0x07];
  if (largest === undefined) throw new RangeError('the frame of LZ4 has blocks of a size that there is not');
  let most = 0;
  let at = head + (hasSize ? 8 : 0) + (hasDictionary ? 4 : 0) + 1;
  while (at + 4 <= bytes.length) {
    const size = bytes.readUInt32LE(at);
    if (size === 0) break;
    const stored = size >= UNCOMPRESSED_BLOCK;
    const length = stored ? size - UNCOMPRESSED_BLOCK : size;
    // A byte of a block unpacks to 255 bytes at most.
    most += stored ? length : Math.min(largest, length * 255);
    at += 4 + length + (hasBlockSums ? 4 : 0);
  }
  return most;
}
