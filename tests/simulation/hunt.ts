import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Chunk, ChunkReport, Failure } from './worker.ts';

export interface Hunt {
  readonly from: number;
  readonly seeds: number;
  /** Where the workers' code is; a mutation has a copy of its own. */
  readonly worker: URL;
  /** Ends once a seed has failed in this way and all before it have been run. */
  readonly endsAt?: (failure: Failure) => boolean;
  readonly onChunk?: (report: ChunkReport) => void;
}

export interface HuntReport {
  readonly seeds: number;
  readonly virtualMs: number;
  readonly events: number;
  /** By seed. */
  readonly failures: readonly Failure[];
  readonly tookMs: number;
}

const SEEDS_AT_A_TIME = 25;

/** Runs seeds on every core. @throws when a worker ends */
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
      () => runOn(new Worker(worker), chunk, take),
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

function runOn(worker: Worker, next: () => Chunk | null, take: (report: ChunkReport) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const go = () => {
      const chunk = next();
      if (chunk) worker.postMessage(chunk);
      else void worker.terminate().then(() => resolve());
    };
    worker.on('message', (report: ChunkReport) => {
      take(report);
      go();
    });
    worker.on('error', reject);
    go();
  });
}
