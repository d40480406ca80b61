import type { Pod, ReadMetrics } from '../scaling/lag.ts';

/** The partition layout and the progress of a republish run, as relays read them from the source. */
export interface Layout {
  readonly partitions: number;
  /** The number of partitions before a growth; null unless sellers are being moved. */
  readonly movedFrom: number | null;
  /** Progress of the current run; 0 of 0 when there is none. */
  readonly sellersDone: number;
  readonly sellers: number;
}

/**
 * The layout that relays report. All read the same row, so one answer is enough; an earlier version reports none.
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
  // A layout only grows: a relay that reports a smaller one has not read the new one yet.
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
