/** What a projector needs of a message bus: partitioned, ordered within a partition, re-readable from any offset. */
export interface Bus {
  /** Joins, however long that takes, and begins to deliver; `assigned` tells when. Resolves early when stopped. */
  start(consumer: BusConsumer): Promise<void>;
  /** Goes on from there with the next delivery of the partition. */
  seek(partition: number, offset: number): void;
  /** Tells others how far the group is. Not what a restart begins from. */
  commit(positions: ReadonlyMap<number, number>): Promise<void>;
  /** First and next offset of every partition of the topic. */
  ends(): Promise<ReadonlyMap<number, PartitionEnds>>;
  /** Leaves the group and disconnects. */
  stop(): Promise<void>;
}

export interface BusConsumer {
  /**
   * The group gave this member its partitions; what it had before is no longer its own. Nothing is delivered until
   * this resolves.
   * @returns where to begin in each of them
   */
  assigned(partitions: readonly number[]): Promise<ReadonlyMap<number, number>>;
  /**
   * Messages of one partition, in order. Several partitions are delivered at the same time; the next delivery of
   * any waits for all of them, so a consumer that has no room slows the bus down by not resolving.
   * @param stayAlive to be called now and then by a delivery that takes long, or the group takes the member for
   * dead. Throws when the group is about to divide the partitions anew; the delivery then ends with that.
   */
  deliver(batch: Batch, stayAlive: () => Promise<void>): Promise<void>;
  /** The bus is broken for good; the process has to start anew. */
  crashed(err: Error): void;
}

export interface Batch {
  readonly partition: number;
  /** The offset that was asked for: the first message may be later where others were compacted away. */
  readonly from: number;
  /** The offset after the last message, or after what was compacted away behind it. */
  readonly next: number;
  /** The offset after the newest message that the partition holds. */
  readonly end: number;
  readonly messages: readonly Message[];
}

/** A message as it came. Nothing is decoded that need not be: most of a backlog is superseded unread. */
export interface Message {
  readonly offset: string;
  /** Milliseconds since the epoch. */
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, Buffer | string | readonly (Buffer | string)[] | undefined>>;
  /** Bytes of the value, without making it; where the decoder knows. */
  readonly valueLength?: number;
  /** One header as text, for less than the object of all costs; where the decoder knows how. */
  header?(name: string): string | null;
}

export interface PartitionEnds {
  readonly first: number;
  readonly next: number;
}
