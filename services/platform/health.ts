import type { Registry } from 'prom-client';
import {
  type Handler,
  type HttpServerMetrics,
  openHttpServer,
  type ServerLimits,
  USUAL_LIMITS,
} from './http-server.ts';
import { drain, listen } from './listen.ts';
import type { Log } from './log.ts';

export interface Health {
  /** Names what keeps the role from serving; null when nothing does. */
  notReadyBecause: () => string | null;
  /** Names what can only be cured by a restart; null when nothing does. */
  notLiveBecause?: () => string | null;
  metrics: HttpServerMetrics & { readonly registry: Registry };
  log: Log;
}

/** Some probes and scrapers, each with a request or two. */
const LIMITS: ServerLimits = {
  ...USUAL_LIMITS,
  connections: 100,
  connectionsPerClient: 25,
  requestsInFlight: 50,
  requestsPerClient: 25,
  requestTimeoutMs: 5_000,
  answerTimeoutMs: 10_000,
  unsentBytes: 8 * 1024 * 1024,
};

/**
 * Serves `/livez`, `/readyz` and `/metrics` on a port of their own, away from users' traffic.
 * @param where its port, 0 for a free one, and its address
 */
export async function serveHealth(
  where: { readonly healthPort: number; readonly healthHost: string },
  health: Health,
): Promise<{ port: number; close: () => Promise<void> }> {
  const { metrics, log } = health;
  const { registry } = metrics;
  const handler: Handler = (req, res) => {
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
        return registry.metrics().then(
          (text) => answer(200, text, registry.contentType),
          (err: Error) => answer(500, `${err.message}\n`),
        );
      default:
        return answer(404, 'there are /livez, /readyz and /metrics\n');
    }
  };
  const server = openHttpServer(handler, { port: 'health', limits: LIMITS, metrics, log });
  const listening = await listen(server, where.healthPort, where.healthHost, log);
  return { port: listening, close: () => drain(server) };
}
