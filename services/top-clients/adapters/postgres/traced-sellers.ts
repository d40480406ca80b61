import { SPAN } from '#contracts/traces.ts';
import type { Tracing } from '#platform/span.ts';
import { isSampled } from '#platform/traceparent.ts';
import type { Sellers } from '../../app/ports.ts';

/**
 * The store, with a span around each transaction of a recorded trace. The transaction stores the context of that span
 * with the event, so that readers of the event continue the trace.
 */
export function tracedSellers(sellers: Sellers, tracing: Tracing): Sellers {
  if (!tracing.isOn) return sellers;
  return {
    ...sellers,
    async write(request, rule) {
      if (!isSampled(request.traceparent)) return sellers.write(request, rule);
      const span = tracing.begin(request.traceparent, 'client', 'transaction seller', {
        [SPAN.database]: 'postgresql',
        [SPAN.databaseOperation]: 'transaction',
        [SPAN.seller]: request.sellerId,
      });
      try {
        const result = await sellers.write({ ...request, traceparent: span.traceparent! }, rule);
        const outcome = result.kind;
        const decided = 'decided' in result ? result.decided : 'kept' in result ? result.kept : null;
        const attributes = {
          [SPAN.outcome]: outcome,
          ...(decided?.kind === 'done' ? { [SPAN.version]: decided.version } : {}),
        };
        span.end({ attributes });
        return result;
      } catch (err) {
        span.end({ error: (err as Error).name });
        throw err;
      }
    },
  };
}
