import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Chunk, ChunkReport, Failure } from './worker.ts';

export interface Hunt {
  readonly from: number;
  readonly seeds: number;
  /** The workers' code; a mutation has a copy of its own. */
  readonly worker: URL;
  /** The hunt ends once a seed has failed with such a failure and all seeds before it have been run. */
  readonly endsAt?: (failure: Failure) => boolean;
  readonly onChunk?: (report: ChunkReport) => void;
}

export interface HuntReport {
  readonly seeds: number;
  readonly virtualMs: number;
  readonly events: number;
  /** In the order of seeds. */
  readonly failures: readonly Failure[];
  readonly tookMs: number;
}

const SEEDS_AT_A_TIME = 25;
/**
 * After this many chunks the thread ends, to free its memory. A run ends in the middle of things, and Node keeps every
 * combined signal (`AbortSignal.any`) that has a listener, until it aborts. That is a gigabyte after some 5,000 seeds.
 */
const CHUNKS_A_THREAD = 40;

/** Runs seeds on every core. @throws when a worker fails */
export async function hunt({ from, seeds, worker, endsAt, onChunk }: Hunt): Promise<HuntReport> {
  const startedAt = performance.now();
  const reports: ChunkReport[] = [];
  let next = from;
  let last = from + seeds;
  const chunk = (): Chunk | null => {
    if (next >= last) return null;
    const one = { from: next, count: Math.min(SEEDS_AT_A_TIME, last - next) };
    next += one.count;
    return one;
  };
  const take = (report: ChunkReport) => {
    reports.push(report);
    const found = endsAt && report.failures.find(endsAt);
    if (found) last = Math.min(last, found.seed + 1);
    onChunk?.(report);
  };
  await Promise.all(
    Array.from(
      { length: Math.max(1, Math.min(availableParallelism(), Math.ceil(seeds / SEEDS_AT_A_TIME))) },
      () => runOn(worker, chunk, take),
    ),
  );
  const inOrder = reports.toSorted((a, b) => a.from - b.from);
  const sum = (of: (report: ChunkReport) => number) => inOrder.reduce((all, one) => all + of(one), 0);
  return {
    seeds: sum(({ count }) => count),
    virtualMs: sum(({ virtualMs }) => virtualMs),
    events: sum(({ events }) => events),
    failures: inOrder.flatMap(({ failures }) => failures),
    tookMs: performance.now() - startedAt,
  };
}

/** Runs on one thread after another, until nothing is left to run. */
async function runOn(
  code: URL,
  next: () => Chunk | null,
  take: (report: ChunkReport) => void,
): Promise<void> {
  for (let isDone = false; !isDone; ) isDone = await runOnOne(new Worker(code), next, take);
}

/** @returns whether nothing is left to run */
function runOnOne(
  worker: Worker,
  next: () => Chunk | null,
  take: (report: ChunkReport) => void,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let left = CHUNKS_A_THREAD;
    const end = (isDone: boolean) => void worker.terminate().then(() => resolve(isDone), reject);
    const go = () => {
      if (left-- === 0) return end(false);
      const chunk = next();
      if (chunk) worker.postMessage(chunk);
      else end(true);
    };
    worker.on('message', (report: ChunkReport) => {
      take(report);
      go();
    });
    worker.on('error', reject);
    go();
  });
}
