import { randomUUID } from 'node:crypto';
import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Response } from 'express';
import { type Site, type SiteBases, siteOf } from '#pages/layout.ts';
import type { Mount, PageContext } from '#pages/mount.ts';
import type { Releases } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { isUnavailable } from '#platform/postgres.ts';
import type { Tracing } from '#platform/span.ts';
import { openHiddenProxies } from '#platform/trusted-proxies.ts';
import type { Metrics } from '#role/metrics.ts';
import { OwnDatabaseUnavailable } from '../page-kit/own-database.ts';
import { loadAssets } from './assets.ts';
import { serveLogos } from './logos.ts';
import { refuseWith } from './refusals.ts';
import { traceRequests } from './trace-requests.ts';

export interface PageAppOptions {
  /** Public base addresses of the pages; an absent one means the same origin. */
  readonly links: SiteBases;
  /** Origins that may show the page in a frame, beside its own. */
  readonly frameAncestors?: readonly string[];
  /** Proxies whose X-Forwarded-For tells the client's address; without any, it is the address of the connection. */
  readonly trustedProxies?: readonly string[];
  readonly log: Log;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly releases: Releases;
  /** Adds the routes of the page, `/` included. */
  readonly mount: Mount;
}

const ASSETS = new URL('./assets/', import.meta.url);
const REQUEST_ID = /^[\w.:/-]{1,128}$/;

/** Names and values alternate. Nothing is loaded from elsewhere, and nothing inline is run. */
function securityHeaders(site: Site, options: PageAppOptions): readonly string[] {
  // Forms lead to the pages, which may have origins of their own.
  const forms = new Set(
    [site.search(), site.selfView()]
      .filter((address) => URL.canParse(address))
      .map((address) => new URL(address).origin),
  );
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    `form-action ${["'self'", ...forms].join(' ')}`,
    `frame-ancestors ${["'self'", ...(options.frameAncestors ?? [])].join(' ')}`,
  ];
  return [
    ...['content-security-policy', policy.join('; ')],
    ...['x-content-type-options', 'nosniff'],
    ...['referrer-policy', 'strict-origin-when-cross-origin'],
    ...['cross-origin-opener-policy', 'same-origin'],
    ...['permissions-policy', 'camera=(), geolocation=(), microphone=(), payment=()'],
  ];
}

/** The server around one page: see `PageContext` for what it brings. */
export function createPageApp(options: PageAppOptions): Express {
  const { log } = options;
  const assets = loadAssets(ASSETS);
  const site = siteOf(options.links, assets.addressOf);
  const security = securityHeaders(site, options);
  const commonHeaders = (res: Response): string[] => [
    'x-request-id',
    res.locals['requestId'] as string,
    ...security,
  ];
  const writeCommonHeaders = (res: Response): void => {
    const headers = commonHeaders(res);
    for (let i = 0; i < headers.length; i += 2) res.setHeader(headers[i]!, headers[i + 1]!);
  };
  const refuse = refuseWith(site, writeCommonHeaders);
  const setCommonHeaders: RequestHandler = (_req, res, next) => {
    writeCommonHeaders(res);
    next();
  };
  const context: PageContext = {
    commonHeaders,
    setCommonHeaders,
    site,
    log,
    metrics: options.metrics,
    tracing: options.tracing,
    releases: options.releases,
    refuse,
  };

  const app = express();
  app.disable('x-powered-by');
  // Hashing every page would cost more than it saves: pages change, and assets carry their hash in the address.
  app.disable('etag');
  app.set('query parser', 'simple');
  const { trustedProxies = [] } = options;
  app.set('trust proxy', trustedProxies.length > 0 ? [...trustedProxies] : false);

  const isHidden = openHiddenProxies(log);
  const begin: RequestHandler = (req, res, next) => {
    isHidden(req);
    const given = req.headers['x-request-id'];
    res.locals['requestId'] = typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    next();
  };
  app.use(begin);

  app.get('/assets/:name', setCommonHeaders, assets.serve);
  app.get('/logos/:file', setCommonHeaders, serveLogos());
  app.use(traceRequests(options.tracing));
  const router = express.Router();
  options.mount(router, context);
  app.use(router);
  app.use((req, res) =>
    refuse(req, res, 'not-found', 'This address leads nowhere: check it, or start from the front page.'),
  );

  const failed: ErrorRequestHandler = (err: unknown, req, res, next) => {
    if (res.headersSent) return next(err);
    const { requestId } = res.locals;
    const status = (err as { status?: unknown } | null)?.status;
    if (typeof status === 'number' && status >= 400 && status < 500) {
      // An error of Express itself: an address that does not decode, a body that does not parse.
      return refuse(
        req,
        res,
        'invalid-request',
        'The address or the body could not be read: check its encoding.',
      );
    }
    if (err instanceof OwnDatabaseUnavailable || isUnavailable(err)) {
      log.warn({ err, requestId }, 'answered without the database of the page');
      return refuse(
        req,
        res,
        'unavailable',
        'This page cannot be shown right now. Please try again in a moment.',
      );
    }
    log.error({ err, requestId }, 'a page failed');
    return refuse(
      req,
      res,
      'internal',
      'This page could not be shown, and we have been told. Please try again.',
    );
  };
  app.use(failed);
  return app;
}
