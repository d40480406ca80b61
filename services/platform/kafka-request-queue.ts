import { createRequire } from 'node:module';

const MODULE = 'kafkajs/src/network/requestQueue/index.js';

interface RequestQueue {
  readonly pending: readonly unknown[];
  scheduleCheckPendingRequests(): void;
}

let isDone = false;

/**
 * Lets the connections of kafkajs rest. Each one's queue looks every millisecond, for as long as it is open, whether a
 * request waits in it that may go out now, and asks for the next look with a delay below zero, of which Node warns
 * (tulios/kafkajs#1704, #1751). From here on it looks while one waits. `docs/adr/kafka-codecs.md` has the numbers.
 */
export function restRequestQueues(): void {
  if (isDone) return;
  isDone = true;
  const { prototype } = createRequire(import.meta.url)(MODULE) as { prototype: RequestQueue };
  const schedule = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function scheduleWhileOneWaits(this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this);
  };
}
