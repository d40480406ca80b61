/** The pages in `examples`, programs of somebody else: prepared and run on this machine as their READMEs say. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runToEnd } from './process.ts';
import { pythonWith } from './python.ts';
import type { Environment } from './system.ts';

export const EXAMPLE_PAGES = ['python-page', 'node-page'] as const;
/** The name of its folder, and on this machine of its page. */
export type ExamplePage = (typeof EXAMPLE_PAGES)[number];

export interface ExampleProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
}

export interface ExampleSettings {
  readonly databaseUrl: string;
  readonly source: { readonly url: string; readonly credential: string };
  readonly host: string;
  readonly port: number;
  readonly healthPort: number;
}

interface Example {
  prepare(signal?: AbortSignal): Promise<ExampleProgram>;
  env(name: ExamplePage, settings: ExampleSettings): Environment;
}

/** What an example needs is not on this machine; the message says what that is. */
export class ExampleMissing extends Error {
  override readonly name = 'ExampleMissing';
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CACHE = join(ROOT, '.cache');
const folderOf = (name: ExamplePage) => join(ROOT, 'examples', name);

const EXAMPLES: Readonly<Record<ExamplePage, Example>> = {
  'python-page': {
    async prepare(signal) {
      const cwd = folderOf('python-page');
      const bin = await pythonWith('python-page', join(cwd, 'requirements.txt'), signal);
      return { command: join(bin, 'python'), args: ['page.py'], cwd };
    },
    env: (name, { databaseUrl, source, host, port, healthPort }) => ({
      PYTHONDONTWRITEBYTECODE: '1',
      TC_PAGE: name,
      TC_DATABASE_URL: databaseUrl,
      TC_SOURCE_URL: source.url,
      TC_SOURCE_CREDENTIAL: source.credential,
      TC_HOST: host,
      TC_PORT: String(port),
      TC_HEALTH_PORT: String(healthPort),
    }),
  },
  'node-page': {
    prepare: async (signal) => ({
      command: process.execPath,
      args: ['page.js'],
      cwd: await installNodePage(signal),
    }),
    env: (name, { databaseUrl, source, host, port, healthPort }) => ({
      PAGE: name,
      DATABASE_URL: databaseUrl,
      SOURCE_URL: source.url,
      SOURCE_CREDENTIAL: source.credential,
      HOST: host,
      PORT: String(port),
      HEALTH_PORT: String(healthPort),
      // Nobody here sends requests on after the signal, as proxies of a cluster do.
      SHUTDOWN_DELAY_MS: '0',
    }),
  },
};

/**
 * Installs what an example needs, once for each content of it.
 * @param signal ends an installation that runs; the next one begins anew
 * @throws ExampleMissing
 */
export async function prepareExample(name: ExamplePage, signal?: AbortSignal): Promise<ExampleProgram> {
  try {
    return await EXAMPLES[name].prepare(signal);
  } catch (cause) {
    signal?.throwIfAborted();
    throw new ExampleMissing((cause as Error).message, { cause });
  }
}

export const settingsOfExample = (name: ExamplePage, settings: ExampleSettings): Environment =>
  EXAMPLES[name].env(name, settings);

/** @returns the folder of the page, with the packed page-kit and all else that it depends on */
async function installNodePage(signal?: AbortSignal): Promise<string> {
  await mkdir(CACHE, { recursive: true });
  const making = await mkdtemp(join(CACHE, 'node-page-making-'));
  try {
    await npm(['--version'], 'npm is needed', making, signal);
    const packed = await runToEnd(process.execPath, [join(ROOT, 'generate/page-kit.ts'), making], { signal });
    await rename(packed.trim(), join(making, 'top-clients-page-kit.tgz'));
    await rm(join(making, 'package'), { recursive: true });
    for (const file of ['package.json', 'page.js'])
      await copyFile(join(folderOf('node-page'), file), join(making, file));
    const digest = createHash('sha256');
    for (const file of ['package.json', 'page.js', 'top-clients-page-kit.tgz'])
      digest.update(await readFile(join(making, file)));
    const installed = join(CACHE, `node-page-${digest.digest('hex').slice(0, 12)}`);
    if (existsSync(installed)) return installed;
    const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--no-package-lock', '--fetch-retries=1'];
    await npm(['install', ...flags], 'The registry of npm is needed once', making, signal);
    // The folder appears whole or not at all. Another process may have been faster.
    await rename(making, installed).catch((err: NodeJS.ErrnoException) => {
      if (err.code !== 'ENOTEMPTY' && err.code !== 'EEXIST') throw err;
    });
    return installed;
  } finally {
    await rm(making, { recursive: true, force: true });
  }
}

async function npm(
  args: readonly string[],
  otherwise: string,
  cwd: string,
  signal?: AbortSignal,
): Promise<void> {
  try {
    await runToEnd('npm', args, { cwd, signal });
  } catch (cause) {
    throw new Error(`${otherwise}: ${(cause as Error).message}`, { cause });
  }
}
