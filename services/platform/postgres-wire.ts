import type { TextInBytes } from '#contracts/text-in-bytes.ts';

/** Bytes of PostgreSQL's protocol as they are written one after the other. */
export class WireBytes {
  protected bytes: Buffer;
  protected at: number;

  /**
   * @param expectedBytes more of them cost a copy
   * @param from where writing begins
   */
  constructor(expectedBytes: number, from = 0) {
    this.bytes = Buffer.allocUnsafe(from + expectedBytes);
    this.at = from;
  }

  /** A text behind its length in bytes, as values are sent: those of parameters in text form, and those of COPY. */
  text(value: string | TextInBytes): void {
    const start = this.#leaveLength();
    this.append(value);
    this.#writeLength(start);
  }

  /** Several texts as one value, with a character in ASCII between them. */
  joined(values: readonly (string | TextInBytes)[], separator: string): void {
    const start = this.#leaveLength();
    for (let i = 0; i < values.length; i++) {
      if (i > 0) this.append(separator);
      this.append(values[i]!);
    }
    this.#writeLength(start);
  }

  /** @returns where the value begins, whose length is known later */
  #leaveLength(): number {
    this.room(4);
    this.at += 4;
    return this.at;
  }

  #writeLength(start: number): void {
    this.bytes.writeInt32BE(this.at - start, start - 4);
  }

  protected append(value: string | TextInBytes): void {
    if (typeof value !== 'string') {
      this.room(value.end - value.start);
      this.at += value.bytes.copy(this.bytes, this.at, value.start, value.end);
      return;
    }
    // No character takes more than three bytes for each of its units.
    this.room(value.length * 3);
    this.at += this.bytes.write(value, this.at);
  }

  protected room(bytes: number): void {
    if (this.at + bytes <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(2 * this.bytes.length, this.at + bytes));
    this.bytes.copy(larger, 0, 0, this.at);
    this.bytes = larger;
  }
}
