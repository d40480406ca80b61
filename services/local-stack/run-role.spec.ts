import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { V8_FLAGS } from '#contracts/v8-flags.ts';
import { type RunOptions, runTask } from './run-role.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'run-role-'));
  writeFileSync(
    join(folder, 'main.mjs'),
    'console.log(JSON.stringify({ flags: process.execArgv, role: process.argv.slice(2), env: process.env }));',
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What a process saw of itself. */
async function seenBy(name: string, env: Record<string, string>, options: Partial<RunOptions> = {}) {
  const main = join(folder, 'main.mjs');
  const task = await runTask({ name, role: 'a-role', env }, { logs: folder, main, ...options });
  expect(await task.exited).toEqual({ code: 0, signal: null });
  return JSON.parse(readFileSync(task.logFile, 'utf8')) as {
    flags: string[];
    role: string[];
    env: Record<string, string>;
  };
}

test('a role runs with the flags of V8 and the heap of a pod, unless another is given', async () => {
  const { flags, role } = await seenBy('as-in-a-pod', {});
  expect(flags).toEqual([
    ...V8_FLAGS,
    '--max-semi-space-size=8',
    '--v8-pool-size=1',
    '--max-old-space-size=192',
  ]);
  expect(role).toEqual(['a-role']);
  const further = { heap: 'unlimited', nodeFlags: ['--expose-gc'] } as const;
  expect((await seenBy('unlimited', {}, further)).flags).toEqual([...V8_FLAGS, '--expose-gc']);
});

test('a role gets its settings and none of its surroundings', async () => {
  process.env['TC_PAGE'] = 'of-somebody-else';
  process.env['TC_NOT_ITS_OWN'] = 'x';
  try {
    const { env } = await seenBy(
      'settings',
      { TC_PAGE: 'gig', TC_GONE: 'x' },
      { env: { TC_GONE: undefined } },
    );
    const settings = Object.entries(env).filter(([key]) => key.startsWith('TC_'));
    expect(Object.fromEntries(settings)).toEqual({ TC_PAGE: 'gig', TC_HEALTH_PORT: '0' });
  } finally {
    delete process.env['TC_PAGE'];
    delete process.env['TC_NOT_ITS_OWN'];
  }
});
