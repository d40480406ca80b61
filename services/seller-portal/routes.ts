import type { Response, Router } from 'express';
import { HEADERS } from '#contracts/delivery.ts';
import type { PageContext } from '#pages/mount.ts';
import { seriesFromZero } from '#platform/metrics.ts';
import type { Queryable } from '#platform/postgres.ts';
import { formOf, MOST_BODY_BYTES } from '#platform/request-body.ts';
import type { Metrics } from '#role/metrics.ts';
import { openAccess } from './access.ts';
import { openAnswers } from './answers.ts';
import { serveAsset } from './assets.ts';
import { addChangeRoutes } from './change-routes.ts';
import { addListRoutes } from './list-routes.ts';
import type { Changing } from './make-change.ts';
import { isSentByOwnPage, type PublicAddress } from './public-address.ts';
import { openSessionCookie } from './session-cookie.ts';
import type { SignIn } from './sign-in.ts';
import { addSignInRoutes } from './sign-in-routes.ts';

export interface RouteDeps
  extends Pick<PageContext, 'site' | 'setCommonHeaders' | 'refuse' | 'metrics'>,
    Changing {
  readonly db: Queryable;
  readonly signIn: SignIn;
  readonly address: PublicAddress;
  readonly pageDeadlineMs: number;
}

/** Adds every address of the self-view. */
export function addRoutes(router: Router, deps: RouteDeps): void {
  const { signIn, address, refuse } = deps;
  const cookie = openSessionCookie(address);
  router.use(deps.setCommonHeaders);
  const answers = openAnswers({
    ...deps,
    canIssue: signIn.canIssue,
    scripts: [serveAsset(router, 'client.js', 'js')],
    styles: [serveAsset(router, 'self-view.css', 'css')],
  });
  const access = openAccess(signIn, cookie, answers, refuse, deps.log, deps.pageDeadlineMs);

  // Scripts, styles and logos are answered by now. All that follows is one person's: no cache may keep it.
  const observed = observe(deps.metrics);
  router.use((_req, res, next) => {
    res.set({ 'cache-control': 'no-store', vary: 'Cookie, Accept, Authorization' });
    observed(res);
    next();
  });
  addListRoutes(router, { ...deps, cookie, access, answers });
  router.post(
    /.*/,
    (req, res, next) => {
      if (isSentByOwnPage(address, req.headers)) next();
      else
        refuse(req, res, 'forbidden', 'A page of another site sent this form. Use the one on your own page.');
    },
    (req, res, next) => {
      // Empty when the form came in another media type; the routes then find it incomplete.
      req.body = formOf(req);
      if (req.body !== null) next();
      else refuse(req, res, 'body-too-large', `A form may have ${MOST_BODY_BYTES} bytes: shorten it.`);
    },
  );
  addSignInRoutes(router, signIn, cookie, answers);
  addChangeRoutes(router, { ...deps, access, answers });
}

/** Counts every answer that shows the list or says that it cannot; sign-ins and redirects are no renders. */
function observe(metrics: Metrics): (res: Response) => void {
  // The self-view asks the source for every page: that is the delivery `synchronous`, and the only one it has.
  const labels = { page: 'self-view', delivery: 'synchronous' };
  const renders = metrics.counter('topclients_page_renders_total');
  const duration = seriesFromZero(metrics.histogram('topclients_page_render_duration_seconds'), labels);
  for (const outcome of ['full', 'missing', 'error']) renders.inc({ ...labels, outcome }, 0);
  return (res) => {
    const began = performance.now();
    res.locals['began'] = began;
    res.once('finish', () => {
      const outcome = res.getHeader(HEADERS.outcome) ?? (res.statusCode >= 500 ? 'error' : undefined);
      if (outcome === undefined) return;
      renders.inc({ ...labels, outcome: String(outcome) });
      duration.observe((performance.now() - began) / 1_000);
    });
  };
}
