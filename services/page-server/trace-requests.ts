import type { Request, RequestHandler, Response } from 'express';
import { SPAN, type SpanAttributes } from '#contracts/traces.ts';
import type { Span, Tracing } from '#platform/span.ts';

/** Gives each request its span, in `res.locals.span`, and ends it with the answer. */
export const traceRequests =
  (tracing: Tracing): RequestHandler =>
  (req, res, next) => {
    const span = tracing.serve(req.headers['traceparent'] as string | undefined, req.method);
    res.locals['span'] = span;
    if (span.isRecorded) {
      res.once('close', () => span.end(endOf(req, res)));
    }
    next();
  };

export const spanOf = (res: Response): Span => res.locals['span'] as Span;

/** Adds to what the span of this answer says. */
export function describeSpan(res: Response, attributes: SpanAttributes): void {
  res.locals['spanAttributes'] = { ...(res.locals['spanAttributes'] as SpanAttributes), ...attributes };
}

/**
 * Points from this answer to the traces of the changes it is the first to show. An answer that was not chosen for
 * recording is recorded all the same, as a trace of its own that begins when the request did.
 * @param began on the clock of `performance.now()`
 */
export function linkAnswer(
  tracing: Tracing,
  req: Request,
  res: Response,
  links: readonly string[],
  began: number,
): void {
  const span = spanOf(res);
  if (span.isRecorded) {
    for (const link of links) span.link(link);
    return;
  }
  res.once('close', () => {
    const { name, attributes } = endOf(req, res);
    tracing.record({
      kind: 'server',
      name,
      parent: null,
      links,
      tookMs: performance.now() - began,
      attributes,
    });
  });
}

function endOf(req: Request, res: Response) {
  const route = (req.route as { path?: unknown } | undefined)?.path;
  const status = res.statusCode;
  return {
    name: typeof route === 'string' ? `${req.method} ${route}` : req.method,
    attributes: {
      [SPAN.method]: req.method,
      [SPAN.scheme]: 'http',
      [SPAN.path]: req.originalUrl.split('?', 1)[0]!,
      [SPAN.status]: status,
      ...(typeof route === 'string' ? { [SPAN.route]: route } : {}),
      ...(res.locals['spanAttributes'] as SpanAttributes),
    },
    error: status >= 500 ? String(status) : undefined,
  };
}
