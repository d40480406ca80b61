import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { PARSERS } from '#platform/postgres.ts';
import type { Problem } from '../../services/contracts/problems.ts';
import { CALLER_KEY } from '../../services/local-stack/callers.ts';
import { asItsUser, makeUsers, namesOf } from '../../services/local-stack/database-users.ts';
import { startIssuer, type TestIssuer } from '../../services/local-stack/issuer.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { type ManagedProcess, startProcess } from '../../services/local-stack/process.ts';
import { commandOf } from '../../services/local-stack/run-role.ts';
import { migrateSource } from '../../services/migrate/databases.ts';
import { silentLog } from '../../services/platform/log.ts';

/** A PostgreSQL and an issuer, for any number of sources of truth in a suite. */
export interface SourceBench {
  readonly postgres: LocalPostgres;
  readonly issuer: TestIssuer;
  /** Creates and migrates a database of that name. */
  database(name: string): Promise<string>;
  /** Starts the role as a separate process on a database, and resolves when it is ready. */
  startSource(databaseUrl: string, settings?: Record<string, string>): Promise<Source>;
  stop(): Promise<void>;
}

export interface Source {
  readonly url: string;
  readonly healthUrl: string;
  readonly databaseUrl: string;
  readonly process: ManagedProcess;
  /** Sends a request; a body that is no string is sent as JSON. A number in `as` sends a token of that seller. */
  call(method: string, path: string, request?: CallRequest): Promise<CallAnswer>;
  /** Queries the database directly. */
  query<T extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<T[]>;
  stop(): Promise<void>;
}

export interface CallRequest {
  readonly as?: number | string;
  readonly token?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}
export interface CallAnswer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: specs say what they expect of it
  readonly body: any;
  readonly problem: Problem;
  readonly text: string;
}

export async function startSourceBench(): Promise<SourceBench> {
  const folder = await mkdtemp(join(tmpdir(), 'source-'));
  const postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  await makeUsers(postgres, ['source']);
  const issuer = await startIssuer();
  const sources: Source[] = [];
  return {
    postgres,
    issuer,
    async database(name) {
      await postgres.createDatabase(name);
      await migrateSource(postgres.url(name), silentLog, { users: namesOf('source') });
      return postgres.url(name);
    },
    async startSource(databaseUrl, settings = {}) {
      const [port, healthPort] = [await freePort(), await freePort()];
      const healthUrl = `http://127.0.0.1:${healthPort}`;
      const process = await startProcess({
        name: 'top-clients',
        ...commandOf('top-clients'),
        logFile: join(folder, `top-clients-${port}.log`),
        readyUrl: `${healthUrl}/readyz`,
        env: {
          TC_PORT: String(port),
          TC_HEALTH_PORT: String(healthPort),
          ...asItsUser('top-clients', { TC_DATABASE_URL: databaseUrl }),
          TC_JWKS_URL: issuer.jwksUrl,
          TC_JWT_ISSUER: issuer.issuer,
          TC_JWT_AUDIENCE: issuer.audience,
          TC_WRITES_PER_MINUTE: '0',
          TC_CALLER_KEY: CALLER_KEY,
          // Tests call as strangers, all from one address.
          TC_REQUESTS_PER_MINUTE: '0',
          // The tables must hold only what the test wrote.
          TC_CANARY_INTERVAL_MS: '0',
          ...settings,
        },
      });
      const source = sourceAt(`http://127.0.0.1:${port}`, healthUrl, databaseUrl, process, issuer);
      sources.push(source);
      return source;
    },
    async stop() {
      await Promise.all(sources.map((source) => source.stop()));
      await issuer.close();
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function sourceAt(
  url: string,
  healthUrl: string,
  databaseUrl: string,
  process: ManagedProcess,
  issuer: TestIssuer,
): Source {
  return {
    url,
    healthUrl,
    databaseUrl,
    process,
    async call(method, path, { as, token, body, headers = {} } = {}) {
      const bearer = token ?? (as === undefined ? undefined : await issuer.token(as));
      const answer = await fetch(`${url}${path}`, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        signal: AbortSignal.timeout(20_000),
      });
      const text = await answer.text();
      const json = text === '' ? undefined : JSON.parse(text);
      return { status: answer.status, headers: answer.headers, body: json, problem: json, text };
    },
    async query(text, values) {
      const client = new pg.Client({ connectionString: databaseUrl, types: PARSERS });
      await client.connect();
      try {
        return (await client.query(text, values)).rows;
      } finally {
        await client.end();
      }
    },
    stop: async () => {
      await process.stop();
    },
  };
}
