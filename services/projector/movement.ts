/** A partition at one look. */
export interface PartitionLook {
  readonly partition: number;
  /** The offset after the last message that was applied. */
  readonly applied: number;
  /** Messages that could be read and are not applied. */
  readonly readable: number;
  /** Some of its messages wait here behind those of other partitions that are being applied: its turn comes. */
  readonly isQueued: boolean;
}

/** For how long a partition has stood still. */
export interface Movement {
  readonly applied: number;
  readonly readable: number;
  /** How long it could have moved and did not, in ms. */
  readonly stillMs: number;
}

/**
 * For how long partitions have stood still by now. Between two looks at most `mostMs` counts: a process that was itself
 * asleep has not watched anything.
 * @param before the result of the last look; empty to begin anew
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
