import { isNativeError } from 'node:util/types';
import pg from 'pg';
import { UNTRUSTED } from './certificates.ts';
import { DatabaseClient, withTls } from './database-tls.ts';
import type { Log } from './log.ts';

export type { Client, Pool, PoolClient } from 'pg';
export type Queryable = Pick<pg.ClientBase, 'query'>;

// Ids fit a JavaScript number by contract (SellerId), and bigint columns hold nothing larger.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

/** `25006 read_only_sql_transaction`: the connection leads to a node that was demoted. */
const READ_ONLY = '25006';
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
  UNTRUSTED, // a certificate that was not renewed is, sooner or later
]);

/** True when PostgreSQL is down or out of reach, so that trying again later can help. */
export function isUnavailable(err: unknown): boolean {
  // Not `instanceof`: an error may come from another realm, as all of Node's own do in a test runner.
  if (!isNativeError(err)) return false;
  const { code, errors } = err as { code?: unknown; errors?: unknown };
  if (typeof code === 'string') return TRANSIENT_CODES.has(code);
  if (Array.isArray(errors)) return errors.some(isUnavailable);
  // pg gives these no code.
  return /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error)/.test(
    err.message,
  );
}

export interface PoolSettings {
  readonly url: string;
  /** The authority that must have signed the server's certificate; absent: what the address says of TLS. */
  readonly caFile?: string | undefined;
  readonly applicationName: string;
  readonly maximum: number;
  /** A statement that runs longer is cancelled by the server. */
  readonly statementTimeoutMs: number;
  /** How long to wait for a connection, new or from the pool. */
  readonly connectTimeoutMs: number;
  /** Schemas in which unqualified names are looked up, first to last. */
  readonly searchPath?: readonly string[];
  /** Sends a query before the one ahead of it was answered: a transaction costs fewer round trips. */
  readonly pipeline?: boolean;
  /** Takes only sessions that can write: waiting for a failover is better than an old answer. */
  readonly primaryOnly?: boolean;
}

/** Refuses a session that cannot write (a standby, a demoted primary), as libpq's `target_session_attrs` does. */
async function assertWritable(client: Queryable): Promise<void> {
  const { rows } = await client.query<{ transaction_read_only: string }>('show transaction_read_only');
  if (rows[0]?.transaction_read_only !== 'off') {
    throw Object.assign(new Error('the database session is read-only: not the primary'), { code: READ_ONLY });
  }
}

const clientConfig = (settings: Omit<PoolSettings, 'maximum'>): pg.ClientConfig => ({
  connectionString: withTls(settings.url, settings.caFile),
  application_name: settings.applicationName,
  statement_timeout: settings.statementTimeoutMs,
  // The server's cancel normally comes first; this one ends a wait for a server that is gone.
  query_timeout: settings.statementTimeoutMs + 500,
  connectionTimeoutMillis: settings.connectTimeoutMs,
  idle_in_transaction_session_timeout: Math.max(settings.statementTimeoutMs, 10_000),
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
  ...(settings.pipeline ? { pipeline: true } : {}),
  ...(settings.searchPath
    ? { options: `-c search_path=${settings.searchPath.map((name) => `"${name}"`).join(',')}` }
    : {}),
});

/** A bounded pool that survives the death of idle connections. Close it with `pool.end()`. */
export function openPool(settings: PoolSettings, log: Log): pg.Pool {
  const pool = new pg.Pool({
    ...clientConfig(settings),
    // The types leave its argument away.
    Client: DatabaseClient as unknown as new () => pg.ClientBase,
    max: settings.maximum,
    idleTimeoutMillis: 30_000,
    ...(settings.primaryOnly ? { onConnect: assertWritable } : {}),
  });
  // Without a listener an idle connection's death would end the process.
  pool.on('error', (err) => log.warn({ err }, 'an idle database connection died'));
  // Neither must that of one in use: its queries reject, which is how its user learns of it.
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

/** One connection of its own, for session locks and pipelining. The caller ends it. */
export async function connect(
  settings: Omit<PoolSettings, 'maximum' | 'primaryOnly'>,
  onLost: (err: Error) => void,
): Promise<pg.Client> {
  const client = new DatabaseClient(clientConfig(settings));
  client.on('error', onLost);
  await client.connect();
  return client;
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
