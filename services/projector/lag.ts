/** What is known of a partition. Instants are in ms since the epoch. */
export interface PartitionProgress {
  /** The offset after the last message that was applied. */
  readonly applied: number;
  /** The offset after the newest message that the partition holds, at the last look. */
  readonly end: number;
  /** When the oldest message that is delivered and not applied was written; null when there is none. */
  readonly oldestDelivered: number | null;
  /** When the last applied message was written; null when none was applied since the start. */
  readonly lastApplied: number | null;
  /** When there was nothing left to apply, the last time; null when that has not happened since the start. */
  readonly caughtUpAt: number | null;
}

/** Messages of a partition that are not applied. */
export const lagRecords = ({ applied, end }: PartitionProgress): number => Math.max(0, end - applied);

/**
 * Age of the oldest message that is not applied, in seconds; 0 when caught up. If that message has not been delivered,
 * its age is unknown. But it came after the last applied message, and after the partition was last caught up: the age
 * since then is reported, which is the most it can be.
 */
export function lagSeconds(progress: PartitionProgress, now: number, startedAt: number): number {
  if (lagRecords(progress) === 0) return 0;
  const since =
    progress.oldestDelivered ?? Math.max(progress.lastApplied ?? startedAt, progress.caughtUpAt ?? 0);
  return Math.max(0, now - since) / 1_000;
}
