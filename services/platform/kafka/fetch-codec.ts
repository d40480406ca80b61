import { COMPRESSION, type Codec, type Compression, LARGEST_BATCH_BYTES } from './compression.ts';
import { crc32c } from './crc32c.ts';
import { expectShape, type Library, type ResponseOf, replaceProtocol } from './kafkajs.ts';
import { type BatchContext, type FetchedRecord, readRecords } from './record-decoder.ts';

/** What a fetch brought of a partition; as kafkajs has it, and the two members at the end. */
export interface FetchedPartition {
  readonly partition: number;
  readonly errorCode: number;
  readonly highWatermark: string;
  readonly lastStableOffset: string;
  readonly lastStartOffset?: string;
  readonly abortedTransactions: readonly { readonly producerId: string; readonly firstOffset: string }[];
  readonly preferredReadReplica?: number;
  readonly messages: readonly FetchedRecord[];
  /**
   * The offset after the last batch that came whole, whatever compaction left of it; null when none did. A batch
   * without a record, or with control records only, has one too.
   */
  readonly nextOffset: number | null;
  /** What stands at {@link nextOffset}, or where the fetch began, and cannot be read; null when all could. */
  readonly undecodable: UndecodableBatch | null;
}
export interface FetchResponse {
  /** Milliseconds that the broker held this answer back. */
  readonly throttleTime: number;
  readonly clientSideThrottleTime?: number;
  readonly errorCode?: number;
  readonly sessionId?: number;
  readonly responses: readonly {
    readonly topicName: string;
    readonly partitions: readonly FetchedPartition[];
  }[];
}

/**
 * A batch on a topic cannot be read: a codec that is missing here or fails, a checksum that is wrong, records that do
 * not end where the batch does. What stands behind it cannot be reached by fetching, only by going on after it.
 */
export class UndecodableBatch extends Error {
  override name = 'UndecodableBatch';
  /** Fetching again brings the same bytes; kafkajs then does not try it again by itself. */
  readonly retriable = false;
  readonly topic: string;
  readonly partition: number;
  /** Of the first record. */
  readonly offset: number;
  /** Of the last record. */
  readonly lastOffset: number;
  readonly codec: Compression | 'none' | 'unknown';
  #fetched: FetchResponse | null = null;

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

  /** All that the same fetch brought, other partitions as well. No member, so that no log writes it out. */
  get fetched(): FetchResponse | null {
    return this.#fetched;
  }

  cameWith(fetched: FetchResponse): this {
    this.#fetched = fetched;
    return this;
  }
}

/**
 * A fetch of which every readable partition is had: what cannot be read is in its partition's `undecodable`. Without
 * this the call to the broker throws, so that a consumer of kafkajs, which looks at no such member, does not take the
 * partition for an empty one.
 * @param fetch a call of kafkajs' `broker.fetch`
 */
export async function allThatWasFetched(fetch: Promise<FetchResponse>): Promise<FetchResponse> {
  try {
    return await fetch;
  } catch (err) {
    if (err instanceof UndecodableBatch && err.fetched !== null) return err.fetched;
    throw err;
  }
}

export interface FetchObserver {
  /** Told of every response that was decoded here. */
  decoded(): void;
  undecodable(batch: UndecodableBatch): void;
}

// 4 is the first with batches of format 2; 11 the last that kafkajs speaks.
const VERSIONS = [4, 5, 6, 7, 8, 9, 10, 11];

/**
 * Has kafkajs decode what it fetches here, by {@link readRecords} and with all codecs of compression.
 * @throws UnexpectedShape
 */
export function replaceFetchDecoder(
  library: Library,
  codecs: Readonly<Partial<Record<Compression, Codec>>>,
  observer: FetchObserver,
): void {
  const decodeOldFormat = oldFormat(library);
  replaceProtocol(
    library,
    'kafkajs/src/protocol/requests/fetch/index.js',
    { apiKey: 1, apiName: 'Fetch', versions: VERSIONS },
    { maxWaitTime: 1, minBytes: 1, maxBytes: 1, topics: [] },
    (version, theirs) => (args) => {
      const made = theirs(args);
      return { ...made, response: responseOf(version, made.response, codecs, decodeOldFormat, observer) };
    },
  );
}

function responseOf(
  version: number,
  theirs: ResponseOf,
  codecs: Readonly<Partial<Record<Compression, Codec>>>,
  decodeOldFormat: DecodeOldFormat,
  observer: FetchObserver,
): ResponseOf {
  return {
    async decode(bytes) {
      const response = await decodeFetch(version, bytes, codecs, decodeOldFormat);
      observer.decoded();
      return response;
    },
    async parse(decoded: FetchResponse) {
      const parsed = (await theirs.parse(decoded as never)) as FetchResponse;
      let first: UndecodableBatch | null = null;
      for (const { undecodable, messages } of parsed.responses.flatMap(({ partitions }) => partitions)) {
        if (undecodable === null) continue;
        observer.undecodable(undecodable);
        // What comes before it is delivered; the next fetch begins with it.
        if (messages.length === 0) first ??= undecodable;
      }
      if (first === null) return parsed;
      throw first.cameWith(parsed);
    },
  };
}

type DecodeOldFormat = (bytes: Buffer) => Promise<readonly FetchedRecord[]>;

/** Message sets, which brokers before 4 may still hold from before Kafka 0.11: kafkajs reads them. */
function oldFormat(library: Library): DecodeOldFormat {
  const Decoder = library.module('kafkajs/src/protocol/decoder.js') as new (bytes: Buffer) => object;
  const decode = library.module('kafkajs/src/protocol/messageSet/decoder.js') as (
    decoder: object,
    size: number,
  ) => Promise<readonly FetchedRecord[]>;
  expectShape(
    typeof Decoder === 'function' && typeof decode === 'function',
    'it does not decode message sets by functions',
  );
  return (bytes) => decode(new Decoder(bytes), bytes.length);
}

// Of a batch: base offset and length; and in all, before its records.
const BATCH_FRAME = 8 + 4;
const BATCH_HEAD = 61;

/** The body of a response of this version. */
async function decodeFetch(
  version: number,
  bytes: Buffer,
  codecs: Readonly<Partial<Record<Compression, Codec>>>,
  decodeOldFormat: DecodeOldFormat,
): Promise<FetchResponse> {
  const from = new Reading(bytes);
  const throttled = from.int32();
  const session = version >= 7 ? { errorCode: from.int16(), sessionId: from.int32() } : {};
  // All compressed batches of a response are unpacked at the same time.
  const room = { bytes: LARGEST_BATCH_BYTES };
  const responses: { topicName: string; partitions: FetchedPartition[] }[] = [];
  for (let topics = from.int32(); topics > 0; topics--) {
    const topicName = from.string();
    const partitions: FetchedPartition[] = [];
    for (let left = from.int32(); left > 0; left--) {
      const partition = from.int32();
      const head = {
        partition,
        errorCode: from.int16(),
        highWatermark: from.int64(),
        lastStableOffset: from.int64(),
        ...(version >= 5 ? { lastStartOffset: from.int64() } : {}),
        abortedTransactions: aborted(from),
        ...(version >= 11 ? { preferredReadReplica: from.int32() } : {}),
      };
      const size = Math.max(0, from.int32());
      const records = bytes.subarray(from.at, from.at + size);
      from.at += size;
      const { waits, ...read } = await readBatches(
        records,
        { topic: topicName, partition },
        codecs,
        room,
        decodeOldFormat,
      );
      // Kafkajs takes a partition without messages for one that was read to its end: this one is not said.
      if (!waits || read.messages.length > 0) partitions.push({ ...head, ...read });
    }
    responses.push({ topicName, partitions });
  }
  // Since 8 the broker has not waited, and asks the client to (KIP-219).
  return version >= 8
    ? { throttleTime: 0, clientSideThrottleTime: throttled, ...session, responses }
    : { throttleTime: throttled, ...session, responses };
}

interface ReadBatches extends Pick<FetchedPartition, 'messages' | 'nextOffset' | 'undecodable'> {
  /** A compressed batch is left for a later fetch: this one has brought enough. */
  readonly waits: boolean;
}

/** The batches of one partition, up to the one that did not come whole, cannot be read, or has no room. */
async function readBatches(
  bytes: Buffer,
  where: { readonly topic: string; readonly partition: number },
  codecs: Readonly<Partial<Record<Compression, Codec>>>,
  room: { bytes: number },
  decodeOldFormat: DecodeOldFormat,
): Promise<ReadBatches> {
  const done = (
    messages: readonly FetchedRecord[],
    nextOffset: number | null,
    rest: Partial<ReadBatches> = {},
  ): ReadBatches => ({ messages, nextOffset, undecodable: null, waits: false, ...rest });
  const MAGIC_AT = BATCH_FRAME + 4;
  if (bytes.length <= MAGIC_AT) return done([], null);
  if (bytes[MAGIC_AT] !== 2) {
    const messages = await decodeOldFormat(bytes);
    const last = messages.at(-1);
    return done(messages, last === undefined ? null : Number(last.offset) + 1);
  }
  let messages: FetchedRecord[] = [];
  let next: number | null = null;
  for (let at = 0; at + BATCH_HEAD <= bytes.length; ) {
    const batch = readHead(bytes, at);
    if (at + batch.size > bytes.length) break;
    if (batch.codec !== 'none' && room.bytes <= 0) return done(messages, next, { waits: true });
    try {
      const { records, unpacked } = await openBatch(bytes, at, batch, where, codecs);
      room.bytes -= unpacked;
      messages = messages.length === 0 ? records : messages.concat(records);
    } catch (undecodable) {
      return done(messages, next, { undecodable: undecodable as UndecodableBatch });
    }
    next = batch.lastOffset + 1;
    at += batch.size;
  }
  return done(messages, next);
}

/** What one batch held. */
export interface OpenedBatch {
  readonly records: readonly FetchedRecord[];
  /** To how many bytes it was unpacked; 0 where it is not compressed. */
  readonly unpacked: number;
}

/**
 * The records of one batch of format 2, for readers that take the frames of batches apart themselves.
 * @param batch its bytes, from its first offset on; what stands behind it is not looked at
 * @throws UndecodableBatch
 */
export async function decodeBatch(
  batch: Buffer,
  where: { readonly topic: string; readonly partition: number },
  codecs: Readonly<Partial<Record<Compression, Codec>>>,
): Promise<OpenedBatch> {
  return openBatch(batch, 0, readHead(batch, 0), where, codecs);
}

/**
 * @returns the records, and how many bytes they were unpacked to; 0 where they are not compressed
 * @throws UndecodableBatch
 */
async function openBatch(
  bytes: Buffer,
  at: number,
  { size, checksum, number, codec, context, count, lastOffset }: BatchHead,
  where: { readonly topic: string; readonly partition: number },
  codecs: Readonly<Partial<Record<Compression, Codec>>>,
): Promise<{ readonly records: FetchedRecord[]; readonly unpacked: number }> {
  try {
    if (size < BATCH_HEAD) throw new RangeError(`it says that it is ${size} bytes long`);
    if (codec === 'none') {
      return { records: readRecords(bytes, at + BATCH_HEAD, at + size, count, context), unpacked: 0 };
    }
    const opener = codec === 'unknown' ? undefined : codecs[codec];
    if (opener === undefined) throw new Error(`there is no codec for compression ${codec} (${number}) here`);
    // kafkajs looks at no checksum. Here it keeps damaged bytes from what unpacks them.
    if (crc32c(bytes, at + 21, at + size) !== checksum) throw new Error('its checksum is wrong');
    const opened = await opener.decompress(bytes.subarray(at + BATCH_HEAD, at + size));
    return { records: readRecords(opened, 0, opened.length, count, context), unpacked: opened.length };
  } catch (err) {
    throw new UndecodableBatch({ ...where, offset: Number(context.firstOffset), lastOffset, codec }, err);
  }
}

const [COMPRESSED_BY, STAMPED_BY_BROKER, IN_TRANSACTION, CONTROL] = [0x07, 0x08, 0x10, 0x20];

type BatchHead = ReturnType<typeof readHead>;

function readHead(bytes: Buffer, start: number) {
  const from = new Reading(bytes, start);
  const firstOffset = from.int64();
  const size = BATCH_FRAME + from.int32();
  const partitionLeaderEpoch = from.int32();
  const magicByte = from.int8();
  const checksum = from.int32() >>> 0;
  const attributes = from.int16();
  const lastOffsetDelta = from.int32();
  const context = {
    firstOffset,
    firstTimestamp: from.int64(),
    partitionLeaderEpoch,
    inTransaction: (attributes & IN_TRANSACTION) > 0,
    isControlBatch: (attributes & CONTROL) > 0,
    lastOffsetDelta,
    maxTimestamp: from.int64(),
    producerId: from.int64(),
    producerEpoch: from.int16(),
    firstSequence: from.int32(),
    timestampType: (attributes & STAMPED_BY_BROKER) > 0 ? 1 : 0,
    magicByte,
  } satisfies BatchContext;
  const number = attributes & COMPRESSED_BY;
  const codec: UndecodableBatch['codec'] =
    number === 0 ? 'none' : ((COMPRESSION as Record<number, Compression>)[number] ?? 'unknown');
  const lastOffset = Number(firstOffset) + lastOffsetDelta;
  return { size, checksum, number, codec, context, lastOffset, count: from.int32() };
}

function aborted(from: Reading): { producerId: string; firstOffset: string }[] {
  const transactions: { producerId: string; firstOffset: string }[] = [];
  for (let left = from.int32(); left > 0; left--) {
    transactions.push({ producerId: from.int64(), firstOffset: from.int64() });
  }
  return transactions;
}

/** Numbers and text of the protocol, one after the other. */
class Reading {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  #move(by: number): number {
    this.at += by;
    return this.at - by;
  }

  int8(): number {
    return this.#bytes.readInt8(this.#move(1));
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#move(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#move(4));
  }

  /** As kafkajs has 64 bits: in digits. */
  int64(): string {
    return String(this.#bytes.readBigInt64BE(this.#move(8)));
  }

  string(): string {
    const length = this.int16();
    const start = this.#move(Math.max(0, length));
    return this.#bytes.toString('utf8', start, this.at);
  }
}
