import { BATCH_HEAD, readHead } from './batch-decoder.ts';
import { ByteReader } from './byte-reader.ts';
import { LARGEST_BATCH_BYTES } from './compression.ts';
import { decodeFetchedBatch } from './install.ts';
import type { FetchedRecord } from './record-decoder.ts';

/** What one partition answered to a fetch from `from`. */
export interface FetchedPartition {
  readonly partition: number;
  /** Kafka's number of an error; 0 for none. The rest says nothing then. */
  readonly errorCode: number;
  readonly highWatermark: number;
  /** What readers of committed records may read ends before it. */
  readonly lastStableOffset: number;
  readonly records: readonly FetchedRecord[];
  /**
   * The offset after the last whole batch, whatever it held: also after an empty frame that compaction left, a control
   * record or an aborted transaction. If there was no whole batch, or no room to unpack it, the offset asked for.
   */
  readonly next: number;
  /** Why what follows `next` cannot be decoded. */
  readonly undecodable?: Error;
}

interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
}

/** What an answer (versions 4 to 11) says of the request as a whole; `sessionId` is 0 where the broker keeps none. */
export function readFetchHead(
  payload: Buffer,
  version: number,
): { readonly throttleMs: number; readonly errorCode: number; readonly sessionId: number } {
  // Before version 8 the broker has waited by itself.
  const throttleMs = version >= 8 ? payload.readInt32BE(0) : 0;
  if (version < 7) return { throttleMs, errorCode: 0, sessionId: 0 };
  return { throttleMs, errorCode: payload.readInt16BE(4), sessionId: payload.readInt32BE(6) };
}

/**
 * Decodes the answer to a fetch (versions 4 to 11). kafkajs' own decoder drops the frames of batches. When a batch has
 * no record left to show, the offset of the next fetch is lost with its frame. The decoder also throws everything away
 * when one partition has an error.
 * @param from the offset that was asked for, of each partition
 */
export async function decodeFetchResponse(
  payload: Buffer,
  version: number,
  from: ReadonlyMap<number, number>,
): Promise<FetchedPartition[]> {
  const answer = new ByteReader(payload);
  answer.skip(4); // throttle_time_ms
  if (version >= 7) answer.skip(2 + 4); // error_code, session_id: `readFetchHead`
  const partitions: FetchedPartition[] = [];
  // For all compressed batches together: some MiB may hold hundreds, each of which may unpack to its bound.
  const room = { bytes: LARGEST_BATCH_BYTES };
  for (let topics = answer.int32(); topics > 0; topics--) {
    const length = answer.int16();
    const topic = answer.bytes(length).toString();
    for (let left = answer.int32(); left > 0; left--) {
      const partition = answer.int32();
      const errorCode = answer.int16();
      const highWatermark = Number(answer.int64());
      const lastStableOffset = Number(answer.int64());
      if (version >= 5) answer.skip(8); // log_start_offset
      const aborted: AbortedTransaction[] = [];
      for (let count = answer.int32(); count > 0; count--) {
        aborted.push({ producerId: answer.int64(), firstOffset: answer.int64() });
      }
      if (version >= 11) answer.skip(4); // preferred_read_replica
      const batches = answer.bytes(answer.int32());
      const asked = from.get(partition);
      if (asked === undefined) continue;
      const read =
        errorCode === 0
          ? await readBatches(batches, { topic, partition }, asked, aborted, room)
          : { records: [], next: asked };
      partitions.push({ partition, errorCode, highWatermark, lastStableOffset, ...read });
    }
  }
  return partitions;
}

async function readBatches(
  bytes: Buffer,
  where: { readonly topic: string; readonly partition: number },
  asked: number,
  abortedTransactions: readonly AbortedTransaction[],
  room: { bytes: number },
): Promise<Pick<FetchedPartition, 'records' | 'next' | 'undecodable'>> {
  const aborted = abortedTransactions.toSorted((a, b) => Number(a.firstOffset - b.firstOffset));
  const aborting = new Set<bigint>();
  const records: FetchedRecord[] = [];
  let next = asked;
  try {
    // The last one may be cut off where the answer was full.
    for (let at = 0; at + BATCH_HEAD <= bytes.length; ) {
      const head = readHead(bytes, at);
      const end = at + head.size;
      if (end > bytes.length) break;
      if (head.format !== 2) {
        throw new Error(`the topic holds messages of format ${head.format}; only format 2 is read`);
      }
      // Left for a later fetch, like a batch that was cut off.
      if (head.compression !== 0 && room.bytes <= 0) break;
      const decode = async () => {
        const { records: decoded, unpacked } = await decodeFetchedBatch(bytes.subarray(at, end), head, where);
        room.bytes -= unpacked;
        return decoded;
      };
      // Decoding fails on this size. A batch whose records are skipped would otherwise lead the loop nowhere, or back.
      if (head.size < BATCH_HEAD) await decode();
      while (aborted.length > 0 && aborted[0]!.firstOffset <= head.lastOffset)
        aborting.add(aborted.shift()!.producerId);
      if (head.isControl) {
        if (head.count > 0 && isAbort((await decode())[0])) aborting.delete(head.producerId);
      } else if (!head.isTransactional || !aborting.has(head.producerId)) {
        // A batch may begin before the offset that was asked for.
        const beginsBefore = head.firstOffset < asked;
        for (const record of await decode()) {
          if (!beginsBefore || Number(record.offset) >= asked) records.push(record);
        }
      }
      next = Math.max(next, Number(head.lastOffset) + 1);
      at = end;
    }
    return { records, next };
  } catch (err) {
    return { records, next, undecodable: err as Error };
  }
}

/** The key of a control record: its version and its type, 0 for an abort. */
const isAbort = (record: FetchedRecord | undefined): boolean => record?.key?.readInt16BE(2) === 0;
