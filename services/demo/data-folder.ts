import { existsSync } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Locked, takeLock } from '../local-stack/folder-lock.ts';
import { endLeftoverKafka } from '../local-stack/kafka.ts';
import { endLeftoverPostgres } from '../local-stack/postgres.ts';
import { endProcess, isAlive, startTime } from '../local-stack/process.ts';
import { SEED } from '../seed/random.ts';
import { SERVERS } from './addresses.ts';
import { DEFAULTS, UsageError } from './options.ts';

const MARK = 'demo.json';
/** Where a demo of before kept every database. */
const ONE_SERVER = 'postgres';
const GRACE_FOR_ORPHANS_MS = 4_000;

/** The folder of a demo. Only one living demo at a time uses it. */
export interface DataFolder {
  readonly path: string;
  readonly sellers: number;
  /** Whether an earlier start left data here. */
  readonly reused: boolean;
  /** Marks the folder as a demo's; nothing of a demo may be written there before. */
  mark(): Promise<void>;
  /** Records a child, so that the next start finds it if this process is killed. */
  record(name: string, pid: number): Promise<void>;
  /** Every recorded child that still lives, the last one first. */
  living(): Promise<number[]>;
  close(): Promise<void>;
}

/**
 * Takes the folder, and ends what a killed demo left running there.
 * @throws UsageError when another demo uses it, or it holds something else, or data for another number of sellers
 */
export async function openDataFolder(
  path: string,
  wantedSellers: number | undefined,
  log: (line: string) => void,
): Promise<DataFolder> {
  await mkdir(path, { recursive: true });
  const release = await takeLock(join(path, 'lock')).catch((err: unknown) => {
    if (!(err instanceof Locked)) throw err;
    throw new UsageError(
      `a demo runs in ${path} (${err.message}): stop it with make demo-stop, or choose another --data and --port-base`,
    );
  });
  try {
    const { sellers, reused } = await readMark(path, wantedSellers);
    const recordFile = join(path, 'processes');
    const orphans = await livingIn(recordFile);
    if (orphans.length > 0) log(`ending ${orphans.length} processes that a killed demo left behind`);
    await Promise.all(orphans.map((pid) => endProcess(pid, 'SIGTERM', GRACE_FOR_ORPHANS_MS)));
    await rm(recordFile, { force: true });
    // These take longer to end than the roles, and hold ports that are checked next.
    const real = await realpath(path);
    await Promise.all([
      endLeftoverKafka(join(real, 'kafka'), log),
      ...[ONE_SERVER, ...SERVERS].map((server) => endLeftoverPostgres(join(real, server), log)),
    ]);
    if (existsSync(join(path, ONE_SERVER)) && !existsSync(join(path, 'postgres-source'))) {
      log(
        'this data is of one PostgreSQL server: it becomes that of the source, and the pages are filled anew',
      );
      await rename(join(path, ONE_SERVER), join(path, 'postgres-source'));
    }
    return {
      path,
      sellers,
      reused,
      mark: () => writeMark(path, sellers),
      record: (name, pid) => appendFile(recordFile, `${pid} ${startTime(pid)} ${name}\n`),
      living: () => livingIn(recordFile),
      async close() {
        await rm(recordFile, { force: true });
        await release();
      },
    };
  } catch (err) {
    await release();
    throw err;
  }
}

/** The process that holds the folder; undefined when none does. */
export async function runningIn(path: string): Promise<number | undefined> {
  try {
    const { pid, startedAt } = JSON.parse(await readFile(join(path, 'lock'), 'utf8')) as {
      pid: number;
      startedAt?: string;
    };
    return isAlive(pid) && (startedAt === undefined || startTime(pid) === startedAt) ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** The mark distinguishes a demo's folder from somebody's documents, and says what was seeded into it. */
async function readMark(
  path: string,
  wanted: number | undefined,
): Promise<{ sellers: number; reused: boolean }> {
  const text = await readFile(join(path, MARK), 'utf8').catch(() => undefined);
  if (text === undefined) {
    const foreign = (await readdir(path)).find((name) => !name.startsWith('lock'));
    if (foreign !== undefined) {
      throw new UsageError(
        `${path} holds ${foreign} and was not made by a demo: choose another --data, best one that does not exist yet`,
      );
    }
    return { sellers: wanted ?? DEFAULTS.sellers, reused: false };
  }
  const mark = JSON.parse(text) as { sellers: number; seed: number };
  const remedy = `delete the folder (rm -r ${path}) or choose another --data`;
  if (mark.seed !== SEED) throw new UsageError(`${path} was made by another version of the demo: ${remedy}`);
  if (wanted !== undefined && wanted !== mark.sellers) {
    throw new UsageError(`${path} holds ${mark.sellers} sellers: leave --sellers away, or ${remedy}`);
  }
  return { sellers: mark.sellers, reused: true };
}

async function writeMark(path: string, sellers: number): Promise<void> {
  const file = join(path, MARK);
  await writeFile(`${file}.unfinished`, JSON.stringify({ sellers, seed: SEED }));
  await rename(`${file}.unfinished`, file);
}

async function livingIn(recordFile: string): Promise<number[]> {
  const lines = (await readFile(recordFile, 'utf8').catch(() => ''))
    .split('\n')
    .filter((line) => line !== '');
  return lines
    .map((line) => line.split(' '))
    .filter(([pid, startedAt]) => isAlive(Number(pid)) && startTime(Number(pid)) === startedAt)
    .map(([pid]) => Number(pid))
    .reverse();
}
