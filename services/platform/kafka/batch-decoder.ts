import { COMPRESSION, type Codec, type Compression } from './compression.ts';
import { crc32c } from './crc32c.ts';
import { type BatchContext, type FetchedRecord, readRecords } from './record-decoder.ts';

/**
 * A batch on a topic cannot be read: a codec that is missing here or fails, a checksum that is wrong, records that do
 * not end where the batch does. What stands behind it cannot be reached by fetching, only by going on after it.
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
  /** To how many bytes it was unpacked; 0 where it is not compressed. */
  readonly unpacked: number;
}

// Base offset and length; and all that stands before the records.
const BATCH_FRAME = 8 + 4;
const BATCH_HEAD = 61;

/**
 * The records of one batch of format 2.
 * @param batch its bytes, from its first offset on; what stands behind it is not looked at
 * @throws UndecodableBatch
 */
export async function decodeBatch(
  batch: Buffer,
  where: { readonly topic: string; readonly partition: number },
  codecs: Readonly<Partial<Record<Compression, Codec>>>,
): Promise<OpenedBatch> {
  if (batch.length < BATCH_HEAD) {
    const offset = batch.length < 8 ? 0 : Number(batch.readBigInt64BE(0));
    const cause = new RangeError(`it says that it is ${batch.length} bytes long`);
    throw new UndecodableBatch({ ...where, offset, lastOffset: offset, codec: 'unknown' }, cause);
  }
  const { size, checksum, number, codec, context, count, lastOffset } = readHead(batch);
  try {
    if (size < BATCH_HEAD) throw new RangeError(`it says that it is ${size} bytes long`);
    if (codec === 'none') {
      return { records: readRecords(batch, BATCH_HEAD, size, count, context), unpacked: 0 };
    }
    const opener = codec === 'unknown' ? undefined : codecs[codec];
    if (opener === undefined) throw new Error(`there is no codec for compression ${codec} (${number}) here`);
    // It keeps damaged bytes from what unpacks them.
    if (crc32c(batch, 21, size) !== checksum) throw new Error('its checksum is wrong');
    const opened = await opener.decompress(batch.subarray(BATCH_HEAD, size));
    return { records: readRecords(opened, 0, opened.length, count, context), unpacked: opened.length };
  } catch (err) {
    throw new UndecodableBatch({ ...where, offset: Number(context.firstOffset), lastOffset, codec }, err);
  }
}

const COMPRESSED_BY = 0x07;
const STAMPED_BY_BROKER = 0x08;

function readHead(batch: Buffer) {
  const firstOffset = batch.readBigInt64BE(0);
  const attributes = batch.readInt16BE(21);
  const number = attributes & COMPRESSED_BY;
  const codec: UndecodableBatch['codec'] =
    number === 0 ? 'none' : ((COMPRESSION as Record<number, Compression>)[number] ?? 'unknown');
  return {
    size: BATCH_FRAME + batch.readInt32BE(8),
    checksum: batch.readUInt32BE(17),
    number,
    codec,
    lastOffset: Number(firstOffset) + batch.readInt32BE(23),
    context: {
      firstOffset: String(firstOffset),
      firstTimestamp: String(batch.readBigInt64BE(27)),
      maxTimestamp: String(batch.readBigInt64BE(35)),
      timestampType: (attributes & STAMPED_BY_BROKER) > 0 ? 1 : 0,
    } satisfies BatchContext,
    count: batch.readInt32BE(57),
  };
}
