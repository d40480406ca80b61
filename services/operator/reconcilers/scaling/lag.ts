import type { Lag } from '../view-switch/view-switch.ts';

/** A pod that is asked for its metrics. */
export interface Pod {
  readonly name: string;
  readonly ip: string;
}

const METRIC = 'topclients_projector_lag_records';

/** Resolves to what a pod exports, or rejects; the caller's signal is the deadline. */
export type ReadMetrics = (pod: Pod, signal: AbortSignal) => Promise<string>;

const addressOf = ({ ip }: Pod, port: number): string =>
  `http://${ip.includes(':') ? `[${ip}]` : ip}:${port}`;

/** Reads /metrics of a pod over HTTP. */
export const readOverHttp =
  (port: number): ReadMetrics =>
  async (pod, signal) => {
    const response = await fetch(`${addressOf(pod, port)}/metrics`, { signal });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    return response.text();
  };

const LONGEST_REASON = 500;

/** What the first of these pods that is not ready says of itself; null when none says anything in time. */
export async function whyNotReady(
  pods: readonly Pod[],
  port: number,
  deadlineMs = 1_000,
): Promise<string | null> {
  const signal = AbortSignal.timeout(deadlineMs);
  for (const pod of pods) {
    try {
      const response = await fetch(`${addressOf(pod, port)}/readyz`, { signal });
      const said = (await response.text()).trim().slice(0, LONGEST_REASON);
      if (!response.ok && said !== '') return said;
    } catch {
      // That it does not answer is what its probe says already.
    }
  }
  return null;
}

/**
 * How many records a view is behind, over all partitions. It is known only when every pod answered and every partition
 * was reported: a projector without assigned partitions reports none, which does not mean 0.
 * @param deadlineMs for all pods together
 */
export async function readLag(
  pods: readonly Pod[],
  partitions: number,
  read: ReadMetrics,
  deadlineMs = 2_000,
): Promise<Lag> {
  if (pods.length === 0) return { unknown: 'no projector runs yet' };
  const signal = AbortSignal.timeout(deadlineMs);
  const answers = await Promise.allSettled(pods.map((pod) => read(pod, signal)));
  const worst = new Map<number, number>();
  for (const [i, answer] of answers.entries()) {
    if (answer.status === 'rejected') {
      const because = signal.aborted ? `no answer within ${deadlineMs} ms` : (answer.reason as Error).message;
      return { unknown: `${pods[i]!.name} cannot be asked: ${because}` };
    }
    // While a partition changes hands two pods may report it; the larger lag is used.
    for (const [partition, records] of lagByPartition(answer.value)) {
      worst.set(partition, Math.max(records, worst.get(partition) ?? 0));
    }
  }
  const reported = Array.from({ length: partitions }, (_, partition) => worst.has(partition)).filter(
    Boolean,
  ).length;
  if (reported < partitions) {
    return {
      unknown: `its projectors report ${reported} of ${partitions} partitions; they are being assigned`,
    };
  }
  let sum = 0;
  for (const records of worst.values()) sum += records;
  return sum;
}

/** Reads the gauge out of the Prometheus text format. */
export function lagByPartition(text: string): Map<number, number> {
  const found = new Map<number, number>();
  for (const line of text.split('\n')) {
    if (!line.startsWith(`${METRIC}{`)) continue;
    const partition = /[{,]partition="(\d+)"/.exec(line)?.[1];
    const value = Number(
      line
        .slice(line.lastIndexOf('}') + 1)
        .trim()
        .split(' ')[0],
    );
    if (partition !== undefined && Number.isFinite(value)) found.set(Number(partition), value);
  }
  return found;
}
