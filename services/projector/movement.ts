/** A partition at one look. */
export interface PartitionLook {
  readonly partition: number;
  /** The offset after the last message that was applied. */
  readonly applied: number;
  /** Messages that could be read and are not applied. */
  readonly readable: number;
  /** Some of them wait here behind others that are being applied: its turn comes. */
  readonly isQueued: boolean;
}

/** Since when a partition stands still. */
export interface Movement {
  readonly applied: number;
  readonly readable: number;
  /** How long it could have moved and did not, in ms. */
  readonly stillMs: number;
}

/**
 * How long partitions have been standing still by now. Only time that passed from look to look counts, and no more than
 * `mostMs` of it: a process that was itself asleep has not watched anything.
 * @param before what the last look came to; empty when what happened before is no longer judged
 */
export function watchMovement(
  before: ReadonlyMap<number, Movement>,
  looks: readonly PartitionLook[],
  passedMs: number,
  mostMs: number,
): Map<number, Movement> {
  const counts = Math.max(0, Math.min(passedMs, mostMs));
  return new Map(
    looks.map(({ partition, applied, readable, isQueued }) => {
      const last = before.get(partition);
      const standsStill = last !== undefined && last.applied === applied && readable > 0 && !isQueued;
      return [partition, { applied, readable, stillMs: standsStill ? last.stillMs + counts : 0 }];
    }),
  );
}
