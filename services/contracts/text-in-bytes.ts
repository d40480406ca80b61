/** A text in UTF-8 as it stands among other bytes; its string is made when somebody asks for it. */
export class TextInBytes {
  readonly bytes: Buffer;
  readonly start: number;
  /** Behind the last byte. */
  readonly end: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  toString(): string {
    return this.bytes.toString('utf8', this.start, this.end);
  }
}
