/**
 * What a projector needs of a message bus: partitioned, ordered within a partition, readable from any offset. The reader
 * says what it wants before every request, and the bus keeps no position of its own: there is nothing to seek, pause or
 * resume, and so nothing that can be left paused.
 */
export interface Bus {
  /**
   * Reads for the reader until the signal aborts, and deals with what passes: a bus that is away, a leader that moved.
   * Rejects only when reading can never work.
   */
  read(reader: BusReader, signal: AbortSignal): Promise<void>;
  /** Tells others how far the view is. Not what a restart begins from. */
  commit(positions: ReadonlyMap<number, number>): Promise<void>;
  /** Of every partition of the topic, null where that is not known now. A partition that was added appears here. */
  ends(): Promise<ReadonlyMap<number, PartitionEnds | null>>;
  /** What tells the topic from another one of its name, made anew or on another cluster; null where nothing does. */
  topicId(): Promise<string | null>;
  close(): Promise<void>;
}

/** Everything here returns at once; the bus never waits for its reader but by `changed`. */
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
  /** What stands at the offset asked for cannot be decoded. It is asked for again and again; a delivery ends that. */
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

/** A message as it came. Nothing is decoded that need not be: most of a backlog is superseded unread. */
export interface BusMessage {
  readonly offset: string;
  /** Milliseconds since the epoch. */
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<
    Record<string, Buffer | string | readonly (Buffer | string)[] | null | undefined>
  >;
  /** Bytes of the value, without making it; where the decoder knows. */
  readonly valueLength?: number;
  /** One header as text, for less than the object of all costs; where the decoder knows how. */
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
