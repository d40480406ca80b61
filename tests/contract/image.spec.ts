/** What the image holds (`.dockerignore`, the packages of production) is enough for every role, and is no more. */
import { execFile } from 'node:child_process';
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, matchesGlob, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { V8_FLAGS } from '#contracts/v8-flags.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

/** As Docker reads it: the last pattern decides that fits the file or a folder it is in. */
function isLeftOut(file: string, patterns: readonly string[]): boolean {
  const parts = file.split('/');
  const paths = parts.map((_, i) => parts.slice(0, i + 1).join('/'));
  return patterns.reduce((out, pattern) => {
    const exception = pattern.startsWith('!');
    const wanted = exception ? pattern.slice(1) : pattern;
    return paths.some((path) => matchesGlob(path, wanted)) ? !exception : out;
  }, false);
}

const context = (): string[] => {
  const patterns = readFileSync(join(root, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  return globSync('**/*', { cwd: root, exclude: ['node_modules', '.cache', '.demo'], withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
    .filter((file) => !isLeftOut(file, patterns));
};

const productionPackages = (): string[] => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean }>;
  };
  return Object.entries(lock.packages).flatMap(([path, { dev, devOptional, optional }]) => {
    const [, name] = /^node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(path) ?? [];
    return name && !dev && !devOptional && !optional ? [name] : [];
  });
};

let app: string;
let files: string[];
beforeAll(() => {
  app = mkdtempSync(join(tmpdir(), 'image-'));
  files = context();
  for (const file of files) {
    mkdirSync(dirname(join(app, file)), { recursive: true });
    cpSync(join(root, file), join(app, file));
  }
  for (const name of productionPackages()) {
    const to = join(app, 'node_modules', name);
    mkdirSync(dirname(to), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), to);
  }
});
afterAll(() => rmSync(app, { recursive: true, force: true }));

const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8').replaceAll('\\\n', ' ');
const entryPoint = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)![1]!) as string[];
/** What stands behind Node's name, where code is compiled into the image. */
const compiling = /COMPILE_CACHE=\S+ \S+\/node\s+(.+?)\s+"\$role" --help/.exec(dockerfile)![1]!.split(/\s+/);

const startWith = (nodeArgs: readonly string[], cache: string, ...args: string[]) =>
  run(process.execPath, [...nodeArgs, ...args], {
    cwd: app,
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: join(app, cache) },
    timeout: 30_000,
  });
const start = (...args: string[]) => startWith(entryPoint.slice(1), '.compile-cache', ...args);

test('every role loads from what the image holds', async () => {
  const { stdout } = await start('--help');
  const roles = [...stdout.matchAll(/^ {2}(\S+)$/gm)].map(([, role]) => role!);
  expect(roles.length).toBeGreaterThan(8);
  for (const role of roles) {
    const { stdout: help } = await start(role, '--help');
    expect(help).toMatch(new RegExp(`^${role}: `));
  }
  // Each is a process of its own, one after the other.
}, 240_000);

test('neither specs nor the workbench nor documents are in the image', () => {
  expect(files).toContain('services/main.ts');
  expect(
    files.filter((file) =>
      /\.spec\.ts$|\.md$|^(tests|bench|docs|charts)\/|\/(demo|local-stack)\//.test(file),
    ),
  ).toEqual([]);
});

test('every role runs with the flags of V8, and finds the code that was compiled into the image', async () => {
  expect(entryPoint).toEqual(['/nodejs/bin/node', ...V8_FLAGS, 'services/main.ts']);
  await startWith(compiling, '.compiled-there', 'migrate', '--help');
  await start('migrate', '--help');
  // Node names the folder after itself and the flags of V8: that of others is passed over.
  expect(readdirSync(join(app, '.compiled-there'))).toEqual(readdirSync(join(app, '.compile-cache')));
});

test('what a role loads later is compiled into the image too, under the same flags', () => {
  const [, list, flags] = /for later in (.+?); do\s.*?\/node\s+(.+?)\s+--input-type/s.exec(dockerfile)!;
  const imported = files
    .filter((file) => file.startsWith('services/') && file !== 'services/main.ts')
    .flatMap((file) =>
      [...readFileSync(join(root, file), 'utf8').matchAll(/(?<!typeof )import\('([.#][^']+)'\)/g)].map(
        ([, to]) => (to!.startsWith('#') ? to!.slice(1) : relative('services', join(dirname(file), to!))),
      ),
    );
  expect(list!.split(/\s+/).sort()).toEqual(imported.sort());
  expect(flags!.split(/\s+/)).toEqual([...V8_FLAGS]);
});
