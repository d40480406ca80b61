/** Splits a protocol's bytes into messages, and says what a message is about. Pure. */

/** A message as it is sent, with enough of its content to be recognised. */
export interface Frame {
  readonly bytes: Buffer;
  /**
   * PostgreSQL: `Q commit` for a simple query, `B ack-and-fetch {1,2}` for a run of a prepared statement with its first
   * parameter, `S`, `C COMMIT`, `Z`. Kafka: `produce`, `fetch`, `offset-commit`, or the number of the API. Else empty.
   */
  readonly label: string;
  /** Kafka: ties an answer to its request. */
  readonly correlation?: number;
}

export type Protocol = 'postgres' | 'kafka' | 'opaque';
export type Side = 'client' | 'server';

const KAFKA_APIS: Readonly<Record<number, string>> = { 0: 'produce', 1: 'fetch', 8: 'offset-commit' };
/** How many characters of a query or a parameter a label has. */
const QUOTED = 64;

/** Splits a stream into messages; bytes of an incomplete message are kept. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);
  #startup: boolean;
  readonly #protocol: Protocol;
  readonly #side: Side;

  constructor(protocol: Protocol, side: Side) {
    this.#protocol = protocol;
    this.#side = side;
    // The first message of a PostgreSQL client has no type.
    this.#startup = protocol === 'postgres' && side === 'client';
  }

  read(chunk: Buffer): Frame[] {
    if (this.#protocol === 'opaque') return [{ bytes: chunk, label: '' }];
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Frame[] = [];
    for (;;) {
      const length = this.#nextLength();
      if (length === null || this.#rest.length < length) return frames;
      const bytes = this.#rest.subarray(0, length);
      this.#rest = this.#rest.subarray(length);
      frames.push(this.#frame(bytes));
      this.#startup = false;
    }
  }

  #nextLength(): number | null {
    const at = this.#protocol === 'postgres' && !this.#startup ? 1 : 0;
    if (this.#rest.length < at + 4) return null;
    // PostgreSQL's length counts itself, Kafka's does not.
    return this.#rest.readInt32BE(at) + (this.#protocol === 'kafka' ? 4 : at);
  }

  #frame(bytes: Buffer): Frame {
    if (this.#protocol === 'kafka') {
      const answer = this.#side === 'server';
      const api = answer ? null : bytes.readInt16BE(4);
      return {
        bytes,
        label: api === null ? '' : (KAFKA_APIS[api] ?? String(api)),
        correlation: bytes.readInt32BE(answer ? 4 : 8),
      };
    }
    if (this.#startup) return { bytes, label: '' };
    return { bytes, label: postgresLabel(bytes, this.#side) };
  }
}

function postgresLabel(bytes: Buffer, side: Side): string {
  const type = String.fromCharCode(bytes[0]!);
  if (type === 'Q' || (type === 'C' && side === 'server')) return `${type} ${textAt(bytes, 5).text}`;
  if (type !== 'B') return type;
  const portal = textAt(bytes, 5);
  const statement = textAt(bytes, portal.end);
  const formats = bytes.readInt16BE(statement.end);
  const parameters = statement.end + 2 + 2 * formats;
  const first = bytes.readInt16BE(parameters) > 0 ? bytes.readInt32BE(parameters + 2) : 0;
  const value = bytes.toString('utf8', parameters + 6, parameters + 6 + Math.min(QUOTED, Math.max(0, first)));
  return `B ${statement.text} ${value}`;
}

function textAt(bytes: Buffer, from: number): { text: string; end: number } {
  const end = bytes.indexOf(0, from);
  return { text: bytes.toString('utf8', from, Math.min(end, from + QUOTED)), end: end + 1 };
}
