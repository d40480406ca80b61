import { constants } from 'node:os';
import { type Log, withoutPasswords, written } from './log.ts';
import { leaveTerminationMessage, TERMINATION_LOG } from './termination-message.ts';

/**
 * What a process has acquired, released in reverse order, also after a failed start. A release that fails or
 * outlives the deadline is logged and does not keep the others from running.
 */
export class Releases {
  readonly #stack: Array<{ what: string; release: () => unknown }> = [];
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  push(what: string, release: () => unknown): void {
    this.#stack.push({ what, release });
  }

  async unwind(deadlineMs = 10_000): Promise<void> {
    for (let one = this.#stack.pop(); one; one = this.#stack.pop()) {
      const { what, release } = one;
      try {
        await within(deadlineMs, `releasing ${what}`, Promise.resolve(release()));
      } catch (err) {
        this.#log.error({ err, what }, 'could not release');
      }
    }
  }
}

/** Thrown when something outlives its deadline. */
export class DeadlineExceeded extends Error {
  override name = 'DeadlineExceeded';
}

/**
 * Settles as `promise` does, or rejects with DeadlineExceeded after `ms`; the promise itself goes on.
 * @param clock whose time it is; that of this process unless told otherwise
 */
export async function within<T>(
  ms: number,
  what: string,
  promise: Promise<T>,
  clock: { pause(ms: number, signal?: AbortSignal): Promise<void> } = { pause },
): Promise<T> {
  const settled = new AbortController();
  const late = async (): Promise<never> => {
    await clock.pause(ms, settled.signal);
    throw new DeadlineExceeded(`${what} took longer than ${ms} ms`);
  };
  try {
    return await Promise.race([promise, late()]);
  } finally {
    settled.abort();
  }
}

/** Resolves after `ms`, or at once when the signal aborts. */
export const pause = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });

const messageOf = (err: unknown): string => (err instanceof Error ? err.message : String(err));

/**
 * Runs a role until a signal. `start` acquires and pushes releases; it returns a promise only if the role ends by
 * itself (migrate, seed), and may call `fail` later to end the process when it cannot go on. The first SIGTERM or
 * SIGINT is graceful and bounded by `graceMs`, the second ends at once. After a signal only a role that had started
 * ends with status 0: work that the signal cut short is not done, and its caller must be able to tell.
 */
export async function runRole(
  log: Log,
  start: (releases: Releases, fail: (err: unknown) => void) => Promise<'running' | 'done'>,
  {
    graceMs = 25_000,
    terminationLog = TERMINATION_LOG,
  }: { readonly graceMs?: number; readonly terminationLog?: string } = {},
): Promise<void> {
  const releases = new Releases(log);
  let stopping = false;
  let started = false;
  const stop = async (why: string, code: number) => {
    if (stopping) return;
    stopping = true;
    log.info({ why }, 'stopping');
    const overdue = setTimeout(() => {
      log.fatal({ graceMs }, 'did not stop in time');
      void written(log).then(() => process.exit(1));
    }, graceMs);
    await releases.unwind();
    clearTimeout(overdue);
    log.info({ code }, 'stopped');
    await written(log);
    process.exit(code);
  };
  const fail = (err: unknown) => {
    log.fatal({ err }, 'cannot go on');
    if (!stopping) leaveTerminationMessage(withoutPasswords(messageOf(err)), terminationLog);
    void stop('failure', 1);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(1);
      void stop(signal, started ? 0 : 128 + constants.signals[signal]);
    });
  }
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  try {
    const outcome = await start(releases, fail);
    started = true;
    if (outcome === 'done') await stop('done', 0);
  } catch (err) {
    fail(err);
  }
}
