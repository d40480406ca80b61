import { setTimeout as delay } from 'node:timers/promises';
import { isNativeError } from 'node:util/types';
import pg from 'pg';
import { UNTRUSTED } from './certificates.ts';
import { DatabaseClient, withTls } from './database-tls.ts';
import { DatabaseUrl } from './database-url.ts';
import type { Log } from './log.ts';
import {
  assertOwnSession,
  pinSession,
  pinSettings,
  READ_ONLY,
  type SessionSettings,
  shareSessions,
  UnfitDatabase,
} from './postgres-session.ts';

export type { Client, Pool, PoolClient } from 'pg';
export { SharedSession, UnfitDatabase } from './postgres-session.ts';
export type Queryable = Pick<pg.ClientBase, 'query'>;

const TRANSIENT_CODES = new Set([
  '08000',
  '08001',
  '08003',
  '08004',
  '08006',
  '08007',
  '08P01', // connection lost
  '57P01',
  '57P02',
  '57P03', // shutting down, crashed, starting
  '53300',
  '53400',
  '53100', // too many connections, limits, disk full
  READ_ONLY,
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  UNTRUSTED, // a certificate that has expired is renewed sooner or later
]);

/** True when PostgreSQL is down or out of reach, so that trying again later can help. */
export function isUnavailable(err: unknown): boolean {
  // Not `instanceof`: an error may come from another realm, as all of Node's own do in a test runner.
  if (!isNativeError(err)) return false;
  if (err instanceof UnfitDatabase) return true;
  const { code, errors } = err as { code?: unknown; errors?: unknown };
  if (typeof code === 'string') return TRANSIENT_CODES.has(code);
  if (Array.isArray(errors)) return errors.some(isUnavailable);
  // pg gives these no code.
  return /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error)/.test(
    err.message,
  );
}

export interface PoolSettings extends SessionSettings {
  readonly url: string | DatabaseUrl;
  /** The authority that must have signed the server's certificate; absent: what the address says of TLS. */
  readonly caFile?: string | undefined;
  readonly maximum: number;
  /** How long to wait for a connection, new or from the pool. */
  readonly connectTimeoutMs: number;
  /** Sends a query before the one ahead of it was answered: a transaction costs fewer round trips. */
  readonly pipeline?: boolean;
}

/** Of our own connections alone: others in the process may want the driver's. */
export const PARSERS = idsAsNumbers();

function idsAsNumbers() {
  const parsers = new pg.TypeOverrides();
  // Ids fit a JavaScript number by contract (SellerId), and bigint columns hold nothing larger.
  parsers.setTypeParser(pg.types.builtins.INT8, Number);
  return parsers;
}

// Settings of the session are not made here: see `pinSettings`.
const clientConfig = (settings: Omit<PoolSettings, 'maximum'>): pg.ClientConfig => ({
  types: PARSERS,
  connectionString: withTls(DatabaseUrl.of(settings.url).revealed, settings.caFile),
  application_name: settings.applicationName,
  // The server's cancel normally comes first; this one ends a wait for a server that is gone.
  query_timeout: settings.statementTimeoutMs + 500,
  connectionTimeoutMillis: settings.connectTimeoutMs,
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
  ...(settings.pipeline ? { pipeline: true } : {}),
});

/**
 * A bounded pool that survives the death of idle connections. Behind a pooler it asks nothing of a session, so that a
 * pool in transaction mode will do. Close it with `pool.end()`.
 * @throws WrongDatabaseUrl; whoever takes a connection may get an UnfitDatabase
 */
export function openPool(settings: PoolSettings, log: Log): pg.Pool {
  let refused: (err: Error) => void = () => {};
  const config: pg.PoolConfig = {
    ...clientConfig(settings),
    // The types lack the argument of its constructor.
    Client: class extends DatabaseClient {
      constructor(config: pg.ClientConfig) {
        super(config, (err) => refused(err));
      }
    } as unknown as new () => pg.ClientBase,
    max: settings.maximum,
    idleTimeoutMillis: 30_000,
    onConnect: async (client) => {
      const pinned = await pinSettings(client, settings);
      if (pinned.isPooled) await shareSessions(client, pinned.settings);
    },
  };
  const pool = new LastingPool(
    config,
    () => withAnother(settings, async () => {}),
    (err) => log.warn({ err }, 'the database refuses another connection: those that are there go on'),
  );
  // It holds the password. Whoever prints a pool, or an error that holds one, prints its enumerable properties.
  Object.defineProperty(pool.options, 'connectionString', { enumerable: false });
  // Without a listener an idle connection's death would end the process.
  pool.on('error', (err) => log.warn({ err }, 'an idle database connection died'));
  // The death of a connection in use must not end it either: its queries reject, which tells their caller.
  pool.on('connect', (client) => client.on('error', () => {}));
  refused = leaveWithServer(pool);
  return pool;
}

/** How long after a refusal it is tried again, in ms. */
const REFUSED_MS = 5_000;
/** Another password, a user that may not sign in any more, or no rule that lets it in. */
const REFUSED: ReadonlySet<unknown> = new Set(['28P01', '28000']);

type Taken = Parameters<pg.Pool['connect']>[0];

/**
 * A pool that makes do with the connections that it has while the server refuses its user another one: whoever asks waits
 * for one of them. A password that is changed takes a while to reach the programs, and nobody fails meanwhile. Whether another
 * is let in again is tried beside the requests, so that none has to wait for a refusal.
 */
class LastingPool extends pg.Pool {
  readonly #most: number;
  readonly #attempt: () => Promise<void>;
  readonly #told: (err: Error) => void;
  #isMakingDo = false;

  /**
   * @param attempt whether a connection comes about
   * @param told why it begins to make do
   */
  constructor(config: pg.PoolConfig, attempt: () => Promise<void>, told: (err: Error) => void) {
    super(config);
    this.#most = this.options.max;
    this.#attempt = attempt;
    this.#told = told;
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(callback: Taken): void;
  override connect(callback?: Taken): Promise<pg.PoolClient> | undefined {
    if (!callback) {
      return new Promise((resolve, reject) => {
        this.connect((err, client) => (err ? reject(err) : resolve(client!)));
      });
    }
    super.connect((err, client, release) => {
      const isRefused = err !== undefined && REFUSED.has((err as { code?: unknown }).code);
      if (!isRefused || this.totalCount === 0) return callback(err, client, release);
      this.#makeDo(err);
      this.connect(callback);
    });
    return;
  }

  /** Full with what there is, none of which ends for being idle. */
  #makeDo(because: Error): void {
    this.options.max = this.totalCount;
    this.options.min = this.totalCount;
    if (this.#isMakingDo) return;
    this.#isMakingDo = true;
    this.#told(because);
    void this.#untilLetIn();
  }

  async #untilLetIn(): Promise<void> {
    for (let isRefused = true; isRefused && !this.ending; ) {
      await delay(REFUSED_MS, undefined, { ref: false });
      isRefused = await this.#attempt().then(
        () => false,
        () => true,
      );
    }
    this.options.max = this.#most;
    this.options.min = 0;
    this.#isMakingDo = false;
  }
}

/** Shutting down, crashed, starting, or no primary any more. */
const LEAVING: ReadonlySet<unknown> = new Set(['57P01', '57P02', '57P03', READ_ONLY]);

/** Given to `release`: what a connection leads to is not what its address leads to any more. The others of the pool leave too. */
export class LeadsElsewhere extends Error {
  override name = 'LeadsElsewhere';
}

/** Whether a server is of no use any more, or does not answer, so that its other connections are no better. */
const tellsOfLeaving = (err: unknown): boolean =>
  isNativeError(err) &&
  (err instanceof LeadsElsewhere ||
    LEAVING.has((err as { code?: unknown }).code) ||
    err.message.startsWith('Query read timeout'));

/**
 * Ends every connection of the pool that is as old as the news that its server leaves: those that are idle at once, the
 * others as they are given back. Each would otherwise fail by itself, a request at a time, or be held open; a server that
 * shuts down smartly waits for the last one. The next connections lead to whoever the address then leads to.
 * @returns to be told of a connection that did not come about
 */
function leaveWithServer(pool: pg.Pool): (err: unknown) => void {
  const connectedAt = new WeakMap<object, number>();
  let leftAt = Number.NEGATIVE_INFINITY;
  const isOld = (client: object) => (connectedAt.get(client) ?? 0) <= leftAt;
  // The public way to an idle connection is to take it.
  const review = (idle: number) => {
    for (let i = 0; i < idle; i++)
      pool.connect().then(
        (client) => client.release(isOld(client)),
        () => {},
      );
  };
  const told = (err: unknown) => {
    if (!tellsOfLeaving(err)) return;
    leftAt = performance.now();
    review(pool.idleCount);
  };
  pool.on('connect', (client) => connectedAt.set(client, performance.now()));
  pool.on('error', told);
  pool.on('release', (err, client) => {
    if (err) told(err);
    else if (isOld(client)) setImmediate(review, 1);
  });
  return told;
}

/** Does something with a connection beside those that are held, and ends it. */
async function withAnother(
  settings: Omit<PoolSettings, 'maximum'>,
  work: (other: pg.Client) => Promise<void>,
): Promise<void> {
  const other = new DatabaseClient(clientConfig(settings));
  other.on('error', () => {});
  try {
    await other.connect();
    await work(other);
  } finally {
    void other.end().catch(() => {});
  }
}

/**
 * One connection with a session of its own, for session locks, LISTEN and pipelining. The caller ends it.
 * @throws UnfitDatabase; SharedSession behind a pooler that does not keep a session for each connection
 * @throws what `pg` throws when the database cannot be reached
 */
export async function connect(
  settings: Omit<PoolSettings, 'maximum'>,
  onLost: (err: Error) => void,
): Promise<pg.Client> {
  const client = new DatabaseClient(clientConfig(settings));
  client.on('error', onLost);
  await client.connect();
  try {
    const pinned = await pinSettings(client, settings);
    if (!pinned.isPooled) return client;
    await withAnother(settings, (other) => assertOwnSession(client, other, settings.applicationName));
    await pinSession(client, pinned.settings);
    return client;
  } catch (err) {
    void client.end().catch(() => {});
    throw err;
  }
}

/**
 * Runs `work` in one transaction: commits when it resolves, rolls back when it throws. A connection that failed in
 * a way that taints it (lost, demoted to read-only) is not given back to the pool.
 */
export async function inTransaction<T>(pool: pg.Pool, work: (tx: pg.PoolClient) => Promise<T>): Promise<T> {
  const tx = await pool.connect();
  let broken: Error | undefined;
  try {
    await tx.query('begin');
    const result = await work(tx);
    await tx.query('commit');
    return result;
  } catch (err) {
    if (isUnavailable(err)) broken = err as Error;
    else
      await tx.query('rollback').catch((cause: Error) => {
        broken = cause;
      });
    throw err;
  } finally {
    tx.release(broken);
  }
}
