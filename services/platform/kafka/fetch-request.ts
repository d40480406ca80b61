/** Versions of the fetch request that are encoded here; the newest is the last that kafkajs speaks. */
export const FETCH = { apiKey: 1, apiName: 'Fetch', oldest: 4, newest: 11 } as const;
/** The first version with sessions (Kafka 1.1). */
export const FIRST_WITH_SESSIONS = 7;

export interface FetchRequest {
  readonly topic: string;
  readonly maxWaitMs: number;
  /** Of the whole answer. */
  readonly maxBytes: number;
  /** Of one partition. */
  readonly partitionBytes: number;
  /** 0 for uncommitted, 1 for committed records. */
  readonly isolationLevel: number;
  readonly session: { readonly id: number; readonly epoch: number };
  /** The offset of each partition to read. */
  readonly offsets: ReadonlyMap<number, number>;
  /** Partitions that the session shall not read any more. */
  readonly forgotten: readonly number[];
}

/** @param headBytes how many bytes to leave free before the body */
export function encodeFetchRequest(request: FetchRequest, version: number, headBytes: number): Buffer {
  const { topic, offsets, forgotten, session } = request;
  const topicBytes = 2 + Buffer.byteLength(topic);
  const partitionBytes = 4 + (version >= 9 ? 4 : 0) + 8 + (version >= 5 ? 8 : 0) + 4;
  const hasSessions = version >= FIRST_WITH_SESSIONS;
  const size =
    headBytes +
    (4 + 4 + 4 + 4 + 1) +
    4 +
    (offsets.size > 0 ? topicBytes + 4 + offsets.size * partitionBytes : 0) +
    (hasSessions ? 4 + 4 + 4 + (forgotten.length > 0 ? topicBytes + 4 + forgotten.length * 4 : 0) : 0) +
    (version >= 11 ? 2 : 0);
  const to = Buffer.allocUnsafe(size);
  const writeTopic = (start: number): number => {
    const next = to.writeInt16BE(topicBytes - 2, start);
    return next + to.write(topic, next);
  };
  let at = to.writeInt32BE(-1, headBytes); // not a replica
  at = to.writeInt32BE(request.maxWaitMs, at);
  at = to.writeInt32BE(1, at); // answers from the first byte on
  at = to.writeInt32BE(request.maxBytes, at);
  at = to.writeInt8(request.isolationLevel, at);
  if (hasSessions) {
    at = to.writeInt32BE(session.id, at);
    at = to.writeInt32BE(session.epoch, at);
  }
  at = to.writeInt32BE(offsets.size > 0 ? 1 : 0, at);
  if (offsets.size > 0) {
    at = writeTopic(at);
    at = to.writeInt32BE(offsets.size, at);
    for (const [partition, offset] of offsets) {
      at = to.writeInt32BE(partition, at);
      if (version >= 9) at = to.writeInt32BE(-1, at); // whichever leader
      at = writeInt64(to, offset, at);
      if (version >= 5) at = writeInt64(to, -1, at); // where a replica's log begins
      at = to.writeInt32BE(request.partitionBytes, at);
    }
  }
  if (hasSessions) {
    at = to.writeInt32BE(forgotten.length > 0 ? 1 : 0, at);
    if (forgotten.length > 0) {
      at = writeTopic(at);
      at = to.writeInt32BE(forgotten.length, at);
      for (const partition of forgotten) at = to.writeInt32BE(partition, at);
    }
  }
  if (version >= 11) at = to.writeInt16BE(0, at); // no rack
  return to;
}

/** Of up to 53 bits. */
function writeInt64(to: Buffer, value: number, at: number): number {
  const high = Math.floor(value / 2 ** 32);
  return to.writeUInt32BE(value - high * 2 ** 32, to.writeInt32BE(high, at));
}
