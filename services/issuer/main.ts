import express, { type ErrorRequestHandler, type Express } from 'express';
import { z } from 'zod';
import { problem } from '#contracts/problems.ts';
import { port, setting } from '#platform/config.ts';
import { serveHealth } from '#platform/health.ts';
import { openHttpServer, SERVER_SETTINGS } from '#platform/http-server.ts';
import { drain, listen, sayGoodbye } from '#platform/listen.ts';
import { defineRole } from '#role/role.ts';
import { AUDIENCE, type Issuer, openIssuer } from './issuer.ts';
import { issuerRoutes, refuse } from './routes.ts';

export const role = defineRole({
  name: 'issuer',
  about: 'signs in anybody as any seller, without a password; for demonstrations only',
  settings: {
    port: setting('TC_PORT', 'port of /token and /.well-known/jwks.json', port().default(8080)),
    keyFile: setting(
      'TC_KEY_FILE',
      'file with the private key, a JWK for ES256; made when it is absent and the folder can be written to',
      z.string().min(1),
    ),
    issuerName: setting('TC_ISSUER_NAME', 'how tokens name their issuer', z.string().min(1)),
    audience: setting(
      'TC_JWT_AUDIENCE',
      'the audience that tokens name',
      z.string().min(1).default(AUDIENCE),
    ),
    ...SERVER_SETTINGS,
  },
  async start(config, { log, metrics, releases }) {
    const issuer = await openIssuer(config.keyFile, config.issuerName, config.audience);
    let stopping = false;
    const health = await serveHealth(config, {
      notReadyBecause: () => (stopping ? 'stopping' : null),
      metrics,
      log,
    });
    releases.push('health', health.close);
    const server = openHttpServer(issuerApp(issuer), { port: 'http', limits: config, metrics, log });
    const listening = await listen(server, config.port, config.host, log);
    releases.push('server', () => drain(server));
    releases.push('kept connections', () => {
      stopping = true;
      return sayGoodbye(server, config.shutdownDelayMs);
    });
    log.warn(
      { port: listening, healthPort: health.port, issuer: issuer.name },
      'gives anybody a token of any seller: for demonstrations only',
    );
    return 'running';
  },
});

function issuerApp(issuer: Issuer): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use((_req, res, next) => {
    res.set({ 'x-content-type-options': 'nosniff', 'content-security-policy': "default-src 'none'" });
    next();
  });
  app.use(issuerRoutes(issuer));
  app.use((_req, res) =>
    refuse(res, problem('not-found', 'Tokens are at /token?seller=1, keys at /.well-known/jwks.json.')),
  );
  const failed: ErrorRequestHandler = (err: { status?: number }, _req, res, next) => {
    if (res.headersSent) return next(err);
    const ours = err.status === undefined || err.status >= 500;
    refuse(
      res,
      ours
        ? problem('internal', 'The token could not be made.')
        : problem('invalid-request', 'The request could not be read.'),
    );
  };
  app.use(failed);
  return app;
}
