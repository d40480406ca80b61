import { crc32c } from './crc32c.ts';
import { type Library, replaceProtocol } from './kafkajs.ts';

/** A message as kafkajs takes it, with every member of it there. */
export interface ProducedMessage {
  readonly key: string;
  readonly value: string | null;
  /** Milliseconds since the epoch. */
  readonly timestamp: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What kafkajs passes to the encoder of a produce request. */
export interface ProduceRequest {
  readonly acks: number;
  readonly timeout: number;
  readonly transactionalId?: string | null;
  /** A 64-bit integer: a number, its decimal digits, or kafkajs' own Long. */
  readonly producerId?: number | string | { readonly value: bigint };
  readonly producerEpoch?: number;
  readonly compression?: number;
  readonly topicData: ReadonlyArray<{
    readonly topic: string;
    readonly partitions: ReadonlyArray<{
      readonly partition: number;
      /** Absent where the producer is not idempotent. */
      readonly firstSequence?: number;
      readonly messages: readonly ProducedMessage[];
    }>;
  }>;
}

/** Versions of the request that share one format; the last of them is the newest that kafkajs speaks. */
const VERSIONS = [3, 4, 5, 6, 7];
export const PRODUCE = {
  apiKey: 0,
  apiName: 'Produce',
  oldest: VERSIONS[0]!,
  newest: VERSIONS.at(-1)!,
} as const;

/**
 * Makes kafkajs encode produce requests here. Its own encoder makes a zero-filled buffer of at least 512 bytes for
 * every header and every record and copies each batch six times; it took two thirds of a producer's CPU under a backlog,
 * and half of that for the buffers alone. This encoder counts the bytes, makes one buffer and fills it. A property test
 * checks that the bytes are those of kafkajs. docs/adr has the numbers.
 *
 * @param encoded told of every request that was encoded here
 * @throws UnexpectedShape
 */
export function replaceProduceEncoder(library: Library, encoded: () => void): void {
  replaceProtocol(
    library,
    'kafkajs/src/protocol/requests/produce/index.js',
    { ...PRODUCE, versions: VERSIONS },
    EXAMPLE,
    (_version, theirs) => (args) => {
      const made = theirs(args);
      if (!isOrdinary(args)) return made;
      const encode = async () => {
        const buffer = encodeProduceRequest(args);
        encoded();
        return { buf: buffer, buffer, size: () => buffer.length };
      };
      return { ...made, request: { ...made.request, encode } };
    },
  );
}

const EXAMPLE: ProduceRequest = { acks: -1, timeout: 1, producerId: -1, producerEpoch: 0, topicData: [] };

/**
 * kafkajs also takes messages without headers or a time, and with bytes for a key or a value. Ordinary messages have
 * all of these, and are text; kafkajs itself encodes all others.
 */
const isOrdinary = ({ transactionalId, compression, topicData }: ProduceRequest) =>
  !transactionalId &&
  !compression &&
  topicData.every(({ partitions }) => partitions.every(({ messages }) => messages.every(isPlain)));

const isPlain = ({ key, value, timestamp, headers }: ProducedMessage) => {
  if (typeof key !== 'string' || (typeof value !== 'string' && value !== null)) return false;
  if (typeof timestamp !== 'string' || typeof headers !== 'object' || headers === null) return false;
  for (const name in headers) if (typeof headers[name] !== 'string') return false;
  return true;
};

// Attributes, deltas, timestamps, producer and the number of records, after the checksum of a record batch.
const BATCH_HEAD = 2 + 4 + 8 + 8 + 8 + 2 + 4 + 4;
// Before it: base offset, length, leader epoch, magic, checksum.
const BATCH_FRAME = 8 + 4 + 4 + 1 + 4;

/**
 * The body of the request: no transaction, no compression, record batches of format 2.
 * @param headBytes how many bytes to leave free before it
 */
export function encodeProduceRequest(request: ProduceRequest, headBytes = 0): Buffer {
  const producerId = int64(request.producerId);
  const batches = request.topicData.map(({ topic, partitions }) => ({
    topic,
    partitions: partitions.map(({ partition, firstSequence, messages }) => ({
      partition,
      firstSequence,
      messages,
      ...measure(messages),
    })),
  }));
  let size = headBytes + 2 + 2 + 4 + 4;
  for (const { topic, partitions } of batches) {
    size += 2 + Buffer.byteLength(topic) + 4;
    for (const { bytes } of partitions) size += 4 + 4 + BATCH_FRAME + BATCH_HEAD + bytes;
  }
  const to = Buffer.allocUnsafe(size);
  let at = to.writeInt16BE(-1, headBytes); // no transaction
  at = to.writeInt16BE(request.acks, at);
  at = to.writeInt32BE(request.timeout, at);
  at = to.writeInt32BE(batches.length, at);
  for (const { topic, partitions } of batches) {
    at = to.writeInt16BE(Buffer.byteLength(topic), at);
    at += to.write(topic, at);
    at = to.writeInt32BE(partitions.length, at);
    for (const { partition, firstSequence, messages, bytes, first, last, sizes } of partitions) {
      at = to.writeInt32BE(partition, at);
      at = to.writeInt32BE(BATCH_FRAME + BATCH_HEAD + bytes, at);
      at = writeCount(to, 0, at);
      at = to.writeInt32BE(BATCH_FRAME - 12 + BATCH_HEAD + bytes, at);
      at = to.writeInt32BE(0, at);
      at = to.writeInt8(2, at);
      const checksum = at;
      at += 4;
      at = to.writeInt16BE(0, at);
      at = to.writeInt32BE(messages.length - 1, at);
      at = writeCount(to, first, at);
      at = writeCount(to, last, at);
      at = to.writeBigInt64BE(producerId, at);
      at = to.writeInt16BE(request.producerEpoch ?? 0, at);
      at = to.writeInt32BE(firstSequence ?? 0, at);
      at = to.writeInt32BE(messages.length, at);
      for (let i = 0; i < messages.length; i++) {
        at = writeRecord(to, at, messages[i]!, i, sizes[i]!);
      }
      to.writeUInt32BE(crc32c(to, checksum + 4, at), checksum);
    }
  }
  return to;
}

/** What a broker says of a produce request: Kafka's number of an error for each partition, 0 for none. */
export function decodeProduceResponse(
  payload: Buffer,
  version: number,
): { readonly errorCodes: ReadonlyMap<number, number>; readonly throttleMs: number } {
  const errorCodes = new Map<number, number>();
  let at = 4;
  for (let topics = payload.readInt32BE(0); topics > 0; topics--) {
    at += 2 + payload.readInt16BE(at);
    const partitions = payload.readInt32BE(at);
    at += 4;
    for (let left = partitions; left > 0; left--) {
      errorCodes.set(payload.readInt32BE(at), payload.readInt16BE(at + 4));
      at += 4 + 2 + 8 + 8 + (version >= 5 ? 8 : 0); // offset, time, and where the log begins
    }
  }
  // Before version 6 the broker has waited by itself.
  return { errorCodes, throttleMs: version >= 6 ? payload.readInt32BE(at) : 0 };
}

/** What is counted of a record before it is written. */
interface RecordSize {
  /** Of its body, in bytes. */
  readonly body: number;
  /** Of its value. */
  readonly value: number;
  /** How much later than the first of its batch, in ms. */
  readonly age: number;
}

/** The sizes of the records, of all of them with their lengths in bytes, and the first and last of their times. */
function measure(messages: readonly ProducedMessage[]) {
  let first = Number.POSITIVE_INFINITY;
  let last = 0;
  for (const { timestamp } of messages) {
    const time = Number(timestamp);
    if (time < first) first = time;
    if (time > last) last = time;
  }
  let bytes = 0;
  const sizes: RecordSize[] = [];
  for (let i = 0; i < messages.length; i++) {
    const { key, value, timestamp, headers } = messages[i]!;
    const age = Number(timestamp) - first;
    const valueBytes = value === null ? 0 : Buffer.byteLength(value);
    let body = 1 + sizeOfVarint(age) + sizeOfVarint(i) + sizeOfText(key);
    body += value === null ? 1 : sizeOfVarint(valueBytes) + valueBytes;
    let count = 0;
    for (const name in headers) {
      body += sizeOfText(name) + sizeOfText(headers[name]!);
      count += 1;
    }
    body += sizeOfVarint(count);
    bytes += sizeOfVarint(body) + body;
    sizes.push({ body, value: valueBytes, age });
  }
  return { bytes, first, last, sizes };
}

function writeRecord(
  to: Buffer,
  start: number,
  message: ProducedMessage,
  index: number,
  { body, value: valueBytes, age }: RecordSize,
): number {
  const { key, value, headers } = message;
  let at = writeVarint(to, start, body);
  to[at++] = 0;
  at = writeVarint(to, at, age);
  at = writeVarint(to, at, index);
  at = writeText(to, at, key);
  if (value === null) to[at++] = NO_VALUE;
  else {
    at = writeVarint(to, at, valueBytes);
    at += to.write(value, at, valueBytes);
  }
  let count = 0;
  for (const _ in headers) count += 1;
  at = writeVarint(to, at, count);
  for (const name in headers) {
    at = writeText(to, at, name);
    at = writeText(to, at, headers[name]!);
  }
  return at;
}

/** -1 in zigzag. */
const NO_VALUE = 1;

/**
 * Most texts are a few letters of ASCII: names and values of headers, keys. Going over them here is faster than a call that
 * leaves JavaScript, which each of Buffer's is.
 */
const SHORT = 80;

/** Bytes of a text in UTF-8; nearly all of them are as many as its letters. */
function utf8Bytes(text: string): number {
  if (text.length > SHORT) return Buffer.byteLength(text);
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x80) return Buffer.byteLength(text);
  return text.length;
}

function sizeOfText(text: string): number {
  const bytes = utf8Bytes(text);
  return sizeOfVarint(bytes) + bytes;
}

function writeText(to: Buffer, at: number, text: string): number {
  const bytes = utf8Bytes(text);
  const start = writeVarint(to, at, bytes);
  if (bytes > text.length || bytes > SHORT) return start + to.write(text, start, bytes);
  for (let i = 0; i < bytes; i++) to[start + i] = text.charCodeAt(i);
  return start + bytes;
}

/** A whole number that is not negative, in eight bytes. */
function writeCount(to: Buffer, value: number, at: number): number {
  return to.writeUInt32BE(value % 2 ** 32, to.writeUInt32BE(Math.floor(value / 2 ** 32), at));
}

// Zigzag doubles what is not negative. Past 31 bits (an age in ms beyond 12 days) only arithmetic is exact.
function sizeOfVarint(value: number): number {
  let rest = value * 2;
  let bytes = 1;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes += 1;
  return bytes;
}

function writeVarint(to: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value * 2;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) to[at++] = (rest % 0x80) | 0x80;
  to[at++] = rest;
  return at;
}

/** -1 stands for a producer that is not idempotent. */
const int64 = (value: ProduceRequest['producerId'] = -1): bigint =>
  typeof value === 'object' ? value.value : BigInt(value);
