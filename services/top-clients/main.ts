import { z } from 'zod';
import { integer, list, milliseconds, port, setting, url } from '#platform/config.ts';
import { drain, listen, serveHealth } from '#platform/health.ts';
import { tuneHeap } from '#platform/heap.ts';
import { pause, within } from '#platform/lifecycle.ts';
import { openPool } from '#platform/postgres.ts';
import { defineRole } from '#platform/role.ts';
import { openTracing, TRACING_SETTINGS } from '#platform/tracing.ts';
import { isNetwork, isProxy, openLimits } from './adapters/http/limits.ts';
import { httpServer } from './adapters/http/server.ts';
import { jwksVerifier } from './adapters/jwt/verifier.ts';
import { postgresErasures } from './adapters/postgres/erasures.ts';
import { postgresSellers } from './adapters/postgres/sellers.ts';
import { tracedSellers } from './adapters/postgres/traced-sellers.ts';
import { emptyLogs, sweepAnswers, writeCanary } from './app/index.ts';

const SWEEP_EVERY_MS = 3_600_000;
const EMPTY_LOGS_EVERY_MS = 1_000;
const COUNT_ERASURES_EVERY_MS = 10_000;
const PROBE_EVERY_MS = 1_000;
const PROBE_DEADLINE_MS = 1_000;

/** An empty text is an empty list. */
const listOf = (accepts: (item: string) => boolean, otherwise: string) =>
  list()
    .transform((items) => items.filter((item) => item !== ''))
    .refine((items) => items.every(accepts), otherwise);

export const role = defineRole({
  name: 'top-clients',
  about: 'the source of truth: owns the lists and answers the HTTP contract',
  settings: {
    port: setting('TC_PORT', 'port of the HTTP contract', port().default(8090)),
    host: setting('TC_HOST', 'address to listen on', z.string().default('0.0.0.0')),
    databaseUrl: setting('TC_DATABASE_URL', 'PostgreSQL address of the primary', url()),
    databasePool: setting('TC_DATABASE_POOL', 'connections to the database', integer(1, 1_000).default(16)),
    statementTimeoutMs: setting(
      'TC_STATEMENT_TIMEOUT_MS',
      'a statement that takes longer is cancelled, in ms',
      integer(10, 600_000).default(2_000),
    ),
    poolWaitMs: setting(
      'TC_POOL_WAIT_MS',
      'how long a request waits for a database connection, in ms',
      integer(10, 600_000).default(1_000),
    ),
    jwksUrl: setting('TC_JWKS_URL', 'address of the keys that tokens are signed with', url()),
    jwksTimeoutMs: setting(
      'TC_JWKS_TIMEOUT_MS',
      'deadline for fetching the keys, in ms',
      integer(10, 60_000).default(2_000),
    ),
    jwksRefreshMs: setting(
      'TC_JWKS_REFRESH_MS',
      'how often the keys are fetched anew, in ms',
      integer(1_000, 86_400_000).default(300_000),
    ),
    jwtIssuer: setting('TC_JWT_ISSUER', 'the only issuer whose tokens are accepted', z.string().min(1)),
    jwtAudience: setting('TC_JWT_AUDIENCE', 'the audience a token must name', z.string().min(1)),
    jwtAlgorithms: setting(
      'TC_JWT_ALGORITHMS',
      'accepted signature algorithms, comma-separated: ES256, RS256, EdDSA',
      list()
        .pipe(z.array(z.enum(['ES256', 'RS256', 'EdDSA'])).min(1))
        .default(['ES256']),
    ),
    writesPerMinute: setting(
      'TC_WRITES_PER_MINUTE',
      'changes a seller may send in a minute; 0 for any number',
      integer(0, 10_000_000).default(300),
    ),
    requestsPerMinute: setting(
      'TC_REQUESTS_PER_MINUTE',
      'requests an address may send in a minute; 0 for any number',
      integer(0, 10_000_000).default(1_200),
    ),
    unlimitedNetworks: setting(
      'TC_UNLIMITED_NETWORKS',
      'networks that the limit per address leaves alone, comma-separated; our own pages call from there',
      listOf(isNetwork, 'must be networks like 10.0.0.0/8 or fc00::/7').default([
        '127.0.0.0/8',
        '::1/128',
        '10.0.0.0/8',
        '172.16.0.0/12',
        '192.168.0.0/16',
        'fc00::/7',
      ]),
    ),
    trustedProxies: setting(
      'TC_TRUSTED_PROXIES',
      'proxies whose X-Forwarded-For tells the address, comma-separated: addresses, networks, loopback, uniquelocal',
      listOf(isProxy, 'must be addresses, networks, loopback, linklocal or uniquelocal').default([]),
    ),
    requestsInFlight: setting(
      'TC_REQUESTS_IN_FLIGHT',
      'requests served at once; a further one is answered 503',
      integer(1, 100_000).default(500),
    ),
    requestTimeoutMs: setting(
      'TC_REQUEST_TIMEOUT_MS',
      'until a request must have arrived in full, in ms',
      integer(100, 600_000).default(10_000),
    ),
    canaryIntervalMs: setting(
      'TC_CANARY_INTERVAL_MS',
      'how often the synthetic seller is changed, by one replica at a time, in ms; 0 never',
      milliseconds().default(1_000),
    ),
    ...TRACING_SETTINGS,
  },
  async start(config, { log, version, metrics, releases }) {
    tuneHeap();
    const tracing = await openTracing('top-clients', config, { log, version, releases });
    const pool = openPool(
      {
        url: config.databaseUrl,
        applicationName: 'top-clients',
        maximum: config.databasePool,
        statementTimeoutMs: config.statementTimeoutMs,
        connectTimeoutMs: config.poolWaitMs,
        pipeline: true,
        primaryOnly: true,
      },
      log,
    );
    releases.push('the database pool', () => pool.end());

    const stopping = new AbortController();
    let notReady: string | null = 'the database was not reached yet';
    let isListening = false;
    const health = await serveHealth(config.healthPort, {
      notReadyBecause: () =>
        stopping.signal.aborted ? 'stopping' : isListening ? notReady : 'does not listen yet',
      registry: metrics.registry,
    });
    releases.push('the health port', health.close);

    const sellers = tracedSellers(postgresSellers(pool), tracing);
    const probe = async () => {
      const before = notReady;
      try {
        await within(PROBE_DEADLINE_MS, 'asking the database', sellers.list(1));
        notReady = null;
      } catch (err) {
        notReady = `the database: ${(err as Error).message}`;
        if (before === null) log.warn({ err }, 'not ready');
      }
      if (before !== null && notReady === null) log.info('ready');
    };
    const sweep = () =>
      sweepAnswers(sellers, stopping.signal).then(
        (forgotten) => log.info({ forgotten }, 'swept old idempotency keys'),
        (err: unknown) => log.warn({ err }, 'could not sweep old idempotency keys'),
      );
    const erasures = postgresErasures(pool);
    // As much rest as work: sellers who write come first.
    const rest = (tookMs: number) => pause(Math.max(5, tookMs), stopping.signal);
    const emptied = (sellerId: number, version: number) =>
      log.info({ sellerId, version }, 'emptied the log of an erased seller');
    const emptyErased = () =>
      emptyLogs(erasures, { emptied }, rest, stopping.signal).catch((err: unknown) =>
        log.warn({ err }, 'could not empty the logs of erased sellers; goes on later'),
      );
    const openErasures = {
      receipts: metrics.gauge('topclients_erasure_open_receipts'),
      oldestSince: metrics.gauge('topclients_erasure_open_since_timestamp_seconds'),
      topics: metrics.gauge('topclients_erasure_topic_receipts'),
      topicDue: metrics.gauge('topclients_erasure_topic_due_timestamp_seconds'),
    };
    const countErasures = async () => {
      try {
        const open = await erasures.open();
        for (const name of Object.keys(openErasures) as (keyof typeof open)[]) {
          openErasures[name].set(open[name] ?? 0);
        }
      } catch (err) {
        log.warn({ err }, 'could not count the receipts of erasures that are open');
      }
    };
    const canaryWrites = metrics.counter('topclients_canary_writes_total');
    for (const result of ['written', 'failed'] as const) canaryWrites.inc({ result }, 0);
    let canaryVersion: number | null = null;
    const canary = async () => {
      try {
        const turn = await writeCanary(sellers, canaryVersion);
        canaryVersion = turn.version;
        if (turn.written) canaryWrites.inc({ result: 'written' });
      } catch (err) {
        canaryWrites.inc({ result: 'failed' });
        log.debug({ err }, 'could not change the canary');
      }
    };
    const background = Promise.all([
      ...(config.canaryIntervalMs > 0 ? [repeat(canary, config.canaryIntervalMs, stopping.signal)] : []),
      repeat(probe, PROBE_EVERY_MS, stopping.signal),
      repeat(sweep, SWEEP_EVERY_MS, stopping.signal),
      repeat(emptyErased, EMPTY_LOGS_EVERY_MS, stopping.signal),
      repeat(countErasures, COUNT_ERASURES_EVERY_MS, stopping.signal),
    ]);
    releases.push('the background work', () => {
      stopping.abort();
      return background;
    });

    const verifier = jwksVerifier(
      {
        jwksUrl: config.jwksUrl,
        issuer: config.jwtIssuer,
        audience: config.jwtAudience,
        algorithms: config.jwtAlgorithms,
        timeoutMs: config.jwksTimeoutMs,
        refreshMs: config.jwksRefreshMs,
      },
      log,
      stopping.signal,
    );
    const limited = metrics.counter('topclients_rate_limited_total');
    for (const limit of ['seller', 'address'] as const) limited.inc({ limit }, 0);
    const limits = openLimits(config, (limit) => limited.inc({ limit }));
    const server = httpServer({ sellers, erasures, verifier, limits, metrics, tracing, log }, config);
    const listening = await listen(server, config.port, config.host);
    isListening = true;
    releases.push('the HTTP server', () => drain(server));
    releases.push('readiness', () => stopping.abort());

    log.info({ port: listening, healthPort: health.port }, 'serving');
    return 'running';
  },
});

async function repeat(work: () => Promise<void>, everyMs: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await work();
    await pause(everyMs, signal);
  }
}
