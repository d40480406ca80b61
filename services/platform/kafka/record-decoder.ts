import { TextInBytes } from '#contracts/text-in-bytes.ts';

/*
 * A decoder of records for who reads many. kafkajs' own decoder copies the object of headers once for each header, and
 * makes a BigInt for every offset and time: a fifth of a reader's CPU under a backlog, garbage collection
 * included. Here headers are decoded when someone asks for them, which for most of a backlog is never. A property test
 * compares the two decoders; docs/adr has the numbers.
 */

/** What all records of a batch share, as kafkajs names it. */
export interface BatchContext {
  readonly firstOffset: string;
  readonly firstTimestamp: string;
  readonly maxTimestamp?: string;
  /** 1 where the broker stamps the messages. */
  readonly timestampType?: number;
}
type Headers = Record<string, Buffer | Buffer[] | null>;

const LOG_APPEND_TIME = 1;

/**
 * A record of format 2. It keeps the positions of its parts and decodes them when someone asks. Thousands of records
 * wait for the database at a time, and the garbage collector copies what they hold.
 */
export class FetchedRecord {
  readonly #batch: BatchContext;
  readonly #bytes: Buffer;
  readonly #age: number;
  readonly #offsetDelta: number;
  readonly #keyAt: number;
  readonly #valueAt: number;

  /** @param bytes which hold the record from `start` on */
  constructor(bytes: Buffer, start: number, context: BatchContext) {
    const from = { bytes, at: start + 1 };
    this.#batch = context;
    this.#bytes = bytes;
    this.#age = readVarint(from);
    this.#offsetDelta = readVarint(from);
    this.#keyAt = from.at;
    skipBytes(from);
    this.#valueAt = from.at;
  }

  get timestamp(): string {
    const { timestampType, maxTimestamp, firstTimestamp } = this.#batch;
    if (timestampType === LOG_APPEND_TIME && maxTimestamp) return maxTimestamp;
    return String(Number(firstTimestamp) + this.#age);
  }

  get offset(): string {
    return String(Number(this.#batch.firstOffset) + this.#offsetDelta);
  }

  get key(): Buffer | null {
    return readBytes({ bytes: this.#bytes, at: this.#keyAt });
  }

  get value(): Buffer | null {
    return readBytes({ bytes: this.#bytes, at: this.#valueAt });
  }

  /** The key, a character for each byte; null where there is none. */
  get keyText(): string | null {
    const from = { bytes: this.#bytes, at: this.#keyAt };
    const length = readVarint(from);
    return length < 0 ? null : this.#bytes.toString('latin1', from.at, from.at + length);
  }

  /** Where the value stands; null where there is none. Costs less than a buffer of its own. */
  get valueIn(): TextInBytes | null {
    const from = { bytes: this.#bytes, at: this.#valueAt };
    const length = readVarint(from);
    return length < 0 ? null : new TextInBytes(this.#bytes, from.at, from.at + length);
  }

  /** In bytes; 0 where there is none. */
  get valueLength(): number {
    return Math.max(0, readVarint({ bytes: this.#bytes, at: this.#valueAt }));
  }

  header(name: string): string | null {
    return findHeader(this.#bytes, this.#headersAt(), name);
  }

  get headers(): Headers {
    // Without a prototype, so that a header named __proto__ is one like any other.
    const headers: Headers = Object.create(null);
    const from = { bytes: this.#bytes, at: this.#headersAt() };
    for (let left = readVarint(from); left > 0; left--) {
      const name = String(readBytes(from));
      const value = readBytes(from);
      const before = headers[name];
      if (before === undefined) headers[name] = value;
      else headers[name] = (Array.isArray(before) ? [...before, value] : [before, value]) as Buffer[];
    }
    return headers;
  }

  #headersAt(): number {
    const from = { bytes: this.#bytes, at: this.#valueAt };
    skipBytes(from);
    return from.at;
  }
}

/** The first value of a header as text, without a look at the others; null when there is none. */
function findHeader(bytes: Buffer, at: number, name: string): string | null {
  const from = { bytes, at };
  for (let left = readVarint(from); left > 0; left--) {
    const isNamed = isTextAt(from, readVarint(from), name);
    const length = readVarint(from);
    if (isNamed) return length < 0 ? null : bytes.toString('utf8', from.at, from.at + length);
    from.at += Math.max(0, length);
  }
  return null;
}

/** Whether the next bytes are this text, in ASCII; moves past them. */
function isTextAt(from: RecordBytes, length: number, text: string): boolean {
  const { bytes, at } = from;
  from.at += length;
  if (length !== text.length) return false;
  for (let i = 0; i < length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

/**
 * The records of a batch, which stand from `start` to before `end`.
 * @throws RangeError when there are fewer than `count`
 */
export function readRecords(
  bytes: Buffer,
  start: number,
  end: number,
  count: number,
  context: BatchContext,
): FetchedRecord[] {
  const records: FetchedRecord[] = [];
  const from = { bytes, at: start };
  for (let left = count; left > 0; left--) {
    const length = readVarint(from);
    if (!(length > 0) || from.at + length > end) {
      throw new RangeError(`the batch ends with ${left} of its ${count} records to come`);
    }
    records.push(new FetchedRecord(bytes, from.at, context));
    from.at += length;
  }
  return records;
}

interface RecordBytes {
  readonly bytes: Buffer;
  at: number;
}

/** Zigzag, up to 53 bits: offsets and times are smaller. */
function readVarint(from: RecordBytes): number {
  const { bytes } = from;
  let byte = bytes[from.at++]!;
  let value = byte & 0x7f;
  for (let scale = 0x80; byte >= 0x80; scale *= 0x80) {
    byte = bytes[from.at++]!;
    value += (byte & 0x7f) * scale;
  }
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

function readBytes(from: RecordBytes): Buffer | null {
  const length = readVarint(from);
  if (length < 0) return null;
  const bytes = from.bytes.subarray(from.at, from.at + length);
  from.at += length;
  return bytes;
}

function skipBytes(from: RecordBytes): void {
  const length = readVarint(from);
  from.at += Math.max(0, length);
}
