/** A role as a separate process: as in a pod, whatever else runs on the machine. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type HeapSize, heapFlags, V8_FLAGS } from '#contracts/v8-flags.ts';
import { seriesIn, sum } from './exposition.ts';
import { type ManagedProcess, type ProcessOptions, startProcess, withMembers } from './process.ts';
import type { RoleProcess, RoleTask } from './system.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

/** As in a pod of 256 MiB: on a larger machine Node would take more memory, and V8 more threads. */
const HEAP = { oldSpaceMiB: 192, semiSpaceMiB: 8 };

const READY_MS = 60_000;
const STOP_MS = 20_000;
/** Long enough to distinguish a role that never answers from a slow one. */
const ANSWER_MS = 10_000;

export interface RunningRole extends ManagedProcess {
  readonly healthPort: number;
  /** Its address, without a trailing slash; '' when it serves nobody. */
  readonly url: string;
  /** The text of its `/metrics`. */
  metrics(): Promise<string>;
  /** The sum of a metric's series whose labels contain `labels`; 0 when there is none. */
  metric(name: string, labels?: string): Promise<number>;
  /** Whether there is such a series. */
  has(name: string, labels: string): Promise<boolean>;
  /** The answer of `/readyz`: `ok`, or why it is not ready. */
  readiness(): Promise<string>;
}

/** How a role is run, beside its settings. */
export interface RunOptions extends Pick<ProcessOptions, 'restart' | 'stopTimeoutMs' | 'log' | 'ready'> {
  /** The folder of its log, `<name>.log`. */
  readonly logs: string;
  /** The working directory; the folder of its log when absent. */
  readonly cwd?: string;
  /** The `main.ts` to run it from; the project's when absent. */
  readonly main?: string;
  /** The heap of a pod under load (default), or no limit. */
  readonly heap?: HeapSize | 'unlimited';
  /** Further flags of Node. */
  readonly nodeFlags?: readonly string[];
  /** Added to its settings, or replacing them; `undefined` removes one. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Where Node keeps compiled code. */
  readonly compileCache?: string;
  /** What to wait for: that it was spawned, that it is alive, or that it is ready (default). */
  readonly until?: 'spawned' | 'alive' | 'ready';
}

/** Starts a role that ends by itself. */
export const runTask = ({ name, role, env }: RoleTask, options: RunOptions): Promise<ManagedProcess> =>
  spawnRole(
    { name, role, env: { ...env, TC_HEALTH_PORT: '0' }, healthPort: 0 },
    { ...options, until: 'spawned', endsByItself: true },
  );

/** @throws StartFailed when it ended, or did not get that far in time */
export async function runRole(process: RoleProcess, options: RunOptions): Promise<RunningRole> {
  const started = await spawnRole(process, options);
  const { healthPort, port } = process;
  const read = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${healthPort}/${path}`, {
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    return answer.text();
  };
  const series = async (metric: string, labels: string) =>
    seriesIn(await read('metrics'), metric).filter((one) => one.labels.includes(labels));
  const ofRole = {
    healthPort,
    url: port === undefined ? '' : `http://127.0.0.1:${port}`,
    metrics: () => read('metrics'),
    metric: async (metric: string, labels = '') => sum(await series(metric, labels)),
    has: async (metric: string, labels: string) => (await series(metric, labels)).length > 0,
    readiness: async () => (await read('readyz')).trim(),
  };
  return withMembers(started, ofRole);
}

function spawnRole(
  { name, role, env, healthPort }: RoleProcess,
  options: RunOptions & Pick<ProcessOptions, 'endsByItself'>,
): Promise<ManagedProcess> {
  const { logs, cwd = logs, until = 'ready', endsByItself = false, restart, ready, log } = options;
  const path = until === 'ready' ? 'readyz' : 'livez';
  return startProcess({
    name,
    ...commandOf(role, options),
    env: { ...surroundings(options), ...env, ...options.env },
    cwd,
    logFile: join(logs, `${name}.log`),
    ...(until === 'spawned' ? {} : { readyUrl: `http://127.0.0.1:${healthPort}/${path}` }),
    endsByItself,
    readyTimeoutMs: READY_MS,
    stopTimeoutMs: options.stopTimeoutMs ?? STOP_MS,
    ...(ready ? { ready } : {}),
    ...(restart ? { restart } : {}),
    ...(log ? { log } : {}),
  });
}

/** The command line of a role. */
export const commandOf = (
  role: string,
  { heap = HEAP, nodeFlags = [], main = MAIN }: Pick<RunOptions, 'heap' | 'nodeFlags' | 'main'> = {},
) => ({
  command: process.execPath,
  args: [...V8_FLAGS, ...(heap === 'unlimited' ? [] : heapFlags(heap)), ...nodeFlags, main, role],
});

/** The environment that every role inherits, without this process's own settings. */
export const surroundings = ({
  compileCache = join(tmpdir(), 'top-clients-compile-cache'),
}: Pick<RunOptions, 'compileCache'> = {}): Record<string, string | undefined> => ({
  ...Object.fromEntries(
    Object.keys(process.env)
      .filter((key) => key.startsWith('TC_'))
      .map((key) => [key, undefined]),
  ),
  NODE_OPTIONS: undefined,
  NODE_COMPILE_CACHE: compileCache,
});
