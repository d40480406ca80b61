import { SELLER_EVENTS } from '#contracts/topics.ts';
import { SPAN } from '#contracts/traces.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { Tracing } from '#platform/span.ts';
import { isSampled } from '#platform/traceparent.ts';
import type { ApplierObserver } from './applier.ts';
import { header } from './latest-per-key.ts';
import type { TracedChange, ViewStore } from './view-store.ts';

/** Older changes come from a replay: whoever made them has long seen them. */
const LINKED_FOR_MS = 600_000;

/**
 * Makes a consumer span for each applied event whose trace is recorded, as a child of the context in its message's
 * header. Notes the change for the page that shows it next. Events that are superseded within a chunk are never read
 * and have no span. Nothing waits for a note; if one fails, only a link is missing.
 */
export function tracedApplier(
  observer: ApplierObserver,
  tracing: Tracing,
  store: Pick<ViewStore, 'noteTraces'>,
  page: { readonly page: string; readonly delivery: string },
  log: Log,
  clock: Clock = SYSTEM_CLOCK,
): ApplierObserver {
  if (!tracing.isOn) return observer;
  return {
    ...observer,
    applied(events, changed, tookMs) {
      observer.applied(events, changed, tookMs);
      const notes: TracedChange[] = [];
      const now = clock.now();
      for (const { event, partition, message } of events) {
        const traceparent = header(message, 'traceparent');
        if (traceparent === null || !isSampled(traceparent)) continue;
        const { sellerId, version } = event;
        tracing.record({
          kind: 'consumer',
          name: `process ${SELLER_EVENTS.topic}`,
          parent: traceparent,
          tookMs,
          attributes: {
            [SPAN.messaging]: 'kafka',
            [SPAN.operation]: 'process',
            [SPAN.destination]: SELLER_EVENTS.topic,
            [SPAN.partition]: String(partition),
            [SPAN.offset]: Number(message.offset),
            [SPAN.batchSize]: events.length,
            [SPAN.page]: page.page,
            [SPAN.delivery]: page.delivery,
            [SPAN.seller]: sellerId,
            [SPAN.version]: version,
          },
        });
        if (now - Date.parse(event.committedAt) < LINKED_FOR_MS) {
          notes.push({ sellerId, version, traceparent });
        }
      }
      if (notes.length === 0) return;
      store.noteTraces(notes, LINKED_FOR_MS).catch((err: unknown) => {
        log.debug({ err }, 'could not note traces for the page');
      });
    },
  };
}
