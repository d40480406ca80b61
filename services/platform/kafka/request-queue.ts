import { expectShape, type Library } from './kafkajs.ts';

const MODULE = 'kafkajs/src/network/requestQueue/index.js';

interface SocketRequest {
  readonly sentAt: number;
  readonly requestTimeout: number;
  timeoutRequest(): void;
}
interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly inflight: ReadonlyMap<number, SocketRequest>;
  readonly enforceRequestTimeout: boolean;
  /** Cleared when the queue is destroyed. */
  requestTimeoutIntervalId?: NodeJS.Timeout;
  scheduleCheckPendingRequests(): void;
  scheduleRequestTimeoutCheck(): void;
  sendSocketRequest(request: SocketRequest): void;
  isConnected(): boolean;
  destroy(): void;
}

const resting = new WeakSet<object>();

/**
 * Lets connections of kafkajs rest. The queue of each open connection checks every millisecond whether a waiting request
 * may go out now. It sets the next check with a negative delay, of which Node warns (tulios/kafkajs#1704, #1751). Ten times
 * a second it looks whether a request is overdue. With this change it checks only while a request waits, and looks when the
 * first of them would be overdue. `docs/adr/kafka-codecs.md` has the numbers.
 * @throws UnexpectedShape
 */
export function restRequestQueues(library: Library): void {
  const queue = library.module(MODULE) as { prototype?: RequestQueue };
  const prototype = queue.prototype;
  expectShape(prototype !== undefined, `${MODULE} is no class`);
  if (resting.has(prototype)) return;
  const { scheduleCheckPendingRequests: schedule, sendSocketRequest: send } = prototype;
  expectShape(typeof schedule === 'function', `${MODULE} does not schedule its next look`);
  expectShape(
    typeof send === 'function' && typeof prototype.scheduleRequestTimeoutCheck === 'function',
    `${MODULE} does not send requests, or look for those that are overdue`,
  );
  for (const member of ['pending', 'inflight', 'requestTimeoutIntervalId']) {
    expectShape(
      String(queue).includes(`this.${member}`),
      `${MODULE} does not keep what waits in "${member}"`,
    );
  }
  prototype.scheduleCheckPendingRequests = function scheduleWhileOneWaits(this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this);
  };
  prototype.scheduleRequestTimeoutCheck = function begin(this: RequestQueue) {
    this.destroy();
    looks.delete(this);
  };
  prototype.sendSocketRequest = function sendWithDeadline(this: RequestQueue, request: SocketRequest) {
    send.call(this, request);
    if (this.enforceRequestTimeout) lookAt(this, request.sentAt + request.requestTimeout);
  };
  resting.add(prototype);
}

/** When each queue looks for overdue requests next, in ms since 1970. */
const looks = new WeakMap<RequestQueue, number>();

function lookAt(queue: RequestQueue, deadline: number): void {
  if ((looks.get(queue) ?? Number.POSITIVE_INFINITY) <= deadline) return;
  clearTimeout(queue.requestTimeoutIntervalId);
  looks.set(queue, deadline);
  // A millisecond later: a request is overdue after its deadline.
  queue.requestTimeoutIntervalId = setTimeout(
    () => {
      looks.delete(queue);
      if (!queue.isConnected()) return;
      const now = Date.now();
      for (const request of [...queue.inflight.values()]) {
        const due = request.sentAt + request.requestTimeout;
        if (due < now) request.timeoutRequest();
        else lookAt(queue, due);
      }
    },
    deadline - Date.now() + 1,
  );
}
