/** Programs in Python, installed below `.cache` of the project. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { underLock } from './folder-lock.ts';
import { runToEnd } from './process.ts';

const CACHE = fileURLToPath(new URL('../../.cache', import.meta.url));
/** As long as another process may take to install the same. */
const INSTALL_MS = 300_000;
const FITS = 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))';

/** Packages cannot be installed on this machine; the message says what is needed. */
export class PythonMissing extends Error {
  override readonly name = 'PythonMissing';
}

/**
 * Installs packages below `.cache`, once for each name and list of them.
 * @param packages as `pip install` takes them, or the path of a file that lists them
 * @param signal ends an installation that runs; the next one begins anew
 * @returns the folder with the programs, `python` among them
 * @throws PythonMissing
 */
export async function pythonWith(
  name: string,
  packages: readonly string[] | string,
  signal?: AbortSignal,
): Promise<string> {
  const [list, args] =
    typeof packages === 'string'
      ? [await readFile(packages, 'utf8'), ['--requirement', packages]]
      : [packages.join('\n'), packages];
  const venv = join(CACHE, `${name}-${createHash('sha256').update(list).digest('hex').slice(0, 12)}`);
  const bin = join(venv, 'bin');
  // Written last: an installation that broke off is begun again.
  const installed = join(venv, 'installed');
  const run = async (otherwise: string, command: string, ...rest: readonly string[]) => {
    try {
      await runToEnd(command, rest, { signal });
    } catch (cause) {
      signal?.throwIfAborted();
      throw new PythonMissing(`${otherwise}: ${(cause as Error).message}`, { cause });
    }
  };
  await mkdir(CACHE, { recursive: true });
  await underLock(`${venv}.lock`, INSTALL_MS, async () => {
    if (existsSync(installed)) return;
    await rm(venv, { recursive: true, force: true });
    await run('Python 3.11 or newer with its venv module is needed', 'python3', '-c', FITS);
    await run('Python 3.11 or newer with its venv module is needed', 'python3', '-m', 'venv', venv);
    await run('PyPI is needed once', join(bin, 'pip'), 'install', '--quiet', '--no-input', ...args);
    await writeFile(installed, '');
  });
  return bin;
}
