import v8 from 'node:v8';

/**
 * Suits V8's heap to a service: nearly all that it allocates is garbage some milliseconds later, and its memory is as
 * small as a pod's. V8 reads these flags as it goes, so that they may be set in a running process; `NODE_OPTIONS` does not
 * take them. What each is worth stands in bench/HISTORY.md.
 */
export function tuneHeap(): void {
  // The heap may grow to three times of what is alive before V8 looks through all of it again, up to
  // `--max-old-space-size` as before. Under so small a limit V8 does so at about 1.35 times; a projector under a backlog
  // then looks through it every 50 ms, in a third of its time.
  v8.setFlagsFromString('--heap-growing-percent=200');
  // V8 takes to allocating the driver's arrays of rows among what lives long, where they keep every row they once held
  // alive until all of the heap is looked through: copying dead rows cost a page 7 % of its time, and batch-get a third.
  v8.setFlagsFromString('--no-allocation-site-pretenuring');
}
