import type { Request, Response, Router } from 'express';
import { html } from 'hono/html';
import { HEADERS } from '#contracts/delivery.ts';
import { SPAN } from '#contracts/traces.ts';
import { type Html, layout } from '#pages/layout.ts';
import type { PageContext } from '#pages/mount.ts';
import { type AddressRefused, ageOf, type InvalidationFeed, type Page, type ShownList } from '#pages/page.ts';
import { clientAt } from '#platform/client-address.ts';
import { MISSING } from '../page-kit/decide.ts';
import { type Delivered, type DeliverySettings, deliver, type Undelivered } from '../page-kit/deliver.ts';
import { ANY_VERSION, readMinVersion } from '../page-kit/min-version.ts';
import { openMinVersionLimit } from '../page-kit/min-version-limit.ts';
import { addOutcomeHeaders, cacheControl } from '../page-kit/outcome-headers.ts';
import type { OwnDatabase } from '../page-kit/own-database.ts';
import { openRenderMetrics } from '../page-kit/render-metrics.ts';
import type { PageReads } from '../source-client/page-reads.ts';
import type { Call } from '../source-client/transport.ts';
import { representation } from './refusals.ts';
import type { TraceLinks } from './trace-links.ts';
import { describeSpan, linkAnswer, spanOf } from './trace-requests.ts';

export interface PageDeps extends DeliverySettings {
  readonly database: OwnDatabase;
  readonly source: PageReads;
  readonly feed: InvalidationFeed;
  /** Empty where traces are off. */
  readonly traceLinks: TraceLinks;
  readonly sourceDeadlineMs: number;
  readonly pageDeadlineMs: number;
  /** Calls to the source of truth that a client may cause in a minute by asking for versions; 0 for any number. */
  readonly versionCallsPerMinute: number;
}

/** The part of the page's deadline that is kept for rendering and sending, in ms. */
const RENDER_MS = 50;

const isRefused = (address: unknown): address is AddressRefused =>
  typeof address === 'object' && address !== null && 'refused' in address;

/** Adds the routes of a page that shows top clients: the page itself, and the index at `/`. */
export function mountPage(page: Page, deps: PageDeps) {
  return (router: Router, context: PageContext): void => {
    const { site, commonHeaders, refuse, tracing } = context;
    const reads = page.open(deps.feed);
    const measure = openRenderMetrics(page.name, deps.delivery, context.metrics);
    const versionCalls = openMinVersionLimit(deps.versionCallsPerMinute);
    // The page waits for its own database first, and for the source of truth with what is left.
    const ownMs = deps.pageDeadlineMs - deps.sourceDeadlineMs - RENDER_MS;

    async function answer(req: Request, res: Response): Promise<void> {
      const began = performance.now();
      const form = representation(req);
      if (form === null) {
        return refuse(req, res, 'not-acceptable', 'Ask for text/html or application/json.');
      }
      const query = queryOf(req);
      if (query === null) return refuse(req, res, 'invalid-request', 'Each parameter may be given once.');
      const address = page.address(req.params as Record<string, string>, query);
      if (isRefused(address)) return refuse(req, res, address.refused, address.detail);
      const asked = query['minVersion'] ?? (req.headers[MIN_VERSION] as string | undefined);
      const min = asked === undefined ? { minVersion: ANY_VERSION } : readMinVersion(asked, page.shows);
      if ('refused' in min) {
        return refuse(req, res, 'invalid-request', min.refused, [{ at: 'minVersion', message: min.refused }]);
      }

      const call = (): Call => ({
        deadlineMs: Math.min(
          deps.sourceDeadlineMs,
          began + deps.pageDeadlineMs - RENDER_MS - performance.now(),
        ),
        requestId: res.locals['requestId'] as string,
        span: spanOf(res),
      });
      const db = deps.database.until(began + ownMs);
      let delivered: Delivered | Undelivered | null;
      try {
        delivered = await deliver(page, reads, deps.source, deps, {
          address,
          minVersion: min.minVersion,
          db,
          call,
          mayCauseCall: () => versionCalls.take(clientAt(req.ip ?? '')),
        });
      } catch (err) {
        measure.failed(performance.now() - began);
        throw err;
      }
      if (delivered === null) {
        return refuse(req, res, 'not-found', 'What this address named is not here, or no longer.');
      }
      if ('undelivered' in delivered) return refuseVersion(req, res, delivered);

      const { own, shown, outcome } = delivered;
      const shownOf = shown === null ? null : (sellerId: number) => shown.get(sellerId) ?? MISSING;
      const rendering = performance.now();
      const now = Date.now();
      const text =
        form === 'html' ? page.html(own, shownOf, site) : JSON.stringify(page.json(own, shownOf, now));
      // Encoded once: the length has to be known, and a string would be encoded again on its way out.
      const body = Buffer.from(text);
      const done = performance.now();
      const headers: Array<string | number> = commonHeaders(res);
      if (outcome !== null) {
        const one = page.shows === 'one seller' ? shownOf!(page.sellersOf(own)[0]!) : null;
        addOutcomeHeaders(headers, outcome, one?.list?.version ?? null, one && ageOf(one, now));
      }
      headers.push(
        'server-timing',
        `own;${db.mayLag ? 'desc="replica";' : ''}dur=${delivered.ownMs.toFixed(1)}, source;dur=${delivered.sourceMs.toFixed(1)}, render;dur=${(done - rendering).toFixed(1)}`,
        'content-type',
        form === 'html' ? 'text/html; charset=utf-8' : 'application/json',
        'vary',
        VARY,
        'cache-control',
        cacheControl(outcome),
        'content-length',
        body.length,
      );
      res.writeHead(200, headers);
      res.end(body);
      measure.rendered(outcome ?? 'full', performance.now() - began);
      if (shown !== null && outcome === 'stale') measure.stale(shown.values(), now);
      if (tracing.isOn) trace(req, res, delivered, began);
    }

    /** Refuses a reader whose version does not exist, or who asked too often for one that the page does not have. */
    function refuseVersion(req: Request, res: Response, why: Undelivered): void {
      measure.refused(why.undelivered);
      if (why.undelivered === 'limited') {
        const { waitSeconds } = why;
        res.set('retry-after', String(waitSeconds));
        const detail = `You asked for versions that this page does not have yet more often than ${deps.versionCallsPerMinute} times a minute. Wait ${waitSeconds} s, or leave minVersion out.`;
        refuse(req, res, 'too-many-requests', detail);
        return;
      }
      const { sellerId, version } = why;
      const message = `the list of seller ${sellerId} is at version ${version}: ask for that or an older one, or leave minVersion out.`;
      refuse(req, res, 'invalid-request', `There is no such version: ${message}`, [
        { at: 'minVersion', message },
      ]);
    }

    /** Describes a render in its span; the answer has been sent already. */
    function trace(req: Request, res: Response, { shown, outcome }: Delivered, began: number): void {
      const links = shown === null || deps.traceLinks.isEmpty ? NO_LINKS : linksOf(shown, deps.traceLinks);
      if (links.length === 0 && !spanOf(res).isRecorded) return;
      describeSpan(res, {
        [SPAN.page]: page.name,
        [SPAN.delivery]: deps.delivery,
        ...(outcome === null ? {} : { [SPAN.outcome]: outcome }),
      });
      if (links.length > 0) linkAnswer(tracing, req, res, links, began);
    }

    router.get(page.path, answer);
    router.use(context.setCommonHeaders);
    router.all(page.path, (req, res) => {
      res.set('allow', 'GET, HEAD');
      refuse(req, res, 'method-not-allowed', 'This page takes GET and HEAD.');
    });
    router.get('/', (_req, res) => {
      res.set({ 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-cache' });
      res.end(index(page, deps, context));
    });
  };
}

const NO_LINKS: readonly string[] = [];

/** The traces of the changes that a render is the first to show. */
function linksOf(shown: ReadonlyMap<number, ShownList>, changes: TraceLinks): readonly string[] {
  const links: string[] = [];
  for (const [sellerId, { list }] of shown) {
    const link = list === null ? null : changes.shownBy(sellerId, list.version);
    if (link !== null) links.push(link);
  }
  return links;
}

const MIN_VERSION = HEADERS.minVersion.toLowerCase();
const VARY = `Accept, ${HEADERS.minVersion}`;

const NO_QUERY: Readonly<Record<string, string>> = {};

/** Null when a parameter is given twice: which one counts would be a guess. */
function queryOf(req: Request): Readonly<Record<string, string>> | null {
  if (!req.url.includes('?')) return NO_QUERY;
  const query = req.query as Record<string, string | string[]>;
  return Object.values(query).every((value) => typeof value === 'string')
    ? (query as Record<string, string>)
    : null;
}

function index(page: Page, deps: PageDeps, { site }: PageContext): string {
  return layout(site, {
    title: page.title,
    main: html`<div class="start"><h1>${page.title}</h1><p class="quiet">The ${page.name} page, with top clients delivered <b>${deps.delivery}</b>${deps.delivery === 'synchronous' ? (deps.parallel ? ', in parallel' : ', one after the other') : ''}. Each of these answers JSON as well, for <code>Accept: application/json</code>.</p><ul class="plain chips">${page.examples(site).map((one) => html`<li><a href="${one.href}">${one.label}</a></li>`)}</ul></div>` as Html,
  });
}
