/** A lock file: one living process at a time uses a folder, and a dead one blocks nobody. */
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { isAlive, startTime } from './process.ts';

type Holder = { readonly pid: number; readonly startedAt: string | undefined };
/** The holder in a file that is not valid; no process can have written it whole. */
const NOBODY: Holder = { pid: 0, startedAt: undefined };

/** A living process holds the lock. */
export class Locked extends Error {
  override readonly name = 'Locked';
}

let attempts = 0;

/**
 * Takes the lock at once.
 * @returns the function that releases it
 * @throws Locked naming the holder's pid when a living process has it, this one included
 */
export async function takeLock(file: string): Promise<() => Promise<void>> {
  attempts += 1;
  const own = `${file}.${process.pid}.${attempts}`;
  const me: Holder = { pid: process.pid, startedAt: startTime(process.pid) };
  await writeFile(own, JSON.stringify(me));
  try {
    for (;;) {
      if (await linked(own, file)) return () => rm(file, { force: true });
      const holder = await readHolder(file);
      if (holder && lives(holder)) throw new Locked(`in use by process ${holder.pid} (lock file ${file})`);
      await removeDead(file, own);
    }
  } finally {
    await rm(own, { force: true });
  }
}

/**
 * Removes the file of a dead holder, but only while holding the file `.taking-over`. Otherwise, of two processes that
 * saw the same dead holder, the slower one would remove the lock of the faster one.
 */
async function removeDead(file: string, own: string): Promise<void> {
  const taking = `${file}.taking-over`;
  if (await linked(own, taking)) {
    try {
      const holder = await readHolder(file);
      if (holder && !lives(holder)) await rm(file, { force: true });
    } finally {
      await rm(taking, { force: true });
    }
    return;
  }
  const other = await readHolder(taking);
  // The other process was killed while it held this file: it is removed like any dead holder's.
  if (other && !lives(other)) await removeDead(taking, own);
}

/** A link appears with its content or not at all, so nobody reads a half-written holder. */
async function linked(own: string, file: string): Promise<boolean> {
  try {
    await link(own, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Runs `work` under the lock, waiting for other holders up to the deadline. Throws Locked after it. */
export async function underLock<T>(file: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    let release: () => Promise<void>;
    try {
      release = await takeLock(file);
    } catch (error) {
      if (!(error instanceof Locked) || Date.now() > deadline) throw error;
      await delay(100);
      continue;
    }
    try {
      return await work();
    } finally {
      await release();
    }
  }
}

/** @returns undefined when there is no such file */
async function readHolder(file: string): Promise<Holder | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Holder;
  } catch {
    return NOBODY;
  }
}

function lives(holder: Holder): boolean {
  const { pid, startedAt } = holder;
  return holder !== NOBODY && isAlive(pid) && (startedAt === undefined || startTime(pid) === startedAt);
}
