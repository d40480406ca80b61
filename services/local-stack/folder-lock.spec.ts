import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Locked, takeLock, underLock } from './folder-lock.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-spec-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a lock is held by one at a time and leaves nothing behind when released', async () => {
  const file = join(folder, 'lock');
  const release = await takeLock(file);
  await expect(takeLock(file)).rejects.toThrow(Locked);
  await expect(takeLock(file)).rejects.toThrow(`in use by process ${process.pid}`);
  await release();
  await (await takeLock(file))();
  expect(readdirSync(folder)).toEqual([]);
});

test('the lock of a process that has ended is taken over', async () => {
  const file = join(folder, 'lock');
  const child = spawn('true');
  await once(child, 'exit');
  writeFileSync(file, JSON.stringify({ pid: child.pid }));
  await (await takeLock(file))();
});

test('the lock of a process whose pid now belongs to another one is taken over', async () => {
  const file = join(folder, 'lock');
  writeFileSync(file, JSON.stringify({ pid: process.pid, startedAt: 'long ago' }));
  await (await takeLock(file))();
});

test('a file that says nothing blocks nobody', async () => {
  const file = join(folder, 'lock');
  writeFileSync(file, '');
  await (await takeLock(file))();
  expect(readdirSync(folder)).toEqual([]);
});

test('of many who find a dead holder one takes over, also when one died of it', async () => {
  const file = join(folder, 'lock');
  const dead = JSON.stringify({ pid: process.pid, startedAt: 'long ago' });
  for (let round = 0; round < 200; round++) {
    writeFileSync(file, dead);
    if (round % 2) writeFileSync(`${file}.taking-over`, dead);
    const taken = await Promise.allSettled(Array.from({ length: 8 }, () => takeLock(file)));
    const releases = taken.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
    expect(releases).toHaveLength(1);
    await releases[0]!();
  }
  expect(readdirSync(folder)).toEqual([]);
});

test('work under the lock never overlaps, also when it begins with a dead holder', async () => {
  const file = join(folder, 'lock');
  writeFileSync(file, JSON.stringify({ pid: process.pid, startedAt: 'long ago' }));
  let inside = 0;
  let most = 0;
  const work = async () => {
    inside += 1;
    most = Math.max(most, inside);
    await new Promise((resolve) => setTimeout(resolve, 5));
    inside -= 1;
  };
  await Promise.all(Array.from({ length: 8 }, () => underLock(file, 30_000, work)));
  expect(most).toBe(1);
});
