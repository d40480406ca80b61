import type { Pod, ReadMetrics } from '../scaling/lag.ts';

/** By how many partitions messages are divided, and how far a run has come, as relays read it from the source. */
export interface Layout {
  readonly partitions: number;
  /** The number before, while sellers move. */
  readonly movedFrom: number | null;
  /** Of the run under way; 0 of 0 when there is none. */
  readonly sellersDone: number;
  readonly sellers: number;
}

/**
 * What the relays tell. All read the same row, so one answer is enough; one of an earlier version tells nothing.
 * @returns null when none tells
 */
export async function readLayout(
  pods: readonly Pod[],
  read: ReadMetrics,
  deadlineMs = 2_000,
): Promise<Layout | null> {
  const signal = AbortSignal.timeout(deadlineMs);
  const answers = await Promise.allSettled(pods.map((pod) => read(pod, signal)));
  const layouts = answers.flatMap((answer) => (answer.status === 'fulfilled' ? layoutIn(answer.value) : []));
  // A layout only grows; who says less has not looked again yet.
  return layouts.sort((a, b) => b.partitions - a.partitions)[0] ?? null;
}

function layoutIn(text: string): Layout[] {
  const gauge = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
  const partitions = gauge('topclients_partition_layout_partitions');
  if (!(partitions > 0)) return [];
  return [
    {
      partitions,
      movedFrom: gauge('topclients_partition_layout_moved_from') || null,
      sellersDone: gauge('topclients_republish_done_sellers'),
      sellers: gauge('topclients_republish_sellers'),
    },
  ];
}
