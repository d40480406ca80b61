import { createRequire } from 'node:module';

const MODULE = 'kafkajs/src/network/requestQueue/index.js';

interface RequestQueue {
  readonly pending: readonly unknown[];
  scheduleCheckPendingRequests(): void;
}

/*
 * To be imported beside kafkajs: lets its connections rest. Each one's queue looks every millisecond, for as long as it
 * is open, whether a request waits in it that may go out now, and asks for the next look with a delay below zero, of
 * which Node warns (tulios/kafkajs#1704, #1751). From here on it looks while one waits. `docs/adr/kafka-codecs.md` has
 * the numbers.
 */
const { prototype } = createRequire(import.meta.url)(MODULE) as { prototype: RequestQueue };
const schedule = prototype.scheduleCheckPendingRequests;
prototype.scheduleCheckPendingRequests = function scheduleWhileOneWaits(this: RequestQueue) {
  if (this.pending.length > 0) schedule.call(this);
};
