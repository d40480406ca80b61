import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { leaveTerminationMessage } from './termination-message.ts';

const folder = mkdtempSync(join(tmpdir(), 'termination-'));
const file = join(folder, 'log');
afterEach(() => rmSync(file, { force: true }));

test('is written where Kubernetes has made the file, and no longer than it shows', () => {
  leaveTerminationMessage('nobody reads this', file);
  expect(existsSync(file)).toBe(false);
  writeFileSync(file, '');
  leaveTerminationMessage('x'.repeat(5_000), file);
  expect(readFileSync(file, 'utf8')).toBe('x'.repeat(4_000));
});

test('of a role that cannot go on is the sentence of its error, without the stack and without passwords', async () => {
  writeFileSync(file, '');
  const lifecycle = new URL('./lifecycle.ts', import.meta.url).href;
  const log = new URL('./log.ts', import.meta.url).href;
  const program = `
    import { runRole } from '${lifecycle}';
    import { openLog } from '${log}';
    await runRole(openLog('migrate', 'fatal'), async () => {
      throw new Error('no way to postgresql://me:hunter2@db/shop: grant create');
    }, { terminationLog: '${file}' });`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program]);
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect(code).toBe(1);
  expect(readFileSync(file, 'utf8')).toMatch(/^no way to postgresql:.*db\/shop: grant create$/);
  expect(readFileSync(file, 'utf8')).not.toContain('hunter2');
});
