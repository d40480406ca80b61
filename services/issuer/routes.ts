import { type Response, Router } from 'express';
import { PROBLEM_MEDIA_TYPE, type Problem, problem } from '#contracts/problems.ts';
import type { Issuer } from './issuer.ts';

/** `/token` and `/.well-known/jwks.json`; `issuer.ts` says what they are for. */
export function issuerRoutes(issuer: Issuer): Router {
  const router = Router();
  router.get('/.well-known/jwks.json', (_req, res) => {
    // Verifiers ask again after a while; the demonstration's key never changes.
    res.set('cache-control', 'public, max-age=60').json(issuer.jwks);
  });
  router.get('/token', async (req, res) => {
    const answer = await issuer.answer(new URLSearchParams(req.originalUrl.split('?')[1] ?? ''));
    if ('access_token' in answer) res.set('cache-control', 'no-store').json(answer);
    else refuse(res, answer);
  });
  router.all(['/token', '/.well-known/jwks.json'], (_req, res) =>
    refuse(res.set('allow', 'GET, HEAD'), problem('method-not-allowed', 'Use GET.')),
  );
  return router;
}

export function refuse(res: Response, body: Problem): void {
  res
    .status(body.status)
    .set('cache-control', 'no-store')
    .type(PROBLEM_MEDIA_TYPE)
    .send(JSON.stringify(body));
}
