/** Runs the seeds that it is given, on a thread of its own. */
import { parentPort } from 'node:worker_threads';
import type { Promised } from './judge.ts';
import { planOf } from './plan.ts';
import { simulate } from './simulate.ts';

export interface Chunk {
  readonly from: number;
  readonly count: number;
}

export interface Failure {
  readonly seed: number;
  readonly promised: Promised;
  readonly what: string;
}

export interface ChunkReport extends Chunk {
  readonly virtualMs: number;
  readonly events: number;
  readonly failures: readonly Failure[];
}

parentPort!.on('message', (chunk: Chunk) => {
  setImmediate(() => parentPort!.postMessage(runChunk(chunk)));
});

function runChunk({ from, count }: Chunk): ChunkReport {
  let virtualMs = 0;
  let events = 0;
  const failures: Failure[] = [];
  for (let seed = from; seed < from + count; seed++) {
    const outcome = simulate(planOf(seed));
    virtualMs += outcome.tookMs;
    events += outcome.events;
    for (const { promised, what } of outcome.findings) failures.push({ seed, promised, what });
  }
  return { from, count, virtualMs, events, failures };
}
