import { z } from 'zod';
import { Delivery } from '#contracts/delivery.ts';
import { eachPage, eachPageWith, SERVED_PAGES, settingOfPage } from '#contracts/pages.ts';
import { RANGES } from '#contracts/ranges.ts';
import { PAGES } from '#pages/index.ts';
import type { Mount } from '#pages/mount.ts';
import { NO_INVALIDATION_FEED } from '#pages/page.ts';
import {
  boolean,
  ConfigError,
  databaseUrl,
  integer,
  integerIn,
  list,
  port,
  setting,
  url,
} from '#platform/config.ts';
import { databaseCaFile } from '#platform/database-tls.ts';
import { serveHealth } from '#platform/health.ts';
import { openHttpServer, SERVER_SETTINGS } from '#platform/http-server.ts';
import { pause } from '#platform/lifecycle.ts';
import { drain, listen, sayGoodbye } from '#platform/listen.ts';
import { UnfitDatabase } from '#platform/postgres.ts';
import { openTracing, TRACING_SETTINGS } from '#platform/tracing.ts';
import { proxiesOf, TRUSTED_PROXIES } from '#platform/trusted-proxies.ts';
import { defineRole } from '#role/role.ts';
import { callerCredential, secretText } from '../auth/caller-credential.ts';
import { OPTIONAL_IDENTITY_SETTINGS, requireIdentity } from '../auth/settings.ts';
import { ANY_VERSION } from '../page-kit/min-version.ts';
import { openReading } from '../page-kit/reading.ts';
import { openCallerIdentity } from '../source-client/caller-identity.ts';
import { createPageApp } from './app.ts';
import { mountPage } from './mount-page.ts';
import { followTraceLinks, TraceLinks } from './trace-links.ts';

/**
 * Encoded pages share buffers of this many bytes. A buffer for each page costs 2 to 3 µs more, and the larger the page
 * the more (bench/HISTORY.md).
 */
const PAGES_BUFFER_BYTES = 256 * 1024;

// The self-view asks the source of truth for every page, and has no view.
const SELF_VIEW = { page: 'self-view', delivery: 'synchronous' } as const;

export const role = defineRole({
  name: 'page-server',
  about: 'serves one page, with top clients by one delivery',
  settings: {
    page: setting('TC_PAGE', `which: ${SERVED_PAGES.join(', ')}`, z.enum(SERVED_PAGES)),
    delivery: setting(
      'TC_DELIVERY',
      'how the page gets the data: asynchronous, hybrid, synchronous, or off',
      Delivery.default('asynchronous'),
    ),
    parallel: setting(
      'TC_PARALLEL',
      'synchronous only: ask the source while the page reads its own database',
      boolean().default(true),
    ),
    databaseCaFile: databaseCaFile('TC_DATABASE_CA_FILE'),
    databaseUrl: setting('TC_DATABASE_URL', "PostgreSQL address of the page's own database", databaseUrl()),
    databasePool: setting(
      'TC_DATABASE_POOL',
      'connections to it, at most, beside the one that listens to change notifications',
      integerIn(RANGES.pageServer.databasePool),
    ),
    replicaCaFile: databaseCaFile(
      'TC_DATABASE_REPLICA_CA_FILE',
      'that replica; TC_DATABASE_CA_FILE unless set',
    ),
    replicaUrl: setting(
      'TC_DATABASE_REPLICA_URL',
      'PostgreSQL address of a server that follows that database, such as a standby: read while the first does not answer in time',
      databaseUrl().optional(),
    ),
    replicaLagMs: setting(
      'TC_REPLICA_LAG_MS',
      'the longest that the replica may be behind to be read, in ms',
      integer(100, 60_000).default(10_000),
    ),
    sourceUrl: setting('TC_SOURCE_URL', 'base address of the source of truth, without /v1', url()),
    sourceCredential: setting(
      'TC_SOURCE_CREDENTIAL',
      "by what the page tells the source who it is, made from the source's key; without it the source limits the page as a stranger",
      secretText(),
    ),
    sourceDeadlineMs: setting(
      'TC_SOURCE_DEADLINE_MS',
      'deadline of a call to the source, body included, in ms',
      integerIn(RANGES.pageServer.sourceDeadlineMs),
    ),
    sourceConcurrency: setting(
      'TC_SOURCE_CONCURRENCY',
      'calls to the source at the same time; as many again may wait',
      integerIn(RANGES.pageServer.sourceConcurrency),
    ),
    pageDeadlineMs: setting(
      'TC_PAGE_DEADLINE_MS',
      'deadline of a page in all, in ms',
      integerIn(RANGES.pageServer.pageDeadlineMs),
    ),
    versionCallsPerMinute: setting(
      'TC_VERSION_CALLS_PER_MINUTE',
      'calls to the source a client may cause in a minute by a minVersion that the page does not have; 0 for any number',
      integerIn(RANGES.pageServer.versionCallsPerMinute),
    ),
    port: setting('TC_PORT', 'port of the page', port()),
    ...eachPageWith('Url', (page) =>
      setting(settingOfPage(page, 'URL'), `public base address of the ${page} page`, url().optional()),
    ),
    selfViewUrl: setting('TC_SELF_VIEW_URL', 'public base address of the self-view', url().optional()),
    frameAncestors: setting(
      'TC_FRAME_ANCESTORS',
      'origins that may show the page in a frame, comma-separated',
      list().optional(),
    ),
    tokenUrl: setting('TC_TOKEN_URL', "self-view: the demo issuer's /token", url().optional()),
    ...SERVER_SETTINGS,
    trustedProxies: TRUSTED_PROXIES,
    ...OPTIONAL_IDENTITY_SETTINGS,
    ...TRACING_SETTINGS,
  },
  async start(config, { log, version, metrics, releases }) {
    Buffer.poolSize = PAGES_BUFFER_BYTES;
    if (config.pageDeadlineMs < config.sourceDeadlineMs + 100) {
      throw new ConfigError('TC_PAGE_DEADLINE_MS must be at least 100 more than TC_SOURCE_DEADLINE_MS');
    }
    const tracing = await openTracing(`page-${config.page}`, config, { log, version, releases });
    const identity = openCallerIdentity(
      callerCredential('TC_SOURCE_CREDENTIAL', config.sourceCredential),
      config.page,
      { log, metrics },
    );
    let stopping = false;
    let notReady: string | null = 'starting';
    let notReadyBecause = () => notReady;
    let isListening = false;
    const health = await serveHealth(config, {
      notReadyBecause: () =>
        stopping ? 'stopping' : isListening ? notReadyBecause() : 'does not listen yet',
      metrics,
      log,
    });
    releases.push('health', health.close);

    const viewVersion = metrics.gauge('topclients_page_view_version');
    let mount: Mount;
    if (config.page === 'self-view') {
      // Loaded only here: the other pages know no tokens. The keys are asked for while the rest is loaded.
      const { openIdentity } = await import('../auth/verifier.ts');
      const verifier = openIdentity(requireIdentity(config, 'page-server --page self-view'), {
        log,
        metrics,
      });
      releases.push('the keys of tokens', verifier.close);
      const { mountSelfView } = await import('../seller-portal/index.ts');
      mount = (router, context) => mountSelfView(router, { ...context, config, identity, verifier });
      viewVersion.set(SELF_VIEW, 0);
      // Without the keys it can let nobody in.
      notReadyBecause = verifier.notReadyBecause;
    } else {
      const page = PAGES[config.page];
      const { delivery } = config;
      const reading = openReading(
        {
          page: page.name,
          delivery,
          database: {
            url: config.databaseUrl,
            caFile: config.databaseCaFile,
            applicationName: `page-server ${config.page}`,
            maximum: config.databasePool,
            // The page's own deadline bounds the waits for a connection and for the statement together. These timeouts
            // end what still runs after it.
            statementTimeoutMs: Math.ceil(0.4 * config.pageDeadlineMs),
            connectTimeoutMs: Math.ceil(0.4 * config.pageDeadlineMs),
          },
          replica: config.replicaUrl
            ? {
                url: config.replicaUrl,
                caFile: config.replicaCaFile ?? config.databaseCaFile,
                lagMs: config.replicaLagMs,
              }
            : null,
          source: { url: config.sourceUrl, concurrency: config.sourceConcurrency, identity },
          isOurs: true,
        },
        { log, metrics },
      );
      releases.push('reading', reading.close);
      const { database, source, feed, pool } = reading;
      const traceLinks = new TraceLinks();
      mount = mountPage(page, { ...config, database, source, feed, traceLinks });
      const unread = `has not read the database of the page yet; is it up, and was migrate --target ${config.page} run?`;
      notReady = unread;
      notReadyBecause = () => notReady ?? reading.notReadyBecause();
      const abort = new AbortController();
      releases.push('readiness', () => abort.abort());
      if (delivery !== 'synchronous' && delivery !== 'off' && tracing.isOn) {
        const watching = followTraceLinks(pool, traceLinks, abort.signal, log);
        releases.push('trace links', () => {
          abort.abort();
          return watching;
        });
      }
      const look = async () => {
        const { withLists, withIds, own } = page.open(NO_INVALIDATION_FEED);
        const read = { asynchronous: withLists, hybrid: withIds, synchronous: own, off: own };
        while (!abort.signal.aborted) {
          try {
            const db = database.until(performance.now() + config.pageDeadlineMs);
            await read[delivery](db, page.probe, ANY_VERSION);
            notReady = null;
            log.info('has read the database of the page');
            return;
          } catch (err) {
            const { cause } = err as Error;
            notReady = cause instanceof UnfitDatabase ? cause.message : unread;
            log.warn({ err }, notReady);
          }
          await pause(1_000, abort.signal);
        }
      };
      void look();
    }

    const app = createPageApp({
      links: {
        ...eachPage((page) => config[`${page}Url`]),
        selfView: config.selfViewUrl,
      },
      ...(config.frameAncestors ? { frameAncestors: config.frameAncestors } : {}),
      trustedProxies: config.trustedProxies,
      log,
      metrics,
      tracing,
      releases,
      mount,
    });
    const server = openHttpServer(app, {
      ...{ port: 'http', limits: config, metrics, log },
      ...proxiesOf(app),
    });
    const listening = await listen(server, config.port, config.host, log);
    isListening = true;
    releases.push('server', () => drain(server));
    releases.push('kept connections', () => {
      stopping = true;
      return sayGoodbye(server, config.shutdownDelayMs);
    });
    log.info(
      { page: config.page, delivery: config.delivery, port: listening, healthPort: health.port },
      'serving',
    );
    return 'running';
  },
});
