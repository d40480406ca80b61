import type { Request, RequestHandler, Response, Router } from 'express';
import type { ProblemType } from '#contracts/problems.ts';
import type { Releases } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { Tracing } from '#platform/span.ts';
import type { Metrics } from '#role/metrics.ts';
import type { Site } from './layout.ts';

/**
 * What the page server gives to the page that runs in it. The server itself brings the security headers, the
 * request id, `/assets/*`, `/logos/*`, the error pages, the deadline of a page, and the drain on SIGTERM.
 */
export interface PageContext {
  readonly site: Site;
  /**
   * The headers of every answer (security and request id); names and values alternate. A route either lets
   * `setCommonHeaders` set them or hands them to one `writeHead` with all of its own, which is about 1 µs cheaper.
   */
  readonly commonHeaders: (res: Response) => string[];
  readonly setCommonHeaders: RequestHandler;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  /** What is pushed here is released after the last request has been answered. */
  readonly releases: Releases;
  /**
   * Answers a refusal with the status of its type: a page for people, a problem document for
   * `Accept: application/json`. `detail` says what to change and is shown to the reader.
   */
  readonly refuse: (
    req: Request,
    res: Response,
    type: ProblemType,
    detail: string,
    errors?: Array<{ at: string; message: string }>,
  ) => void;
}

/**
 * Adds the routes of a page. A route that throws or rejects is answered with 503 when its database is out of reach,
 * else with 500. The id of the request is in `res.locals.requestId`. Its span is in `res.locals.span` and ends by
 * itself.
 */
export type Mount = (router: Router, context: PageContext) => void;
