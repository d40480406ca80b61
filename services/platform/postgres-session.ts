import pg from 'pg';
import { pause } from './lifecycle.ts';

/** A database, or the way to it, that cannot be used as it is set up; the message says what to change. */
export class UnfitDatabase extends Error {
  override name = 'UnfitDatabase';
}

/** Two connections can be the same session of the database: nothing that a session owns is safe there. */
export class SharedSession extends UnfitDatabase {
  override name = 'SharedSession';

  constructor(what: string, who: string) {
    super(
      `a pooler shares the sessions of the database (${what}), but ${who} needs one of its own, for locks, temporary tables or LISTEN: ` +
        'point the URL past the pooler, or at a pool in session mode',
    );
  }
}

/** `25006 read_only_sql_transaction`: the connection leads to a node that was demoted. */
export const READ_ONLY = '25006';

/** The settings of a session, whatever the defaults of the server, the database or the user are. */
export interface SessionSettings {
  /** Shown by the database, and in what is said about the session. */
  readonly applicationName: string;
  /** A statement that runs longer is cancelled by the server. */
  readonly statementTimeoutMs: number;
  /** Schemas in which unqualified names are looked up, first to last; absent: `public`. */
  readonly searchPath?: readonly string[];
  /** Further settings of the server, by name. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Takes only sessions that can write: waiting for a failover is better than an old answer. */
  readonly primaryOnly?: boolean;
}

const OLDEST_VERSION = 13;

/** Each of these has another default somewhere, under which something here would go wrong. */
const PINNED: Readonly<Record<string, string>> = {
  // A command waits for the lock of a row and decides by what it reads then.
  default_transaction_isolation: 'read committed',
  // How values are written as text, which is how they are read here.
  client_encoding: 'UTF8',
  datestyle: 'ISO, MDY',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  bytea_output: 'hex',
  extra_float_digits: '1',
  // How the server reads texts and arrays.
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  // A statement is bounded by its own timeout. A session that waits for a lock, or is idle, must not be ended sooner.
  lock_timeout: '0',
};
/** The same, of later versions: from PostgreSQL 14 on, and from 17 on. */
const PINNED_WHERE_KNOWN = ['idle_session_timeout', 'transaction_timeout'];

/**
 * The settings as columns of a select.
 * @param isLocal SQL; whether they last for the transaction only
 */
function settingsSql(settings: SessionSettings, isLocal: string): string {
  const { statementTimeoutMs, searchPath = ['public'], parameters } = settings;
  const pinned = {
    ...PINNED,
    search_path: searchPath.map((name) => pg.escapeIdentifier(name)).join(', '),
    statement_timeout: String(Math.ceil(statementTimeoutMs)),
    // A shorter one ends a transaction that waits for this process; a longer one keeps the locks of a dead process.
    idle_in_transaction_session_timeout: String(Math.max(Math.ceil(statementTimeoutMs), 10_000)),
    ...parameters,
  };
  return [
    ...Object.entries(pinned).map(
      ([name, value]) => `set_config(${pg.escapeLiteral(name)}, ${pg.escapeLiteral(value)}, ${isLocal})`,
    ),
    // What was acknowledged must survive a crash. A setting that also waits for replicas is kept.
    `case current_setting('synchronous_commit') when 'off' then set_config('synchronous_commit', 'on', ${isLocal}) end`,
    ...PINNED_WHERE_KNOWN.map(
      (name) =>
        `case when current_setting('${name}', true) <> '0' then set_config('${name}', '0', ${isLocal}) end`,
    ),
  ].join(', ');
}

interface Look {
  readonly backend: number;
  readonly encoding: string;
  /** As 130004. */
  readonly version: number;
  readonly database: string;
  readonly read_only: string;
  readonly in_recovery: boolean;
  /** The schema that pg_trgm is installed in; null where that is on the search path anyway. */
  readonly extensions: string | null;
}

/**
 * Pins the settings of a new connection, in one round trip if there is no pooler. A statement pins them, and not the
 * start of the connection: a pooler refuses most parameters of a start.
 * @returns whether there is a pooler, and the settings to be pinned: behind a pooler nothing is pinned yet
 * @throws UnfitDatabase
 */
export async function pinSettings(
  client: pg.ClientBase,
  settings: SessionSettings,
): Promise<{ readonly isPooled: boolean; readonly settings: SessionSettings }> {
  // A pooler shows another process id than the server's. A session that others may use is not changed.
  const shown = shownBackend(client);
  const { rows } =
    await client.query<Look>(`select pg_backend_pid() as backend, current_database() as database,
    current_setting('server_encoding') as encoding, current_setting('server_version_num')::integer as version, current_setting('transaction_read_only') as read_only,
    pg_is_in_recovery() as in_recovery,
    (select nspname from pg_catalog.pg_extension join pg_catalog.pg_namespace space on space.oid = extnamespace
      where extname = 'pg_trgm' and nspname <> 'public') as extensions,
    ${settingsSql(settings, `pg_backend_pid() <> ${shown}`)}`);
  const look = rows[0]!;
  assertFit(look, settings);
  const isPooled = look.backend !== shown;
  if (look.extensions === null || settings.searchPath !== undefined) return { isPooled, settings };
  const found = { ...settings, searchPath: ['public', look.extensions] };
  if (!isPooled) await pinSession(client, found);
  return { isPooled, settings: found };
}

/** Pins the settings of a connection that is known to be a session of its own. */
export async function pinSession(client: pg.ClientBase, settings: SessionSettings): Promise<void> {
  await client.query(`select ${settingsSql(settings, 'false')}`);
}

const shownBackend = (client: pg.ClientBase): number =>
  (client as unknown as { processID: number }).processID;

function assertFit(look: Look, { primaryOnly }: SessionSettings): void {
  const database = JSON.stringify(look.database);
  if (look.version < OLDEST_VERSION * 10_000) {
    throw new UnfitDatabase(
      `the server of the database ${database} is PostgreSQL ${Math.floor(look.version / 10_000)}: ${OLDEST_VERSION} or later is needed, so upgrade it or use another server`,
    );
  }
  if (look.encoding !== 'UTF8') {
    throw new UnfitDatabase(
      `the database ${database} has the encoding ${look.encoding}, which cannot hold every name: ` +
        `create it anew with create database ${database} encoding 'UTF8' template template0, and move what is in it`,
    );
  }
  // As libpq's `target_session_attrs` does. The setting is not overridden: somebody has stopped all writes, for a
  // maintenance or because another node is the primary now.
  if (primaryOnly && look.read_only !== 'off') {
    const why = look.in_recovery
      ? 'it is not the primary: point the URL at the primary'
      : `default_transaction_read_only is on: see who stopped all writes, then alter database ${database} reset default_transaction_read_only (or alter role, alter system)`;
    throw Object.assign(new UnfitDatabase(`the database session is read-only: ${why}`), { code: READ_ONLY });
  }
}

/** How long a second connection may wait for a session before the first is taken to hold the last one. */
const PROBE_MS = 150;
const TURNS = 3;

/**
 * @param other a second connection to the same address, for this check only
 * @throws SharedSession when the two are not a session each
 */
export async function assertOwnSession(
  client: pg.ClientBase,
  other: pg.ClientBase,
  who: string,
): Promise<void> {
  const ask = async (one: pg.ClientBase) =>
    (await one.query<{ backend: number }>('select pg_backend_pid() as backend')).rows[0]!.backend;
  const backend = await ask(client);
  // A pooler that has a free session for each may give them out in any order. Asking in turns reveals shared ones.
  for (let turn = 0; turn < TURNS; turn++) {
    const told = await Promise.race([ask(other), pause(PROBE_MS).then(() => null)]);
    if (told === backend) throw new SharedSession('two connections are one session', who);
    if ((await ask(client)) !== backend) throw new SharedSession('a connection changed its session', who);
    // Poolers serve waiting connections in order: one that is answered before another that waits has a session already.
    if (told === null) return;
  }
}

const BEGINS = /^\s*(begin|start\s+transaction)\b/i;
const ENDS = /^\s*(commit|end|abort|rollback(?!\s+to))\b/i;

/**
 * Makes a connection behind a pooler independent of its session: each transaction may run in another session, and those
 * of others run there too. Every transaction, and every statement outside of one, brings its settings along, in the
 * same round trip. Statements have no names, which PgBouncer understands from 1.21 on. Nothing is left behind in a
 * session, and what others left behind there does not count.
 * @throws UnfitDatabase where the pooler gives each statement a session of its own
 */
export async function shareSessions(client: pg.ClientBase, settings: SessionSettings): Promise<void> {
  const begin = `begin isolation level read committed; select ${settingsSql(settings, 'true')}`;
  const send = client.query.bind(client) as (query: unknown) => Promise<pg.QueryResult>;
  (client as unknown as { pipeline: boolean }).pipeline = true;

  const alone = async (query: unknown): Promise<pg.QueryResult> => {
    const [, answer] = await Promise.all([send(begin), send(query), send('commit')]);
    return answer;
  };
  let isOpen = false;
  const route = (query: { readonly text: string }): Promise<pg.QueryResult> => {
    const [begins, ends] = [BEGINS.test(query.text), ENDS.test(query.text)];
    const runs = begins ? send(begin) : isOpen || ends ? send(query) : alone(query);
    if (begins || ends) isOpen = begins;
    return runs;
  };
  type Done = (err: Error | null, answer?: pg.QueryResult) => void;
  client.query = ((given: string | pg.QueryConfig, values?: unknown[] | Done, done?: Done) => {
    const callback = typeof values === 'function' ? values : done;
    const query = { ...(typeof given === 'string' ? { text: given } : given), name: undefined };
    if (Array.isArray(values)) query.values = values;
    const answer = route(query);
    if (callback === undefined) return answer;
    return void answer.then((result) => callback(null, result), callback);
  }) as typeof client.query;

  try {
    await client.query('begin');
    await client.query('commit');
  } catch (cause) {
    if (!/statement pooling/.test((cause as Error).message)) throw cause;
    throw new UnfitDatabase(
      'a pooler in statement mode allows no transactions: set its pool_mode to transaction or session, or point the URL past it',
      { cause },
    );
  }
}
