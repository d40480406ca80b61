import type { TextInBytes } from '#contracts/text-in-bytes.ts';

/**
 * What a projector needs of a message bus: partitioned, ordered within a partition, readable from any offset. The
 * reader says what it wants before every request, and the bus keeps no position of its own. So there is nothing to
 * seek, pause or resume, and nothing can be left paused.
 */
export interface Bus {
  /**
   * Reads for the reader until the signal aborts, and recovers from passing faults: a bus that is away, a leader that
   * moved. Rejects only when reading can never work.
   */
  read(reader: BusReader, signal: AbortSignal): Promise<void>;
  /** Tells others how far the view is. A restart does not begin from these positions. */
  commit(positions: ReadonlyMap<number, number>): Promise<void>;
  /** The ends of every partition of the topic, also of added ones; null where they are not known now. */
  ends(): Promise<ReadonlyMap<number, PartitionEnds | null>>;
  /** An id that differs when a topic of this name is made anew, or is on another cluster; null where there is none. */
  topicId(): Promise<string | null>;
  close(): Promise<void>;
}

/** Every method returns at once; the bus waits for its reader only in `changed`. */
export interface BusReader {
  /**
   * Asked before every request.
   * @returns the offset to go on from in each partition that is to be read now; empty when there is nothing to read (no
   * room, nothing owned), and then `changed` is waited for
   */
  positions(): ReadonlyMap<number, number>;
  /** Resolves when `positions` may answer more than before. */
  changed(): Promise<void>;
  /**
   * What one partition held from the offset that was asked for; possibly no messages, where there is nothing but what
   * compaction or an aborted transaction left. The reader may want something else by now, and ignores it then.
   */
  deliver(batch: Batch): void;
  /** The offset asked for is not on the topic (any more). */
  outOfRange(partition: number, asked: number): void;
  /** The data at the offset asked for cannot be decoded. The bus asks for it again until a delivery succeeds. */
  unreadable(partition: number, err: Error): void;
}

export interface Batch {
  readonly partition: number;
  /** The offset that was asked for: the first message may be later where others were compacted away. */
  readonly from: number;
  /** The offset after the last message, or after what was compacted away behind it. */
  readonly next: number;
  /** The offset after the newest message that the partition holds: the high watermark. */
  readonly end: number;
  readonly messages: readonly BusMessage[];
}

/** A message as it came. It is decoded only when needed: most of a backlog is superseded unread. */
export interface BusMessage {
  readonly offset: string;
  /** Milliseconds since the epoch. */
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<
    Record<string, Buffer | string | readonly (Buffer | string)[] | null | undefined>
  >;
  /** Length of the value in bytes, without decoding it; where the decoder knows it. */
  readonly valueLength?: number;
  /** The key, a character for each byte; where the decoder can do it. */
  readonly keyText?: string | null;
  /** Where the value stands among other bytes; where the decoder knows it. */
  readonly valueIn?: TextInBytes | null;
  /** One header as text, which costs less than the object of all headers; where the decoder can do it. */
  header?(name: string): string | null;
}

/** Offsets of a partition: `first` <= `next` <= `end`. */
export interface PartitionEnds {
  /** The oldest that can still be read. */
  readonly first: number;
  /** After the newest that can be read: the last stable offset. An open transaction holds it back. */
  readonly next: number;
  /** After the newest there is: the high watermark. */
  readonly end: number;
}
