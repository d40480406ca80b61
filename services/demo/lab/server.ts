import type { Server } from 'node:http';
import express, { type ErrorRequestHandler, type RequestHandler, type Response } from 'express';
import { eachPage } from '#contracts/pages.ts';
import { problem } from '#contracts/problems.ts';
import { siteOf } from '#pages/layout.ts';
import { openHttpServer, USUAL_LIMITS } from '#platform/http-server.ts';
import { pause } from '#platform/lifecycle.ts';
import { listen } from '#platform/listen.ts';
import { silentLog } from '#platform/log.ts';
import { formOf } from '#platform/request-body.ts';
import { openMetrics } from '#role/metrics.ts';
import type { Issuer } from '../../issuer/issuer.ts';
import { issuerRoutes, refuse } from '../../issuer/routes.ts';
import type { ExamplePage } from '../../local-stack/example-pages.ts';
import { loadAssets } from '../../page-server/assets.ts';
import { serveLogos } from '../../page-server/logos.ts';
import { type Ports, publicUrl } from '../addresses.ts';
import type { DelayProxy } from '../delay-proxy.ts';
import type { ExampleStates } from '../examples.ts';
import type { Keeper } from '../keeper.ts';
import type { Card } from './cards.ts';
import { openViewers } from './events.ts';
import { openGuard } from './guard.ts';
import { newMeasurements } from './measurements.ts';
import { fragments, type LabView, labPage } from './page.ts';
import { openPlots, plotsPage } from './plots-page.ts';
import { startProbe, WATCHED } from './probe.ts';
import type { MetricsState } from './prometheus-api.ts';
import { openSwitches, readSwitch } from './switches.ts';
import { writeNow } from './write-now.ts';

const TELL_EVERY_MS = 400;
const SITE_ASSETS = new URL('../../page-server/assets/', import.meta.url);
const LAB_ASSETS = new URL('./assets/', import.meta.url);

export interface LabSettings {
  readonly host: string;
  readonly ports: Ports;
  readonly sellers: number;
  readonly issuer: Issuer;
  readonly keepers: ReadonlyMap<string, Keeper>;
  readonly proxy: DelayProxy;
  /** The present state of Prometheus. */
  readonly metrics: () => MetricsState;
  /** The present states of the pages of `examples`. */
  readonly examples: Readonly<ExampleStates>;
}

export interface Lab {
  /** Starts to measure; before that the page is served without numbers. */
  measure(sourceDatabase: string): void;
  close(): Promise<void>;
}

/** Serves the index with the lab, and the issuer, on the demo's first port. */
export async function openLab(settings: LabSettings): Promise<Lab> {
  const { host, ports, issuer } = settings;
  const measurements = newMeasurements();
  const switches = openSwitches(settings.keepers, settings.proxy);
  const siteAssets = loadAssets(SITE_ASSETS);
  const labAssets = loadAssets(LAB_ASSETS);
  const url = (port: number) => publicUrl(port);
  const view: LabView = {
    measurements,
    switches,
    site: siteOf(
      {
        ...eachPage((page) => url(ports[page])),
        selfView: url(ports['self-view']),
      },
      siteAssets.addressOf,
    ),
    addressOf: ({ port, pathOf }) => `${url(ports[port])}${pathOf(WATCHED.sellerId)}`,
    examples: settings.examples,
    api: { source: url(ports['top-clients']), issuer: issuer.name, gig: url(ports.gig) },
    assets: {
      site: siteAssets.addressOf('site.css'),
      lab: labAssets.addressOf('lab.css'),
      script: labAssets.addressOf('lab.js'),
    },
    sellers: settings.sellers,
  };
  const isThere = ({ name }: Card) =>
    !(name in settings.examples) || settings.examples[name as ExamplePage].state === 'running';
  const now = () => fragments(view);
  const viewers = openViewers(now);
  const stopping = new AbortController();
  let probe: ReturnType<typeof startProbe> | undefined;
  let writing: Promise<void> | undefined;

  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.use(secured(host));
  app.get('/', (_req, res) => {
    res.set('cache-control', 'no-store').type('html').send(labPage(view));
  });
  const plots = openPlots(settings.metrics);
  app.get('/metrics-lab', async (_req, res) => {
    const page = plotsPage(
      {
        assets: {
          site: view.assets.site,
          lab: view.assets.lab,
          plots: labAssets.addressOf('plots.css'),
          script: labAssets.addressOf('plots.js'),
        },
        prometheus: settings.metrics().state === 'running' ? url(ports.prometheus) : null,
      },
      await plots.now(),
    );
    res.set('cache-control', 'no-store').type('html').send(page);
  });
  app.get('/metrics-lab/state', async (_req, res) => {
    res.set('cache-control', 'no-store').json(await plots.now());
  });
  app.get('/lab/state', (_req, res) => {
    res.set('cache-control', 'no-store').json(now());
  });
  app.get('/lab/events', (_req, res) => {
    if (!viewers.add(res))
      refuse(res, problem('too-many-requests', 'Too many windows show the lab: close one.'));
  });
  app.post('/lab/switches', (req, res) => {
    const command = readSwitch(formOf(req) ?? {});
    if (typeof command === 'string') return refuse(res, problem('invalid-request', command));
    switches.turn(command);
    done(res);
  });
  app.post('/lab/writes', (_req, res) => {
    if (!probe)
      return refuse(res, problem('unavailable', 'The demo is still starting: try again in a moment.'));
    // One write at a time: a second press joins the write that is being followed.
    writing ??= writeNow(ports, issuer, probe.ask, isThere, measurements, stopping.signal).finally(() => {
      writing = undefined;
    });
    done(res);
  });
  app.use(issuerRoutes(issuer));
  app.get('/assets/:name', siteAssets.serve, labAssets.serve);
  app.get('/logos/:file', serveLogos());
  app.use((_req, res) =>
    refuse(
      res,
      problem('not-found', 'The lab is at /, its metrics at /metrics-lab, tokens are at /token?seller=1.'),
    ),
  );
  const failed: ErrorRequestHandler = (err: { status?: number }, _req, res, next) => {
    if (res.headersSent) return next(err);
    const ours = err.status === undefined || err.status >= 500;
    refuse(
      res,
      ours ? problem('internal', String(err)) : problem('invalid-request', 'The request could not be read.'),
    );
  };
  app.use(failed);

  const metrics = openMetrics({ processMetrics: false });
  const server = openHttpServer(app, { port: 'http', limits: USUAL_LIMITS, metrics, log: silentLog });
  await listen(server, ports.lab, host);
  const telling = tell(() => {
    if (viewers.count > 0) viewers.tell(now());
  }, stopping.signal);
  return {
    measure(sourceDatabase) {
      probe = startProbe(
        {
          ports,
          sellers: settings.sellers,
          sourceDatabase,
          isThere,
          isWatched: () => viewers.count > 0 || writing !== undefined,
          isQuiet: () => performance.now() < measurements.closeLookUntil,
        },
        measurements,
      );
    },
    async close() {
      stopping.abort();
      await telling;
      viewers.close();
      await Promise.all([probe?.stop(), writing, closed(server)]);
    },
  };
}

function secured(host: string): RequestHandler {
  const guard = openGuard(host);
  return (req, res, next) => {
    res.set({
      'content-security-policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    });
    if (!guard.isOurs(req.headers.host)) {
      return refuse(res, problem('forbidden', 'Ask for localhost, or for the address given by --host.'));
    }
    const changes = req.method !== 'GET' && req.method !== 'HEAD';
    if (changes && !guard.mayChange(req.headers.host, req.headers.origin)) {
      return refuse(
        res,
        problem('forbidden', 'Only the lab itself, opened on this machine, can change something.'),
      );
    }
    next();
  };
}

/** Redirects a form to the page; answers a script with nothing. */
function done(res: Response): void {
  res.set('cache-control', 'no-store');
  if (res.req.accepts(['html', 'json']) === 'json') res.status(204).end();
  else res.redirect(303, '/');
}

async function tell(now: () => void, stopped: AbortSignal): Promise<void> {
  while (!stopped.aborted) {
    now();
    await pause(TELL_EVERY_MS, stopped);
  }
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
