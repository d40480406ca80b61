import { SELLER_EVENTS } from '#contracts/topics.ts';
import { SPAN } from '#contracts/traces.ts';
import type { Tracing } from '#platform/span.ts';
import { isSampled } from '#platform/traceparent.ts';
import type { ShardObserver } from './shard.ts';

/**
 * Makes a producer span for each message whose trace is recorded, once Kafka has acknowledged its batch. The span is a
 * child of the context that the row brought. The message carries that same context on: it may be sent again unchanged,
 * and its readers shall find one parent however often that happens.
 */
export function tracedRelay(observer: ShardObserver, tracing: Tracing): ShardObserver {
  if (!tracing.isOn) return observer;
  return {
    ...observer,
    sent(rows, tookMs) {
      observer.sent(rows, tookMs);
      for (const { traceparent, sellerId, version } of rows) {
        if (traceparent === null || !isSampled(traceparent)) continue;
        tracing.record({
          kind: 'producer',
          name: `send ${SELLER_EVENTS.topic}`,
          parent: traceparent,
          tookMs,
          attributes: {
            [SPAN.messaging]: 'kafka',
            [SPAN.operation]: 'send',
            [SPAN.destination]: SELLER_EVENTS.topic,
            [SPAN.batchSize]: rows.length,
            [SPAN.seller]: sellerId,
            [SPAN.version]: version,
          },
        });
      }
    },
  };
}
