import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { pause } from './lifecycle.ts';

/** How often it is looked whether the process is idle, in ms, and how busy an idle event loop is at most. */
const LOOK_EVERY_MS = 2_000;
const IDLE = 0.05;
/** How long a process has worked since its start when its code is hot, in ms. */
const HOT_AFTER_MS = 1_000;

/**
 * Has V8 go through its heap once, as soon as the process is idle after its start. Loading the code makes the young
 * generation grow to its limit, 10 MB and more. V8 gives back what is not needed only after such a collection, and an
 * idle process would not have one for hours. One that has worked has had them, and is left alone: after such a collection of
 * hot code a page took a seventh more CPU for each visit, for as long as it was looked at (bench/HISTORY.md, "A heap gone
 * through while its code is hot").
 *
 * @param collect by which V8 goes through it
 */
export async function collectOnceIdle(
  signal: AbortSignal,
  collect: () => void = collectFully,
): Promise<void> {
  const started = performance.eventLoopUtilization();
  let before = started;
  for (;;) {
    await pause(LOOK_EVERY_MS, signal);
    if (signal.aborted) return;
    const now = performance.eventLoopUtilization();
    if (performance.eventLoopUtilization(now, started).active > HOT_AFTER_MS) return;
    if (performance.eventLoopUtilization(now, before).utilization < IDLE) return collect();
    before = now;
  }
}

/** V8 gives its collector to a context made under this flag, which goes at once: compiled code is kept without it. */
function collectFully(): void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  setFlagsFromString('--no-expose-gc');
  gc();
}
