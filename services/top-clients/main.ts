import { RANGES } from '#contracts/ranges.ts';
import { databaseUrl, integer, integerIn, milliseconds, port, setting } from '#platform/config.ts';
import { databaseCaFile } from '#platform/database-tls.ts';
import { serveHealth } from '#platform/health.ts';
import { SERVER_SETTINGS } from '#platform/http-server.ts';
import { pause, within } from '#platform/lifecycle.ts';
import { drain, listen, sayGoodbye } from '#platform/listen.ts';
import { openPool } from '#platform/postgres.ts';
import { openTracing, TRACING_SETTINGS } from '#platform/tracing.ts';
import { TRUSTED_PROXIES } from '#platform/trusted-proxies.ts';
import { defineRole } from '#role/role.ts';
import { callerKeys, secretText } from '../auth/caller-credential.ts';
import { IDENTITY_SETTINGS } from '../auth/settings.ts';
import { openIdentity } from '../auth/verifier.ts';
import { openCallers } from './adapters/http/callers.ts';
import { openLimits } from './adapters/http/limits.ts';
import { httpServer } from './adapters/http/server.ts';
import { postgresErasures } from './adapters/postgres/erasures.ts';
import { postgresSellers } from './adapters/postgres/sellers.ts';
import { tracedSellers } from './adapters/postgres/traced-sellers.ts';
import { emptyLogs, sweepKeys, writeCanary } from './app/index.ts';

const SWEEP_EVERY_MS = 3_600_000;
const EMPTY_LOGS_EVERY_MS = 1_000;
const COUNT_ERASURES_EVERY_MS = 10_000;
const PROBE_EVERY_MS = 1_000;
const PROBE_DEADLINE_MS = 1_000;

export const role = defineRole({
  name: 'top-clients',
  about: 'the source of truth: owns the lists and answers the HTTP contract',
  settings: {
    port: setting('TC_PORT', 'port of the HTTP contract', port().default(8090)),
    databaseCaFile: databaseCaFile('TC_DATABASE_CA_FILE'),
    databaseUrl: setting('TC_DATABASE_URL', 'PostgreSQL address of the primary', databaseUrl()),
    databasePool: setting(
      'TC_DATABASE_POOL',
      'connections to the database',
      integerIn(RANGES.source.databasePool),
    ),
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
    ...IDENTITY_SETTINGS,
    writesPerMinute: setting(
      'TC_WRITES_PER_MINUTE',
      'changes a seller may send in a minute; 0 for any number',
      integerIn(RANGES.source.writesPerMinute),
    ),
    requestsPerMinute: setting(
      'TC_REQUESTS_PER_MINUTE',
      "requests a stranger's address, or a seller who is signed in, may send in a minute; 0 for any number",
      integerIn(RANGES.source.requestsPerMinute),
    ),
    pageRequestsPerMinute: setting(
      'TC_PAGE_REQUESTS_PER_MINUTE',
      'requests a page that says who it is may send in a minute, all its servers together; 0 for any number',
      integerIn(RANGES.source.pageRequestsPerMinute),
    ),
    callerKey: setting(
      'TC_CALLER_KEY',
      'the key that credentials of our own callers are made from, 32 characters or more; without one nobody is known',
      secretText(),
    ),
    nextCallerKey: setting(
      'TC_CALLER_NEXT_KEY',
      'the key that will follow it, accepted already',
      secretText(),
    ),
    previousCallerKey: setting('TC_CALLER_PREVIOUS_KEY', 'the key before it, accepted still', secretText()),
    trustedProxies: TRUSTED_PROXIES,
    canaryIntervalMs: setting(
      'TC_CANARY_INTERVAL_MS',
      'how often the synthetic seller is changed, by one replica at a time, in ms; 0 never',
      milliseconds().default(1_000),
    ),
    ...SERVER_SETTINGS,
    ...TRACING_SETTINGS,
  },
  async start(config, { log, version, metrics, releases }) {
    const keys = callerKeys({
      TC_CALLER_KEY: config.callerKey,
      TC_CALLER_NEXT_KEY: config.nextCallerKey,
      TC_CALLER_PREVIOUS_KEY: config.previousCallerKey,
    });
    if (keys.length === 0) {
      log.warn('TC_CALLER_KEY is not set: pages cannot say who they are, and are limited as strangers');
    }
    const callers = openCallers(keys);
    const tracing = await openTracing('top-clients', config, { log, version, releases });
    const pool = openPool(
      {
        url: config.databaseUrl,
        caFile: config.databaseCaFile,
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
    const health = await serveHealth(config, {
      notReadyBecause: () =>
        stopping.signal.aborted ? 'stopping' : isListening ? notReady : 'does not listen yet',
      metrics,
      log,
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
      sweepKeys(sellers, stopping.signal).then(
        (forgotten) => log.info({ forgotten }, 'swept old idempotency keys'),
        (err: unknown) => log.warn({ err }, 'could not sweep old idempotency keys'),
      );
    const erasures = postgresErasures(pool);
    // Rests as long as it worked: sellers' writes come first.
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

    // Reads need no token: the role stays ready without the keys.
    const verifier = openIdentity(config, { log, metrics });
    releases.push('the keys of tokens', verifier.close);
    const limited = metrics.counter('topclients_rate_limited_total');
    for (const limit of ['seller', 'page', 'signed-in', 'address'] as const) limited.inc({ limit }, 0);
    const limits = openLimits(config, (limit) => limited.inc({ limit }));
    const server = httpServer(
      { sellers, erasures, verifier, limits, callers, metrics, tracing, log },
      config,
    );
    const listening = await listen(server, config.port, config.host, log);
    isListening = true;
    releases.push('the HTTP server', () => drain(server));
    releases.push('kept connections', () => {
      stopping.abort();
      return sayGoodbye(server, config.shutdownDelayMs);
    });

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
