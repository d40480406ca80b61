/** Child processes of the demo, the tests and the benches: start, wait until ready, restart, stop. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, readlinkSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Backoff } from '#platform/backoff.ts';

/** How a process ended: `code` when it exited, `signal` when one ended it. */
export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** Restarts after an unexpected end. The back-off doubles from `firstDelayMs` up to `maxDelayMs`. */
export type RestartPolicy = {
  /** Restarts in a row before giving up; a run of at least `healthyAfterMs` starts the count anew. Default 10. */
  readonly max?: number;
  /** Default 200 ms. */
  readonly firstDelayMs?: number;
  /** Default 5,000 ms. */
  readonly maxDelayMs?: number;
  /** Default 10,000 ms. */
  readonly healthyAfterMs?: number;
};

export type ProcessOptions = {
  /** The name in messages. */
  readonly name: string;
  readonly command: string;
  readonly args?: readonly string[];
  /** Added to the environment of this process; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Receives stdout and stderr, appended; set aside as `<logFile>.1` when a start finds it above 16 MB. */
  readonly logFile: string;
  /** Ready when a GET there answers 2xx. Without this and `ready`, a process is ready once it is spawned. */
  readonly readyUrl?: string;
  /** Another readiness check: resolves when ready, with `pid` of the process just spawned; polls until aborted. */
  readonly ready?: (pid: number, aborted: AbortSignal) => Promise<void>;
  /** An end with code 0 before it is ready is as good: what it was started for is done. */
  readonly endsByItself?: boolean;
  /** From the spawn until ready, default 30,000 ms; a process that needs longer is ended. */
  readonly readyTimeoutMs?: number;
  /** Absent: after an unexpected end the process stays down until `restart()`. */
  readonly restart?: RestartPolicy;
  /** The signal for a graceful end, default SIGTERM. The kernel sends it as well when this process dies (Linux). */
  readonly stopSignal?: NodeJS.Signals;
  /** Time for the graceful end before SIGKILL, default 10,000 ms. */
  readonly stopTimeoutMs?: number;
  /** Runs the command as this user; only root can. */
  readonly runAs?: { readonly uid: number; readonly gid: number };
  /** Runs before every spawn: clears what an earlier process left behind. */
  readonly beforeStart?: () => Promise<void>;
  /** Called with messages about starts, ends and restarts. */
  readonly log?: (message: string) => void;
};

export type ManagedProcess = {
  readonly name: string;
  readonly logFile: string;
  /** The running process, or the last one. */
  readonly pid: number;
  readonly running: boolean;
  /** How many processes were spawned under this name so far. */
  readonly starts: number;
  /** The end of the process that runs now. Take it before `kill`: after a restart it is a new promise. */
  readonly exited: Promise<Exit>;
  /** Resolves when no further process will start by itself: stopped, or ended and not restarted (any longer). */
  readonly ended: Promise<Exit>;
  /** Sends a signal to the process and nothing else; nothing happens when it has ended. */
  kill(signal: NodeJS.Signals): void;
  /** Stops the process if it runs, starts it again, resolves when it is ready. Throws {@link StartFailed}. */
  restart(): Promise<void>;
  /** Graceful end, SIGKILL to it and its children after the deadline. Safe to call twice. */
  stop(): Promise<Exit>;
};

/** What whoever starts a server gives on of its process. */
export type ServerProcess = Pick<ManagedProcess, 'logFile' | 'pid' | 'exited' | 'kill' | 'restart' | 'stop'>;

/** @returns the process with more members, which win: where the server stops otherwise, say */
export const withMembers = <Members extends object>(
  running: ManagedProcess,
  members: Members,
): ManagedProcess & Members => Object.assign(Object.create(running) as ManagedProcess, members);

/** The process ended, or was not ready in time; the message has the end of its log. */
export class StartFailed extends Error {
  override readonly name = 'StartFailed';
  /** What the process wrote since it was spawned, its last 4 KB. */
  readonly output: string;
  constructor(message: string, output: string, options?: ErrorOptions) {
    super(output.trim() === '' ? message : `${message}\n${indent(output)}`, options);
    this.output = output;
  }
}

function indent(text: string): string {
  return text
    .trim()
    .split('\n')
    .slice(-15)
    .map((line) => `  | ${line}`)
    .join('\n');
}

/**
 * Starts a process and resolves when it is ready.
 *
 * It gets a process group of its own, so Ctrl-C in a terminal reaches only the parent, which can then stop its children
 * in order. On Linux, `setpriv --pdeathsig` makes the kernel send `stopSignal` to it when the parent dies, even by
 * SIGKILL. (More exactly: when the parent's thread dies, so don't call this from a worker thread.) Elsewhere, or
 * without util-linux, children outlive a parent that was killed with SIGKILL, and only then.
 *
 * @throws StartFailed when it ended or was not ready in time; no process is left then
 */
export async function startProcess(options: ProcessOptions): Promise<ManagedProcess> {
  const { name, logFile, log = () => {} } = options;
  const stopSignal = options.stopSignal ?? 'SIGTERM';
  const policy = options.restart && {
    max: options.restart.max ?? 10,
    firstDelayMs: options.restart.firstDelayMs ?? 200,
    maxDelayMs: options.restart.maxDelayMs ?? 5_000,
    healthyAfterMs: options.restart.healthyAfterMs ?? 10_000,
  };

  let child: ChildProcess | undefined;
  let pid = -1;
  let starts = 0;
  let exited: Promise<Exit> = Promise.resolve({ code: null, signal: null });
  let wanted = true;
  let failures = 0;
  // Without jitter: nobody else waits for the same thing.
  const backoff = new Backoff({
    firstMs: policy?.firstDelayMs ?? 0,
    longestMs: policy?.maxDelayMs ?? 0,
    random: null,
  });
  const recovered = () => {
    failures = 0;
    backoff.reset();
  };
  let interrupt = new AbortController();
  const ended = Promise.withResolvers<Exit>();

  // One change of state at a time: start, restart and stop may be asked for at the same moment.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(change: () => Promise<T>): Promise<T> => {
    const turn = last.then(change);
    last = turn.catch(() => {});
    return turn;
  };

  async function start(): Promise<void> {
    const stopped = interrupt.signal;
    await options.beforeStart?.();
    stopped.throwIfAborted();
    const logStart = openedLogSize(logFile);
    const spawned = spawnLogged(options, stopSignal);
    const startedAt = Date.now();
    const exit = exitOf(spawned);
    if (spawned.pid === undefined) {
      const { cause } = await exit.then(({ error }) => ({ cause: error }));
      throw new StartFailed(`${name}: cannot run ${options.command}`, '', { cause });
    }
    child = spawned;
    pid = spawned.pid;
    starts += 1;
    let ready = false;
    const thisExit = exit.then(({ code, signal }) => {
      child = undefined;
      if (Date.now() - startedAt >= (policy?.healthyAfterMs ?? 0)) recovered();
      if (ready && wanted) {
        log(`${name} ended unasked: ${describe({ code, signal })}`);
        comeBack({ code, signal });
      }
      return { code, signal };
    });
    exited = thisExit;

    const timeoutMs = options.readyTimeoutMs ?? 30_000;
    const over = new AbortController();
    const aborted = AbortSignal.any([over.signal, stopped, AbortSignal.timeout(timeoutMs)]);
    try {
      await Promise.race([
        untilReady(options, pid, aborted),
        thisExit.then((end) => {
          if (options.endsByItself && end.code === 0) return;
          throw new Error(`ended before it was ready (${describe(end)})`);
        }),
        once(aborted, 'abort').then(() => {
          throw new Error(
            stopped.aborted ? 'was stopped while it started' : `not ready after ${timeoutMs} ms`,
          );
        }),
      ]);
      ready = true;
    } catch (cause) {
      await terminate();
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new StartFailed(`${name}: ${reason}; log: ${logFile}`, readFrom(logFile, logStart), { cause });
    } finally {
      over.abort();
    }
    log(`${name} runs, pid ${pid}`);
  }

  /** Restarts after an unexpected end. */
  function comeBack(end: Exit): void {
    if (!policy || failures >= policy.max) {
      if (policy) log(`${name} is given up after ${failures} restarts; log: ${logFile}`);
      ended.resolve(end);
      return;
    }
    failures += 1;
    const stopped = interrupt.signal;
    void delay(backoff.next(), undefined, { signal: stopped })
      .then(() => inTurn(async () => (wanted && child === undefined ? start() : undefined)))
      .catch((error: unknown) => {
        if (stopped.aborted) return;
        log(error instanceof Error ? error.message : String(error));
        comeBack(end);
      });
  }

  async function terminate(): Promise<Exit> {
    const target = child;
    const end = exited;
    if (!target) return end;
    signalQuietly(pid, stopSignal);
    signalQuietly(pid, 'SIGCONT'); // a process stopped by SIGSTOP would not handle the other signal
    const inTime = await settlesWithin(end, options.stopTimeoutMs ?? 10_000);
    if (!inTime) {
      log(`${name} did not end after ${stopSignal}: SIGKILL`);
      signalQuietly(-pid, 'SIGKILL');
      signalQuietly(pid, 'SIGKILL');
    }
    return end;
  }

  function interruptStart(): void {
    interrupt.abort();
    interrupt = new AbortController();
  }

  await inTurn(start);
  return {
    name,
    logFile,
    get pid() {
      return pid;
    },
    get running() {
      return child !== undefined;
    },
    get starts() {
      return starts;
    },
    get exited() {
      return exited;
    },
    ended: ended.promise,
    kill(signal) {
      if (child) signalQuietly(pid, signal);
    },
    async restart() {
      interruptStart();
      wanted = false;
      await inTurn(async () => {
        await terminate();
        wanted = true;
        recovered();
        await start();
      });
    },
    async stop() {
      wanted = false;
      interruptStart();
      const end = await inTurn(async () => {
        wanted = false;
        return terminate();
      });
      ended.resolve(end);
      return end;
    },
  };
}

/**
 * Stops the last one first, and continues after a failure.
 * @throws AggregateError with everything that went wrong, after all were tried
 */
export async function stopInReverse(running: readonly { stop(): Promise<unknown> }[]): Promise<void> {
  const errors: unknown[] = [];
  for (const one of running.toReversed()) {
    try {
      await one.stop();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0)
    throw new AggregateError(errors, `${errors.length} of ${running.length} did not stop`);
}

/** Runs a command to its end. Throws an Error with its output when it fails; `signal` ends it and its children. */
export async function runToEnd(
  command: string,
  args: readonly string[],
  options: {
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string | undefined>>;
    readonly runAs?: { readonly uid: number; readonly gid: number };
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<string> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    // A group of its own, so that its children can be ended with it.
    detached: options.signal !== undefined,
    ...options.runAs,
  });
  const end = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
    } catch {
      // It has ended already.
    }
  };
  options.signal?.addEventListener('abort', end, { once: true });
  if (options.signal?.aborted) end();
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const { code, signal, error } = await exitOf(child, 'close');
  options.signal?.removeEventListener('abort', end);
  if (code !== 0) {
    const reason = error ? error.message : describe({ code, signal });
    throw new Error(`${command} ${args[0] ?? ''} failed: ${reason}\n${indent(output)}`, { cause: error });
  }
  return output;
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  // A zombie has ended; only its parent has not collected it yet. With threads left it still holds its files and ports.
  const fields = statFields(pid);
  return fields?.[0] !== 'Z' || Number(fields[THREADS]) > 1;
}

/** proc(5) numbers the fields of /proc/pid/stat; after the name the first one here is its field 3, the state. */
const THREADS = 20 - 3;
const START_TIME = 22 - 3;

/** `undefined` when there is no such process, or off Linux. */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name may hold spaces and parentheses.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** Distinguishes two processes that had the same pid one after the other; `undefined` when there is none. */
export function startTime(pid: number): string | undefined {
  if (process.platform !== 'linux') return ps(pid, 'lstart');
  return statFields(pid)?.[START_TIME];
}

/** The command with its arguments, separated by spaces; `undefined` when there is no such process. */
export function commandLine(pid: number): string | undefined {
  if (process.platform !== 'linux') return ps(pid, 'args');
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return undefined;
  }
}

/** The folder a process is in; `undefined` when there is no such process, or off Linux. */
export function workingDirectory(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined;
  }
}

function ps(pid: number, column: string): string | undefined {
  try {
    return execFileSync('ps', ['-ww', '-p', String(pid), '-o', `${column}=`], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}

/** Ends a process that is not our child: the signal, then SIGKILL after the deadline. Waits until it is gone. */
export async function endProcess(pid: number, signal: NodeJS.Signals, timeoutMs: number): Promise<void> {
  signalQuietly(pid, signal);
  signalQuietly(pid, 'SIGCONT');
  const deadline = Date.now() + timeoutMs;
  let killed = false;
  while (isAlive(pid)) {
    if (!killed && Date.now() > deadline) {
      killed = true;
      signalQuietly(pid, 'SIGKILL');
    }
    if (Date.now() > deadline + 10_000) throw new Error(`process ${pid} does not end, not even by SIGKILL`);
    await delay(20);
  }
}

function describe({ code, signal }: Exit): string {
  return signal ? `signal ${signal}` : `exit code ${code}`;
}

function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile, as the caller wants.
  }
}

function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms, false);
    promise.then(() => resolve(true), reject).finally(() => clearTimeout(timer));
  });
}

/** `exit` comes when the process ends, `close` when its output is closed as well. */
function exitOf(child: ChildProcess, event: 'exit' | 'close' = 'exit'): Promise<Exit & { error?: Error }> {
  return new Promise((resolve) => {
    child.once(event, (code: number | null, signal: NodeJS.Signals | null) => resolve({ code, signal }));
    child.once('error', (error) => {
      if (child.pid === undefined) resolve({ code: null, signal: null, error });
    });
  });
}

async function untilReady(options: ProcessOptions, pid: number, aborted: AbortSignal): Promise<void> {
  if (options.ready) await options.ready(pid, aborted);
  const url = options.readyUrl;
  while (url !== undefined) {
    aborted.throwIfAborted();
    try {
      const answer = await fetch(url, { signal: AbortSignal.any([aborted, AbortSignal.timeout(2_000)]) });
      await answer.body?.cancel();
      if (answer.ok) return;
    } catch {
      // Not listening yet.
    }
    await delay(50, undefined, { signal: aborted });
  }
}

const living = new Map<ChildProcess, NodeJS.Signals>();

/** For ends of this process without a clean-up: process.exit() and an uncaught exception. */
function endTheLiving(): void {
  for (const [child, signal] of living) child.kill(signal);
}

let setpriv: boolean | undefined;

/** BusyBox has a setpriv without this option, so it has to be tried. */
function canTieToParent(): boolean {
  setpriv ??=
    process.platform === 'linux' && spawnSync('setpriv', ['--pdeathsig', 'TERM', 'true']).status === 0;
  return setpriv;
}

function spawnLogged(options: ProcessOptions, deathSignal: NodeJS.Signals): ChildProcess {
  const tied = canTieToParent();
  const args = options.args ?? [];
  const log = openSync(options.logFile, 'a');
  try {
    const child = spawn(
      tied ? 'setpriv' : options.command,
      tied ? ['--pdeathsig', deathSignal.replace('SIG', ''), '--', options.command, ...args] : args,
      {
        stdio: ['ignore', log, log],
        detached: true,
        env: { ...process.env, ...options.env },
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
        ...options.runAs,
      },
    );
    if (child.pid === undefined) return child;
    if (living.size === 0) process.on('exit', endTheLiving);
    living.set(child, deathSignal);
    child.once('exit', () => {
      living.delete(child);
      if (living.size === 0) process.off('exit', endTheLiving);
    });
    return child;
  } finally {
    closeSync(log);
  }
}

/** Creates the folder, sets a large log aside, and returns where this start's output begins, in bytes. */
function openedLogSize(logFile: string): number {
  mkdirSync(dirname(logFile), { recursive: true });
  const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  if (size < 16 * 1024 * 1024) return size;
  renameSync(logFile, `${logFile}.1`);
  return 0;
}

function readFrom(logFile: string, start: number): string {
  try {
    return readFileSync(logFile).subarray(start).subarray(-4_096).toString('utf8');
  } catch {
    return '';
  }
}
