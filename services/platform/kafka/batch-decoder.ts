import { COMPRESSION, type Codec, type Compression } from './compression.ts';
import { crc32c } from './crc32c.ts';
import { type BatchContext, type FetchedRecord, readRecords } from './record-decoder.ts';

/**
 * A batch on a topic cannot be read: a codec that is missing here or fails, a checksum that is wrong, records that do
 * not end where the batch does. A fetch from this batch never gets past it; the messages after it can only be reached
 * by a fetch from a later offset.
 */
export class UndecodableBatch extends Error {
  override name = 'UndecodableBatch';
  readonly topic: string;
  readonly partition: number;
  /** Of the first record. */
  readonly offset: number;
  /** Of the last record. */
  readonly lastOffset: number;
  readonly codec: Compression | 'none' | 'unknown';

  constructor(
    where: Pick<UndecodableBatch, 'topic' | 'partition' | 'offset' | 'lastOffset' | 'codec'>,
    cause: unknown,
  ) {
    const { topic, partition, offset, lastOffset, codec } = where;
    super(
      `the batch at ${topic}/${partition}, offsets ${offset} to ${lastOffset}, compression ${codec}, cannot be read: ${(cause as Error).message}`,
      { cause },
    );
    this.topic = topic;
    this.partition = partition;
    this.offset = offset;
    this.lastOffset = lastOffset;
    this.codec = codec;
  }
}

/** What one batch held. */
export interface OpenedBatch {
  readonly records: readonly FetchedRecord[];
  /** Its size after decompression, in bytes; 0 where it is not compressed. */
  readonly unpacked: number;
}

// Sizes in bytes: of base offset and length, and of everything before the records.
const BATCH_FRAME = 8 + 4;
export const BATCH_HEAD = 61;
/** Bits of a batch's attributes. */
const ATTRIBUTE = { compression: 0x07, stampedByBroker: 0x08, transactional: 0x10, control: 0x20 };

/** What comes before the records of a batch of format 2; of another format only `size` and `format` are meaningful. */
export interface BatchHead {
  /** Size of the whole batch, in bytes. */
  readonly size: number;
  readonly format: number;
  readonly checksum: number;
  /** Kafka's number of the compression; 0 for none. */
  readonly compression: number;
  readonly codec: UndecodableBatch['codec'];
  readonly isTransactional: boolean;
  readonly isControl: boolean;
  readonly firstOffset: bigint;
  readonly lastOffset: bigint;
  readonly producerId: bigint;
  /** Number of records. */
  readonly count: number;
  readonly context: BatchContext;
}

/** @param at where the batch begins; at least {@link BATCH_HEAD} bytes follow */
export function readHead(bytes: Buffer, at: number): BatchHead {
  const firstOffset = bytes.readBigInt64BE(at);
  const attributes = bytes.readInt16BE(at + 21);
  const compression = attributes & ATTRIBUTE.compression;
  return {
    size: BATCH_FRAME + bytes.readInt32BE(at + 8),
    format: bytes.readInt8(at + 16),
    checksum: bytes.readUInt32BE(at + 17),
    compression,
    codec:
      compression === 0 ? 'none' : ((COMPRESSION as Record<number, Compression>)[compression] ?? 'unknown'),
    isTransactional: (attributes & ATTRIBUTE.transactional) !== 0,
    isControl: (attributes & ATTRIBUTE.control) !== 0,
    firstOffset,
    lastOffset: firstOffset + BigInt(bytes.readInt32BE(at + 23)),
    producerId: bytes.readBigInt64BE(at + 43),
    count: bytes.readInt32BE(at + 57),
    context: {
      firstOffset: String(firstOffset),
      firstTimestamp: String(bytes.readBigInt64BE(at + 27)),
      maxTimestamp: String(bytes.readBigInt64BE(at + 35)),
      timestampType: (attributes & ATTRIBUTE.stampedByBroker) === 0 ? 0 : 1,
    },
  };
}

/**
 * The records of one whole batch.
 * @param batch its bytes, from its first offset on; what follows it is not looked at
 * @param head what {@link readHead} found there
 * @throws UndecodableBatch
 */
export async function decodeBatch(
  batch: Buffer,
  head: BatchHead,
  where: { readonly topic: string; readonly partition: number },
  codecs: Readonly<Partial<Record<Compression, Codec>>>,
): Promise<OpenedBatch> {
  const { size, codec, count, context } = head;
  try {
    if (size < BATCH_HEAD) throw new RangeError(`it says that it is ${size} bytes long`);
    if (codec === 'none') {
      return { records: readRecords(batch, BATCH_HEAD, size, count, context), unpacked: 0 };
    }
    const opener = codec === 'unknown' ? undefined : codecs[codec];
    if (opener === undefined)
      throw new Error(`there is no codec for compression ${codec} (${head.compression}) here`);
    // The checksum keeps damaged bytes from the decompressor.
    if (crc32c(batch, 21, size) !== head.checksum) throw new Error('its checksum is wrong');
    const opened = await opener.decompress(batch.subarray(BATCH_HEAD, size));
    return { records: readRecords(opened, 0, opened.length, count, context), unpacked: opened.length };
  } catch (err) {
    const offsets = { offset: Number(head.firstOffset), lastOffset: Number(head.lastOffset) };
    throw new UndecodableBatch({ ...where, ...offsets, codec }, err);
  }
}
