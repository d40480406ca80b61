import type { Ownership } from './view-store.ts';

export interface PartitionShare {
  /** Free partitions to take now. */
  readonly take: readonly number[];
  /** Partitions to give up, because others have fewer than their share. */
  readonly release: readonly number[];
  /** How many partitions this session is to have and does not have: those to take, and those that others give up. */
  readonly lacks: number;
  /** Every partition has an owner, and everybody a fair share. */
  readonly isBalanced: boolean;
}

/**
 * This session's fair share of the partitions. All members get the same number. The rest goes to the members that own
 * most already, so that nothing moves without need. Each member decides alone, by what all of them see; if two try for
 * the same partition at the same moment, one gets it.
 * @param partitions all of the topic
 * @param releasing partitions that this session is about to give up
 */
export function partitionShare(
  { me, members, owners }: Ownership,
  partitions: readonly number[],
  releasing: ReadonlySet<number>,
): PartitionShare {
  const counts = new Map(members.map((member) => [member, 0]));
  for (const partition of partitions) {
    const owner = owners.get(partition);
    if (owner === undefined || !counts.has(owner)) continue;
    if (owner === me && releasing.has(partition)) continue;
    counts.set(owner, counts.get(owner)! + 1);
  }
  const order = [...counts].sort(([a, owned], [b, others]) => others - owned || a - b);
  const rest = partitions.length % order.length;
  const shares = new Map(
    order.map(([member], rank) => [
      member,
      Math.floor(partitions.length / order.length) + (rank < rest ? 1 : 0),
    ]),
  );
  const share = shares.get(me);
  // Not a member yet.
  if (share === undefined) return { take: [], release: [], lacks: 0, isBalanced: false };
  const free = partitions.filter((partition) => !owners.has(partition));
  const mine = partitions.filter((partition) => owners.get(partition) === me && !releasing.has(partition));
  const lacks = Math.max(0, share - mine.length);
  // Each member begins at another place, so that members that take at the same time take different partitions.
  const from = free.length > 0 ? (order.findIndex(([member]) => member === me) * share) % free.length : 0;
  return {
    take: [...free.slice(from), ...free.slice(0, from)].slice(0, lacks),
    release: mine.slice(share),
    lacks,
    isBalanced: free.length === 0 && order.every(([member, owned]) => owned === shares.get(member)),
  };
}
