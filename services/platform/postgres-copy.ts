import pg from 'pg';
import { instantOf } from './instant.ts';
import { WireBytes } from './postgres-wire.ts';

/** Where PostgreSQL's count of microseconds begins, in ms since the Unix epoch. */
const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1);
/** As `Date` writes it. PostgreSQL has no year 0. */
const INSTANT = { length: 'yyyy-mm-ddThh:mm:ss.sssZ'.length, least: '0001' };

const COPY_DATA = 'd'.charCodeAt(0);
/** `CopyDone`, which has nothing but its length. */
const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4]);
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
/** Of the protocol: the type of the message and its length. Of the format: signature, flags, length of the extension. */
const HEAD_BYTES = 5 + SIGNATURE.length + 8;
const END_OF_ROWS = -1;
const UINT32 = 2 ** 32;
const INT16 = 2 ** 15;

/**
 * Rows in PostgreSQL's binary format of COPY, which the server takes without parsing. Whatever this format cannot say just
 * as SQL would say it is refused: the caller then says it in SQL. `text` is for every type whose binary form is its text, such
 * as `text` and `json`.
 */
export class CopyRows extends WireBytes {
  /** @param expectedBytes more of them cost a copy */
  constructor(expectedBytes: number) {
    super(expectedBytes, HEAD_BYTES);
    const { length } = SIGNATURE;
    SIGNATURE.copy(this.bytes, HEAD_BYTES - 8 - length);
    this.bytes.fill(0, HEAD_BYTES - 8, HEAD_BYTES);
  }

  /** Begins a row of so many columns. */
  begin(columns: number): void {
    this.room(2);
    this.#int16(columns);
  }

  smallint(value: number): void {
    if (!(value >= -INT16 && value < INT16)) throw new RangeError(`${value} is no smallint`);
    this.room(6);
    this.#int32(2);
    this.#int16(value);
  }

  /** @throws RangeError for a number that is not whole, or that JavaScript does not hold exactly */
  bigint(value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no whole number`);
    this.room(12);
    this.#int32(8);
    this.#int32(Math.floor(value / UINT32));
    // The lower half of a number below 0 as well.
    this.#int32(value % UINT32);
  }

  /** @param text as `Date` writes it. @throws RangeError for any other */
  timestamptz(text: string): void {
    const ms = instantOf(text) - POSTGRES_EPOCH_MS;
    const isPlain = text.length === INSTANT.length && text.endsWith('Z') && text >= INSTANT.least;
    if (!isPlain || Number.isNaN(ms)) throw new RangeError(`${text} is no plain instant`);
    if (Number.isSafeInteger(ms * 1_000)) {
      this.bigint(ms * 1_000);
      return;
    }
    this.room(12);
    this.at = this.bytes.writeInt32BE(8, this.at);
    this.at = this.bytes.writeBigInt64BE(BigInt(ms) * 1_000n, this.at);
  }

  /** @throws RangeError for anything but UUIDs in their usual form */
  uuids(values: readonly string[]): void {
    const bytes = values.length === 0 ? 12 : 20 + 20 * values.length;
    this.room(4 + bytes);
    const head = values.length === 0 ? [bytes, 0, 0, UUID_OID] : [bytes, 1, 0, UUID_OID, values.length, 1];
    for (const one of head) this.at = this.bytes.writeInt32BE(one, this.at);
    for (const one of values) {
      if (!UUID.test(one)) throw new RangeError(`${one} is no UUID`);
      this.at = this.bytes.writeInt32BE(16, this.at);
      this.at += this.bytes.write(one.replaceAll('-', ''), this.at, 'hex');
    }
  }

  /** The messages of the protocol that follow on the statement. The rows are over then. */
  finish(): Buffer {
    this.room(2 + COPY_DONE.length);
    this.#int16(END_OF_ROWS);
    this.bytes[0] = COPY_DATA;
    this.bytes.writeInt32BE(this.at - 1, 1);
    this.at += COPY_DONE.copy(this.bytes, this.at);
    return this.bytes.subarray(0, this.at);
  }

  // By hand, at a third of what Buffer's calls cost: there are thousands in a chunk.
  #int16(value: number): void {
    this.bytes[this.at++] = value >>> 8;
    this.bytes[this.at++] = value;
  }

  /** Of a larger number the lowest 32 bits. */
  #int32(value: number): void {
    this.bytes[this.at++] = value >>> 24;
    this.bytes[this.at++] = value >>> 16;
    this.bytes[this.at++] = value >>> 8;
    this.bytes[this.at++] = value;
  }
}

const UUID_OID = pg.types.builtins.UUID;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * A statement that sends its rows at once. The server ignores rows that arrive after it has refused the statement, so that
 * further statements may follow in the same pipeline.
 */
class CopyQuery extends pg.Query {
  override submit: (connection: pg.Connection) => void;
  /** What the driver calls when the server asks for rows: they are on their way. */
  readonly handleCopyInResponse = (): void => {};

  constructor(text: string, messages: Buffer) {
    super(text);
    this.submit = (connection) => {
      const { stream } = connection;
      stream.cork();
      connection.query(text);
      if (stream.writable) stream.write(messages);
      stream.uncork();
    };
  }
}

/**
 * Copies rows into a table, in a transaction of its own if none is open: all of them or none.
 * @param text `copy … from stdin (format binary)`
 */
export const copyRows = (db: Pick<pg.ClientBase, 'query'>, text: string, rows: CopyRows): Promise<void> =>
  new Promise((resolve, reject) => {
    const query = new CopyQuery(text, rows.finish());
    // Told by the driver, not by the query: a pool takes its connection back by the same call.
    const done = (err: Error | null | undefined) => (err ? reject(err) : resolve());
    (db.query as (query: unknown, done: (err: Error | null) => void) => void).call(db, query, done);
  });
