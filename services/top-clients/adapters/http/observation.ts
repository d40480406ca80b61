import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { LABELS } from '#contracts/metrics.ts';
import { SPAN } from '#contracts/traces.ts';
import type { Log } from '#platform/log.ts';
import type { Span, Tracing } from '#platform/span.ts';
import type { Metrics } from '#role/metrics.ts';

/** What is known of a request until it is answered. */
export interface Observed {
  readonly requestId: string;
  readonly span: Span;
  /** The template of the address, never the address itself: it would name the seller. */
  route: string;
  /** The failure on our side, for the log line. */
  failure?: unknown;
}

const NOWHERE = 'none';
/** Methods with series of their own. The parser knows three dozen, and anybody may send any of them. */
const METHODS: ReadonlySet<string> = new Set(LABELS.method.values);
const observations = new WeakMap<ServerResponse, Observed>();

/** What is known of the request of this answer. Only for answers that `observer` has seen. */
export const observedOf = (res: ServerResponse): Observed => observations.get(res)!;

/** Gives each request an id. Gives each answer its metrics, its span and one log line without personal data. */
export function observer(
  log: Log,
  metrics: Metrics,
  tracing: Tracing,
): (req: IncomingMessage, res: ServerResponse) => void {
  const requests = metrics.counter('topclients_http_requests_total');
  const durations = metrics.histogram('topclients_http_request_duration_seconds');
  return (req, res) => {
    const began = performance.now();
    const span = tracing.serve(req.headers['traceparent'] as string | undefined, req.method ?? '');
    const observed: Observed = { requestId: requestIdOf(req), span, route: NOWHERE };
    observations.set(res, observed);
    res.setHeader('X-Request-Id', observed.requestId);
    res.once('close', () => {
      const { route, requestId, failure } = observed;
      const method = req.method ?? '';
      const ms = performance.now() - began;
      // A caller that left before the answer is counted as 499, the status that nginx made customary.
      const status = res.writableFinished ? res.statusCode : 499;
      const counted = METHODS.has(method) ? method : 'other';
      requests.inc({ route, method: counted, status });
      durations.observe({ route, method: counted }, ms / 1_000);
      if (span.isRecorded) endSpan(span, req, observed, status);
      const line = { requestId, method, route, status, ms: Math.round(ms * 10) / 10 };
      if (failure === undefined) log.info(line, 'answered');
      else if (status === 500) log.error({ ...line, err: failure }, 'failed');
      else log.warn({ ...line, err: failure }, 'could not serve');
    });
  };
}

function endSpan(span: Span, req: IncomingMessage, { route }: Observed, status: number): void {
  const { method = '', url = '' } = req;
  span.end({
    ...(route === NOWHERE ? {} : { name: `${method} ${route}` }),
    attributes: {
      [SPAN.method]: method,
      [SPAN.scheme]: 'http',
      [SPAN.path]: url.split('?', 1)[0]!,
      [SPAN.status]: status,
      ...(route === NOWHERE ? {} : { [SPAN.route]: route }),
    },
    error: status >= 500 ? String(status) : undefined,
  });
}

/** The caller's id when it is short and safe to log, otherwise a new one. */
function requestIdOf(req: IncomingMessage): string {
  const given = req.headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}
