import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

export interface Health {
  /** Names what keeps the role from serving; null when nothing does. */
  notReadyBecause: () => string | null;
  /** Names what can only be cured by a restart; null when nothing does. */
  notLiveBecause?: () => string | null;
  registry: Registry;
}

/** Serves `/livez`, `/readyz` and `/metrics` on a port of their own, away from users' traffic. 0 takes a free port. */
export async function serveHealth(
  port: number,
  health: Health,
  host = '0.0.0.0',
): Promise<{ port: number; close: () => Promise<void> }> {
  const server = createServer((req, res) => {
    const answer = (status: number, body: string, type = 'text/plain; charset=utf-8') =>
      res.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
    const verdict = (because: string | null) =>
      because === null ? answer(200, 'ok\n') : answer(503, `${because}\n`);
    switch (req.url?.split('?')[0]) {
      case '/livez':
        return verdict(health.notLiveBecause?.() ?? null);
      case '/readyz':
        return verdict(health.notReadyBecause());
      case '/metrics':
        return health.registry.metrics().then(
          (text) => answer(200, text, health.registry.contentType),
          (err: Error) => answer(500, `${err.message}\n`),
        );
      default:
        return answer(404, 'there are /livez, /readyz and /metrics\n');
    }
  });
  await listen(server, port, host);
  return { port: (server.address() as AddressInfo).port, close: () => drain(server) };
}

/** Listens, or rejects with a sentence that names the port. */
export function listen(server: Server, port: number, host = '0.0.0.0'): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error) =>
      reject(new Error(`cannot listen on ${host}:${port}: ${cause.message}`, { cause }));
    server.once('error', failed);
    server.listen(port, host, () => {
      server.off('error', failed);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Stops accepting, lets requests in flight finish, then closes; idle connections are closed at once. */
export function drain(server: Server): Promise<void> {
  return new Promise((resolve) => {
    // A connection whose request ends only now would be kept alive until its timeout.
    const sweep = setInterval(() => server.closeIdleConnections(), 20);
    server.close(() => {
      clearInterval(sweep);
      resolve();
    });
    server.closeIdleConnections();
  });
}
