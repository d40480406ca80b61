import { expectShape, type Library } from './kafkajs.ts';

const MODULE = 'kafkajs/src/network/requestQueue/index.js';

interface RequestQueue {
  readonly pending: readonly unknown[];
  scheduleCheckPendingRequests(): void;
}

const resting = new WeakSet<object>();

/**
 * Lets idle connections of kafkajs rest. The queue of each open connection checks every millisecond whether a waiting
 * request may go out now. It sets the next check with a negative delay, of which Node warns (tulios/kafkajs#1704,
 * #1751). With this change it checks only while a request waits. `docs/adr/kafka-codecs.md` has the numbers.
 * @throws UnexpectedShape
 */
export function restRequestQueues(library: Library): void {
  const queue = library.module(MODULE) as { prototype?: RequestQueue };
  const prototype = queue.prototype;
  expectShape(prototype !== undefined, `${MODULE} is no class`);
  if (resting.has(prototype)) return;
  const schedule = prototype.scheduleCheckPendingRequests;
  expectShape(typeof schedule === 'function', `${MODULE} does not schedule its next look`);
  expectShape(String(queue).includes('this.pending'), `${MODULE} does not keep what waits in "pending"`);
  prototype.scheduleCheckPendingRequests = function scheduleWhileOneWaits(this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this);
  };
  resting.add(prototype);
}
