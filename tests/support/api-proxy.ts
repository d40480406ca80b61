/** A proxy between a client and a real API server that makes the faults of networks and servers on command. */
import {
  type ClientRequest,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { listen } from '#platform/listen.ts';
import type { Access } from '../../services/operator/runtime/access.ts';

/** What happens to a request instead of being passed on normally. */
export type Fault =
  /** Answered by the proxy; the API server never sees it. */
  | { readonly answer: 409 | 410 | 429 | 500 | 503; readonly retryAfterSeconds?: number }
  /** Passed on this many ms late. */
  | { readonly delayMs: number }
  /** `request`: the connection breaks before the API server sees the request; `answer`: after it was carried out. */
  | { readonly drop: 'request' | 'answer' };

export interface Seen {
  readonly method: string;
  /** The URL with its query. */
  readonly url: string;
  readonly isWatch: boolean;
}

export interface ApiProxy {
  /** For a client that should use the proxy; it needs no credentials, the proxy has them. */
  readonly access: Access;
  /** A kubeconfig for programs that should use the proxy. */
  readonly kubeconfig: string;
  /** All requests that came in, oldest first. */
  readonly seen: readonly Seen[];
  /** Watches that are open now. */
  readonly watches: number;
  /** The next `times` requests that satisfy `applies` meet this fault. */
  fault(fault: Fault, applies: (request: Seen) => boolean, times?: number): void;
  /** Removes the faults that no request has met yet. */
  heal(): void;
  /** Breaks open watches in the middle. */
  cutWatches(): void;
  /** Ends each open watch as a server does whose history does not go back far enough (410). */
  expireWatches(): void;
  /** Open watches stay connected but receive nothing more; new ones work. */
  freezeWatches(): void;
  /** Passes on nothing in either direction, on old and new connections, until `thaw`. */
  freeze(): void;
  thaw(): void;
  /** Stops listening and breaks all connections: the API server is gone. */
  refuse(): Promise<void>;
  /** Listens again on the same port. */
  accept(): Promise<void>;
  close(): Promise<void>;
}

interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly isWatch: boolean;
  far: ClientRequest | null;
  frozen: boolean;
}

export async function openApiProxy(target: Access): Promise<ApiProxy> {
  const seen: Seen[] = [];
  let faults: { fault: Fault; applies: (request: Seen) => boolean; left: number }[] = [];
  const exchanges = new Set<Exchange>();
  const sockets = new Set<Socket>();
  let frozen = false;
  let thawed = Promise.withResolvers<void>();
  const melt = async () => {
    while (frozen) await thawed.promise;
  };
  const send = target.server.protocol === 'https:' ? httpsRequest : httpRequest;

  const status = (code: number, reason: string, retryAfterSeconds?: number) => ({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: `made up by the proxy: ${reason}`,
    reason,
    code,
    ...(retryAfterSeconds === undefined ? {} : { details: { retryAfterSeconds } }),
  });
  const REASONS = {
    409: 'Conflict',
    410: 'Expired',
    429: 'TooManyRequests',
    500: 'InternalError',
    503: 'ServiceUnavailable',
  } as const;

  const handle = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const url = req.url ?? '/';
    const isWatch = /[?&]watch=(true|1)/.test(url);
    const one: Seen = { method: req.method ?? 'GET', url, isWatch };
    seen.push(one);
    const exchange: Exchange = { req, res, isWatch, far: null, frozen: false };
    exchanges.add(exchange);
    res.once('close', () => {
      exchanges.delete(exchange);
      exchange.far?.destroy();
    });
    const body: Buffer[] = [];
    for await (const piece of req) body.push(piece as Buffer);
    await melt();

    let dropAnswer = false;
    for (const rule of faults) {
      if (rule.left <= 0 || !rule.applies(one)) continue;
      rule.left -= 1;
      const { fault } = rule;
      if ('answer' in fault) {
        const { answer: code, retryAfterSeconds } = fault;
        const headers: Record<string, string> = { 'content-type': 'application/json' };
        if (retryAfterSeconds !== undefined) headers['retry-after'] = String(retryAfterSeconds);
        res.writeHead(code, headers).end(JSON.stringify(status(code, REASONS[code], retryAfterSeconds)));
        return;
      }
      if ('delayMs' in fault) await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
      else if (fault.drop === 'request') {
        req.socket.destroy();
        return;
      } else dropAnswer = true;
    }
    if (res.destroyed) return;

    const { host: _, connection: __, authorization: ___, ...headers } = req.headers;
    const far = send(
      new URL(url, target.server),
      {
        method: req.method,
        headers: { ...headers, ...(await target.headers(false)) },
        ...target.tls,
        // Each request has a connection of its own, so that a fault of one does not hit another.
        agent: false,
      },
      (answer) => {
        if (dropAnswer) {
          answer.resume().once('end', () => req.socket.destroy());
          return;
        }
        const { connection: _, 'keep-alive': __, ...answerHeaders } = answer.headers;
        const pass = async () => {
          await melt();
          res.writeHead(answer.statusCode ?? 502, answerHeaders);
          res.flushHeaders();
          for await (const piece of answer) {
            await melt();
            if (exchange.frozen) continue;
            if (!res.write(piece))
              await new Promise((resolve) => res.once('drain', resolve).once('close', resolve));
          }
          await melt();
          if (!exchange.frozen) res.end();
        };
        pass().catch(() => req.socket.destroy());
      },
    );
    exchange.far = far;
    far.on('error', () => req.socket.destroy());
    far.end(Buffer.concat(body));
  };

  const server = createServer((req, res) => {
    handle(req, res).catch(() => req.socket.destroy());
  });
  // A watch is a request without an end, and so is a frozen request.
  server.requestTimeout = 0;
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const port = await listen(server, 0, '127.0.0.1');
  const url = new URL(`http://127.0.0.1:${port}`);
  const watching = () => [...exchanges].filter(({ isWatch }) => isWatch);
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });

  return {
    access: { server: url, tls: {}, headers: async () => ({}) },
    kubeconfig: JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'proxy', cluster: { server: url.origin } }],
      users: [{ name: 'proxy', user: {} }],
      contexts: [{ name: 'proxy', context: { cluster: 'proxy', user: 'proxy' } }],
      'current-context': 'proxy',
    }),
    seen,
    get watches() {
      return watching().length;
    },
    fault(fault, applies, times = 1) {
      faults.push({ fault, applies, left: times });
    },
    heal() {
      faults = [];
    },
    cutWatches() {
      for (const { req } of watching()) req.socket.destroy();
    },
    expireWatches() {
      for (const exchange of watching()) {
        exchange.frozen = true;
        exchange.res.end(`${JSON.stringify({ type: 'ERROR', object: status(410, 'Expired') })}\n`);
      }
    },
    freezeWatches() {
      for (const exchange of watching()) exchange.frozen = true;
    },
    freeze() {
      frozen = true;
    },
    thaw() {
      frozen = false;
      thawed.resolve();
      thawed = Promise.withResolvers<void>();
    },
    refuse: stop,
    accept: () => listen(server, port, '127.0.0.1').then(() => {}),
    close: stop,
  };
}
