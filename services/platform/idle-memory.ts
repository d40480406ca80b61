import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { pause } from './lifecycle.ts';

/** How often it is looked whether the process is idle, in ms: after its start, and from then on. */
const LOOK_AFTER_START_MS = 2_000;
const LOOK_AGAIN_MS = 60_000;
/** How busy the event loop of an idle process is at most. */
const IDLE = 0.05;
/** By how much the heap has to have grown since V8 last went through it, in bytes. */
const WORTH_BYTES = 6 * 2 ** 20;

/** What is looked at, and done; another one in specs. */
export interface Memory {
  /** The share of the time in which the event loop was busy, since it was asked last: 0 to 1. */
  busy(): number;
  /** What V8's heap takes of the machine's memory. */
  heapBytes(): number;
  collect(): void;
  pause(ms: number, signal: AbortSignal): Promise<void>;
}

/**
 * Has V8 go through its heap as soon as the process is idle after its start, and again when it is idle and the heap has
 * grown. Loading the code makes the young generation grow to its limit, 10 MB and more, and so does work. V8 gives back what
 * is not needed only after such a collection, and an idle process would not have one for hours. A busy one has them anyway.
 */
export async function collectWhileIdle(
  signal: AbortSignal,
  { busy, heapBytes, collect, pause }: Memory = memoryOfThisProcess(),
): Promise<void> {
  let least = 0;
  let lookMs = LOOK_AFTER_START_MS;
  busy();
  for (;;) {
    await pause(lookMs, signal);
    if (signal.aborted) return;
    if (busy() >= IDLE || heapBytes() < least + WORTH_BYTES) continue;
    collect();
    least = heapBytes();
    lookMs = LOOK_AGAIN_MS;
  }
}

function memoryOfThisProcess(): Memory {
  let before = performance.eventLoopUtilization();
  return {
    busy() {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, before);
      before = now;
      return utilization;
    },
    heapBytes: () => getHeapStatistics().total_heap_size,
    collect: collectFully,
    pause,
  };
}

/** V8 gives its collector to a context made under this flag, which goes at once: compiled code is kept without it. */
function collectFully(): void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  setFlagsFromString('--no-expose-gc');
  gc();
}
