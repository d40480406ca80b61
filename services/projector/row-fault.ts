import { isUnavailable } from '#platform/postgres.ts';

/** `54000 program_limit_exceeded`: used for values that are too large, and for states of the whole server. */
const LIMIT_EXCEEDED = '54000';

/**
 * Source files of PostgreSQL that raise 54000 for the state of the server, whatever the row holds: the queue of
 * notifications is full (async.c), no transaction or multixact may be begun before a vacuum (varsup.c, multixact.c), a
 * transaction has too many commands (xact.c), a table has no further block (bufmgr.c, md.c). All others raise it for a
 * value: a row or an index entry beyond a page, an array, a JSON or a text beyond its limit.
 */
const OF_THE_SERVER = new Set(['async.c', 'varsup.c', 'multixact.c', 'xact.c', 'bufmgr.c', 'md.c']);

interface PostgresError {
  readonly code?: unknown;
  /** The file of PostgreSQL's source that raised it, without its folder. */
  readonly file?: unknown;
}

/**
 * True when the database refused these very values, so that trying again now cannot help: data exceptions (class 22),
 * constraints (23) and limits of a value's size (54000). An error that did not come from the database, such as one
 * thrown by the page's own code, is the row's fault as well. Everything else is the state of the server or of the view,
 * such as a full disk, a missing column, a stack or a lock: waiting for it loses nothing.
 */
export function isRowsFault(err: unknown, lost: AbortSignal): boolean {
  if (lost.aborted || isUnavailable(err)) return false;
  const { code, file } = err as PostgresError;
  if (typeof code !== 'string') return true;
  if (code === LIMIT_EXCEEDED) return !OF_THE_SERVER.has(String(file));
  return /^2[23]/.test(code);
}

/** True when a commit was refused because the notification queue is full: some session listens and does not read. */
export const isNotifyQueueFull = (err: unknown): boolean =>
  (err as PostgresError)?.code === LIMIT_EXCEEDED && (err as PostgresError).file === 'async.c';
