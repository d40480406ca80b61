/** Programs in Python that specs run. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runToEnd } from '../../services/local-stack/process.ts';

const CACHE = fileURLToPath(new URL('../../.cache', import.meta.url));

/**
 * Installs packages below `.cache`, once for each name and list of them.
 * @param packages as `pip install` takes them
 * @returns the folder with the programs, `python` among them
 */
export async function pythonWith(name: string, packages: readonly string[]): Promise<string> {
  const digest = createHash('sha256').update(packages.join('\n')).digest('hex').slice(0, 12);
  const venv = join(CACHE, `${name}-${digest}`);
  const bin = join(venv, 'bin');
  // Written last: an installation that broke off is begun again.
  const installed = join(venv, 'installed');
  if (existsSync(installed)) return bin;
  await rm(venv, { recursive: true, force: true });
  await otherwise('Python 3.11 or newer with its venv module is needed', 'python3', ['-m', 'venv', venv]);
  await otherwise('PyPI is needed once', join(bin, 'pip'), ['install', '--quiet', ...packages]);
  await writeFile(installed, '');
  return bin;
}

async function otherwise(what: string, command: string, args: readonly string[]): Promise<void> {
  try {
    await runToEnd(command, args);
  } catch (cause) {
    throw new Error(`${what}: ${(cause as Error).message}`, { cause });
  }
}
