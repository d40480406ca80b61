import type { Router } from 'express';
import { ConfigError } from '#platform/config.ts';
import { openPool } from '#platform/postgres.ts';
import type { SelfViewDeps } from '../mount.ts';
import { openChangeLog } from './change-log.ts';
import { forgetChanges } from './forget.ts';
import { addRoutes } from './routes.ts';
import { openSignIn } from './sign-in.ts';
import { openSourceOfTruth } from './source-of-truth.ts';
import { openTruthReader } from './truth.ts';

/**
 * Adds the self-view: a seller's own list, read from the source of truth at every request, and its forms.
 * @throws ConfigError naming the settings it cannot do without
 */
export function mountSelfView(router: Router, deps: SelfViewDeps): void {
  const { config, log, metrics, releases } = deps;
  const required = (value: string | undefined, name: string): string => {
    if (value === undefined) throw new ConfigError(`page-server --page self-view needs ${name}`);
    return value;
  };
  const signIn = openSignIn({
    jwksUrl: required(config.jwksUrl, 'TC_JWKS_URL'),
    issuer: required(config.jwtIssuer, 'TC_JWT_ISSUER'),
    audience: required(config.jwtAudience, 'TC_JWT_AUDIENCE'),
    tokenUrl: config.tokenUrl,
  });
  // What takes longer than half of a page's time comes too late for it.
  const timeoutMs = Math.ceil(config.pageDeadlineMs / 2);
  const db = openPool(
    {
      url: config.databaseUrl,
      applicationName: 'page-server self-view',
      maximum: config.databasePool,
      statementTimeoutMs: timeoutMs,
      connectTimeoutMs: timeoutMs,
    },
    log,
  );
  releases.push('database of the self-view', () => db.end());
  const source = openSourceOfTruth(config.sourceUrl);
  releases.push('connections to the source of truth', () => source.close());
  const changes = openChangeLog(db, config.pageDeadlineMs);
  const forgotten = metrics.gauge('topclients_self_view_forgotten_timestamp_seconds');
  const stopping = new AbortController();
  const forgetting = forgetChanges(
    { changes, source, log, forgotten: (at) => forgotten.set(at / 1_000) },
    stopping.signal,
  );
  releases.push('forgetting of changes', () => {
    stopping.abort();
    return forgetting;
  });
  const violations = metrics.counter('topclients_self_view_violations_total');
  addRoutes(router, {
    ...deps,
    db,
    signIn,
    source,
    changes,
    truth: openTruthReader(source, changes, violations, log),
    pageDeadlineMs: config.pageDeadlineMs,
  });
}
