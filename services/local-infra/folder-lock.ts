/** A lock file: one living process at a time uses a folder, and a dead one blocks nobody. */
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { isAlive, startTime } from './process.ts';

type Holder = { readonly pid: number; readonly startedAt: string | undefined };

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
      // A link appears with its content or not at all, so nobody reads a half-written holder.
      const taken = await link(own, file).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'EEXIST') return false;
          throw error;
        },
      );
      if (taken) return () => rm(file, { force: true });
      const holder = await readHolder(file);
      if (holder && lives(holder)) throw new Locked(`in use by process ${holder.pid} (lock file ${file})`);
      // Of all who see the dead holder, one gets to rename it; a living holder's file taken by mistake goes back.
      const aside = `${own}.stale`;
      await rename(file, aside).catch(() => {});
      const moved = await readHolder(aside);
      if (moved && lives(moved)) await link(aside, file).catch(() => {});
      await rm(aside, { force: true });
    }
  } finally {
    await rm(own, { force: true });
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

async function readHolder(file: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Holder;
  } catch {
    return undefined;
  }
}

function lives({ pid, startedAt }: Holder): boolean {
  return isAlive(pid) && (startedAt === undefined || startTime(pid) === startedAt);
}
