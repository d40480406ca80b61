import type { Router } from 'express';
import type { PageContext } from '#pages/mount.ts';
import type { DatabaseUrl } from '#platform/database-url.ts';
import { openPool } from '#platform/postgres.ts';
import type { TokenVerifier } from '../auth/verifier.ts';
import type { CallerIdentity } from '../source-client/caller-identity.ts';
import { openSourceApi } from '../source-client/source-api.ts';
import { observePage } from '../source-client/source-metrics.ts';
import { openTransport } from '../source-client/transport.ts';
import { openChangeLog } from './change-log.ts';
import { forgetChanges } from './forget.ts';
import { readPublicAddress } from './public-address.ts';
import { openReadYourWrites } from './read-your-writes.ts';
import { addRoutes } from './routes.ts';
import { openSignIn } from './sign-in.ts';

/** What the page server gives to the self-view beside what every page gets. */
export interface SelfViewDeps extends PageContext {
  readonly identity: CallerIdentity;
  readonly config: {
    readonly databaseCaFile: string | undefined;
    readonly databaseUrl: string | DatabaseUrl;
    readonly databasePool: number;
    /** Base of the source of truth, without `/v1`. */
    readonly sourceUrl: string;
    readonly sourceDeadlineMs: number;
    readonly pageDeadlineMs: number;
    /** The demo issuer's `/token`; without it there is no sign-in form. */
    readonly tokenUrl: string | undefined;
    /** The address under which browsers find the self-view. */
    readonly selfViewUrl: string | undefined;
  };
  readonly verifier: TokenVerifier;
}

/** Calls to the source of truth at once. Few sellers edit, compared with the buyers who look. */
const CALLS_AT_ONCE = 32;
/** How long an open circuit breaker keeps calls from the source, in ms. */
const BREAK_MS = 1_000;

/**
 * Adds the self-view: a seller's own list, read from the source of truth at every request, and its forms.
 * @throws ConfigError when it cannot be served at its public address
 */
export function mountSelfView(router: Router, deps: SelfViewDeps): void {
  const { config, identity, log, metrics, releases } = deps;
  // It is a demonstration when anybody can get a token of any seller.
  const address = readPublicAddress(config.selfViewUrl, config.tokenUrl !== undefined);
  const signIn = openSignIn(deps.verifier, config.tokenUrl);
  // What takes longer than half of a page's deadline comes too late for the page.
  const timeoutMs = Math.ceil(config.pageDeadlineMs / 2);
  const db = openPool(
    {
      url: config.databaseUrl,
      caFile: config.databaseCaFile,
      applicationName: 'page-server self-view',
      maximum: config.databasePool,
      statementTimeoutMs: timeoutMs,
      connectTimeoutMs: timeoutMs,
    },
    log,
  );
  releases.push('database of the self-view', () => db.end());
  const transport = openTransport(
    { url: config.sourceUrl, concurrency: CALLS_AT_ONCE, breakMs: BREAK_MS, identity },
    log,
    observePage('self-view', metrics, 'ok'),
  );
  releases.push('connections to the source of truth', transport.close);
  const source = openSourceApi(transport);
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
    address,
    source,
    changes,
    reads: openReadYourWrites(source, changes, violations, log),
    pageDeadlineMs: config.pageDeadlineMs,
  });
}
