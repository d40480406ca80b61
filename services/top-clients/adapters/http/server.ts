import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import express, { type ErrorRequestHandler, type RequestHandler } from 'express';
import { PROBLEM_MEDIA_TYPE, problem } from '#contracts/problems.ts';
import type { Log } from '#platform/log.ts';
import { send, sendProblem } from './answers.ts';
import type { Callers } from './callers.ts';
import { type Endpoint, endpoints, type Ports } from './endpoints.ts';
import { limitSenders } from './limits.ts';
import { observedOf, observer } from './observation.ts';
import { Refusal, unavailable } from './refusal.ts';

export interface ServerSettings {
  /** Requests served at once; a further one is told at once to come back. */
  readonly requestsInFlight: number;
  /** Until a request must have arrived in full, in ms. */
  readonly requestTimeoutMs: number;
  /** Proxies whose X-Forwarded-For tells the caller's address: addresses, networks, or names like `loopback`. */
  readonly trustedProxies: readonly string[];
}

/** Builds the server of the HTTP contract; the caller listens and drains. */
export function httpServer(ports: Ports & { log: Log; callers: Callers }, settings: ServerSettings): Server {
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
  let inFlight = 0;
  const latest = new WeakMap<Duplex, ServerResponse>();
  const server = createServer((req, res) => {
    latest.set(req.socket, res);
    observe(req, res);
    if (inFlight >= settings.requestsInFlight) {
      return sendProblem(res, unavailable('too many requests are being served; try again'));
    }
    inFlight += 1;
    res.once('close', () => {
      inFlight -= 1;
    });
    app(req, res);
  });
  server.headersTimeout = Math.min(5_000, settings.requestTimeoutMs);
  server.requestTimeout = settings.requestTimeoutMs;
  // Longer than callers keep idle connections, so that it is never us who close one that is about to be used.
  server.keepAliveTimeout = 72_000;
  server.on('clientError', (err: NodeJS.ErrnoException, socket) => {
    const answer = latest.get(socket);
    const answered = answer?.headersSent && !answer.req.complete;
    if (err.code === 'ECONNRESET' || !socket.writable || answered) return socket.destroy();
    const detail = UNREADABLE[err.code ?? ''] ?? 'the request is not well-formed HTTP';
    const body = JSON.stringify(problem('invalid-request', detail));
    socket.end(
      `HTTP/1.1 400 Bad Request\r\nContent-Type: ${PROBLEM_MEDIA_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
        `Connection: close\r\n\r\n${body}`,
    );
  });
  return server;
}

const UNREADABLE: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: 'send shorter headers: at most 16 KB in all',
  ERR_HTTP_REQUEST_TIMEOUT: 'the request did not arrive in time; send it again',
};

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
