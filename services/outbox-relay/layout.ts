import { SELLER_EVENTS } from '#contracts/topics.ts';
import { Backoff } from '#platform/backoff.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { Queryable } from '#platform/postgres.ts';
import { readLayout, storeFirstLayout } from '../top-clients/adapters/postgres/partition-layout.ts';

/**
 * Makes sure that the source's database holds the number of partitions that keys are divided by. The very first leader
 * stores the number that the topic has then. Only that one waits for Kafka, as long as it takes.
 * @param countPartitions of the topic; null when it does not exist
 * @returns false when `ended` aborted first
 * @throws what the database throws
 */
export async function ensureLayout(
  db: Queryable,
  countPartitions: () => Promise<number | null>,
  ended: AbortSignal,
  log: Log,
): Promise<boolean> {
  const backoff = new Backoff({ firstMs: 50, longestMs: 2_000, random: null });
  while (!ended.aborted) {
    if (await readLayout(db)) return true;
    const partitions = await countPartitions().catch((err: unknown) => {
      log.error({ err }, 'cannot ask Kafka how many partitions the topic has; nothing is relayed before');
      return null;
    });
    if (partitions !== null) {
      await storeFirstLayout(db, partitions);
      log.info({ partitions }, 'stored by how many partitions messages are divided');
      continue;
    }
    log.warn({ topic: SELLER_EVENTS.topic }, 'the topic is not there yet');
    await pause(backoff.next(), ended);
  }
  return false;
}
