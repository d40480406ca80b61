import type { Server } from 'node:http';
import express, { type ErrorRequestHandler, type RequestHandler } from 'express';
import { openHttpServer, type ServerLimits } from '#platform/http-server.ts';
import type { Log } from '#platform/log.ts';
import { proxiesOf } from '#platform/trusted-proxies.ts';
import { send, sendProblem } from './answers.ts';
import { pageOf } from './callers.ts';
import { type Endpoint, endpoints, type Ports } from './endpoints.ts';
import { limitSenders } from './limits.ts';
import { observedOf, observer } from './observation.ts';
import { Refusal } from './refusal.ts';

export interface ServerSettings extends ServerLimits {
  /** Proxies whose X-Forwarded-For tells the caller's address: addresses, networks, or names like `loopback`. */
  readonly trustedProxies: readonly string[];
}

/** Builds the server of the HTTP contract; the caller listens and drains. */
export function httpServer(ports: Ports & { log: Log }, settings: ServerSettings): Server {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('strict routing');
  app.enable('case sensitive routing');
  app.set('query parser', false);
  app.set('trust proxy', settings.trustedProxies.length > 0 ? [...settings.trustedProxies] : false);

  app.use(limitSenders(ports));
  for (const [template, methods] of Object.entries(endpoints(ports))) {
    const route = app.route(template.replace(/{(\w+)}/g, ':$1'));
    route.all(named(template));
    for (const [method, endpoint] of Object.entries(methods)) {
      route[method as keyof typeof methods](answering(endpoint));
    }
    route.all(onlyThese(Object.keys(methods)));
  }
  app.use((req) => {
    throw new Refusal(
      'not-found',
      `there is no ${req.path.slice(0, 200)}; /v1/openapi.json lists the addresses`,
    );
  });
  app.use(((err, _req, res, _next) => sendProblem(res, err)) satisfies ErrorRequestHandler);

  const observe = observer(ports.log, ports.metrics, ports.tracing);
  const { isProxy, addressOf } = proxiesOf(app);
  return openHttpServer(
    (req, res) => {
      observe(req, res);
      app(req, res);
    },
    {
      port: 'http',
      limits: settings,
      metrics: ports.metrics,
      log: ports.log,
      isProxy,
      // Our own pages have limits of their own.
      addressOf: (req) => (pageOf(ports.callers, req) === null ? addressOf(req) : null),
      refuse: (req, res, type, detail) => {
        observe(req, res);
        sendProblem(res, new Refusal(type, detail, { headers: { 'Retry-After': '1' } }));
      },
    },
  );
}

const named =
  (template: string): RequestHandler =>
  (_req, res, next) => {
    observedOf(res).route = template;
    next();
  };

const answering =
  (endpoint: Endpoint): RequestHandler =>
  async (req, res) =>
    send(res, await endpoint(req));

function onlyThese(methods: readonly string[]): RequestHandler {
  const allowed = methods.flatMap((method) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]));
  const Allow = [...allowed, 'OPTIONS'].join(', ');
  return (req, res) => {
    if (req.method === 'OPTIONS') return send(res, { status: 204, headers: { Allow } });
    throw new Refusal('method-not-allowed', `this address takes ${Allow}`, { headers: { Allow } });
  };
}
