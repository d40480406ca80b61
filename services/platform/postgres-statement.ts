import pg from 'pg';
import type { TextInBytes } from '#contracts/text-in-bytes.ts';
import { WireBytes } from './postgres-wire.ts';

/** A statement that the server prepares once a session, under this name. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** Texts that travel as one value, with a character in ASCII between them. */
export interface JoinedTexts {
  readonly texts: readonly (string | TextInBytes)[];
  readonly separator: string;
}
/** A parameter, as PostgreSQL writes its type. */
export type StatementValue = string | number | JoinedTexts;

/** A value of an array type; of elements that need no quotes, such as numbers and instants. */
export const plainArray = (elements: readonly (number | string)[]): string => `{${elements.join(',')}}`;

/** What a statement answers. */
export interface StatementAnswer {
  /** Each column as PostgreSQL writes it. */
  readonly rows: readonly (readonly (string | null)[])[];
  /** How many rows were written, or read. */
  readonly count: number;
}

/**
 * Runs a statement that is run hundreds of times a second. The driver's own way asks the server to describe the columns of
 * each answer, writes five messages by themselves, and copies the query three times: with a few rows an answer, most of what
 * the statement costs. Here nothing is described, and all messages are one write.
 * @param db a connection that leads to one session: a pooler that shares sessions knows no prepared statements
 * @throws what `pg` throws
 */
export const runStatement = (
  db: Pick<pg.ClientBase, 'query'>,
  statement: Statement,
  values: readonly StatementValue[],
): Promise<StatementAnswer> =>
  new Promise((resolve, reject) => {
    // Told by the driver, not by the query: a pool takes its connection back by the same call.
    const done: Done = (err, answer) => (err ? reject(err) : resolve(answer!));
    (db.query as (query: unknown, done: Done) => void).call(db, new StatementQuery(statement, values), done);
  });

type Done = (err: Error | null, answer?: StatementAnswer) => void;

/** What is used of the driver's connection. */
interface Connection {
  readonly stream: { readonly writable: boolean; write(bytes: Buffer): void };
  /** By name: what the server has prepared, and what it was asked to. */
  readonly parsedStatements: Record<string, string>;
  readonly submittedNamedStatements: Record<string, string>;
  parse(statement: Statement): void;
}

/** A query in the sense of the driver, whose methods it calls as the server answers. */
class StatementQuery {
  readonly name: string;
  readonly text: string;
  readonly values: readonly StatementValue[];
  /** Set by the driver. */
  callback: Done | undefined = undefined;
  readonly #request: Buffer;
  readonly #answered: (readonly (string | null)[])[] = [];
  #count = 0;

  constructor({ name, text }: Statement, values: readonly StatementValue[]) {
    this.name = name;
    this.text = text;
    this.values = values;
    this.#request = new Request(name, values).finish();
  }

  submit(connection: Connection): Error | null {
    const { stream, parsedStatements, submittedNamedStatements } = connection;
    const known = parsedStatements[this.name] ?? submittedNamedStatements[this.name];
    if (known === undefined) {
      connection.parse(this);
      submittedNamedStatements[this.name] = this.text;
    } else if (known !== this.text) return new Error(`another statement is prepared as ${this.name}`);
    if (stream.writable) stream.write(this.#request);
    return null;
  }

  handleDataRow({ fields }: { readonly fields: (string | null)[] }): void {
    this.#answered.push(fields);
  }

  /** @param tag such as `INSERT 0 3` */
  handleCommandComplete({ text: tag }: { readonly text: string }): void {
    this.#count = Number(tag.slice(tag.lastIndexOf(' ') + 1)) || 0;
  }

  handleReadyForQuery(): void {
    this.callback!(null, { rows: this.#answered, count: this.#count });
  }

  handleError(err: Error): void {
    this.callback!(err);
  }

  // Neither asked for nor sent by the statements that this is for.
  handleRowDescription(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleCopyInResponse(): void {}
  handleCopyData(): void {}

  // A connection with a pipeline takes only its own queries, whose constructor is what is left out here.
  static {
    Object.setPrototypeOf(StatementQuery.prototype, pg.Query.prototype);
  }
}

/** Values as text, columns as text; no limit of rows; the end of the statement. */
class Request extends WireBytes {
  constructor(name: string, values: readonly StatementValue[]) {
    super(expectedBytes(name, values));
    this.bytes[0] = BIND;
    this.at = 5;
    this.bytes[this.at++] = 0; // the portal has no name
    this.append(name);
    this.bytes[this.at++] = 0;
    this.at = this.bytes.writeInt16BE(0, this.at);
    this.at = this.bytes.writeInt16BE(values.length, this.at);
    for (const value of values) {
      if (typeof value === 'object') this.joined(value.texts, value.separator);
      else this.text(String(value));
    }
  }

  finish(): Buffer {
    this.room(2 + EXECUTE_AND_SYNC.length);
    this.at = this.bytes.writeInt16BE(0, this.at);
    this.bytes.writeInt32BE(this.at - 1, 1);
    this.at += EXECUTE_AND_SYNC.copy(this.bytes, this.at);
    return this.bytes.subarray(0, this.at);
  }
}

const BIND = 'B'.charCodeAt(0);
const EXECUTE_AND_SYNC = Buffer.from('E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04', 'latin1');

/** Enough for values in ASCII; more are found room for as they come. */
function expectedBytes(name: string, values: readonly StatementValue[]): number {
  let bytes = 64 + 3 * name.length;
  for (const value of values) {
    bytes += 4;
    if (typeof value === 'string') bytes += 3 * value.length;
    else if (typeof value === 'number') bytes += 66;
    else
      for (const one of value.texts)
        bytes += 1 + (typeof one === 'string' ? 3 * one.length : one.end - one.start);
  }
  return bytes;
}
