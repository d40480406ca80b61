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
import { dirname, join, matchesGlob } from 'node:path';
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

/** As the image has them: what it is made from, and what it runs. */
let sources: string;
let app: string;
let files: string[];
beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'image-'));
  [sources, app] = [join(folder, 'sources'), join(folder, 'app')];
  files = context();
  for (const file of files) {
    mkdirSync(dirname(join(sources, file)), { recursive: true });
    cpSync(join(root, file), join(sources, file));
  }
  for (const name of [...productionPackages(), 'esbuild', '@esbuild']) {
    const to = join(sources, 'node_modules', name);
    mkdirSync(dirname(to), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), to);
  }
  const [, program] = /^RUN node (\S+) \/app$/m.exec(dockerfile)!;
  await run(process.execPath, [program!, app], { cwd: sources });
});
afterAll(() => rmSync(dirname(app), { recursive: true, force: true }));

const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8').replaceAll('\\\n', ' ');
const entryPoint = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)![1]!) as string[];
/** The flags with which code is compiled into the image, and what loads what a role loads later. */
const compiling = /COMPILE_CACHE=\S+\s+\S+\/node\s+(.+?)\s+"\$@"/.exec(dockerfile)![1]!.split(/\s+/);
const [, loadAll, chunksToLoad] = /--eval '(.+?)' (\S+)/.exec(dockerfile)!;

const startWith = (nodeArgs: readonly string[], ...args: string[]) =>
  run(process.execPath, [...nodeArgs, ...args], {
    cwd: app,
    env: {
      PATH: process.env['PATH'],
      NODE_COMPILE_CACHE: join(app, '.compile-cache'),
      NODE_DEBUG_NATIVE: 'COMPILE_CACHE',
    },
    maxBuffer: 64 * 2 ** 20,
    timeout: 30_000,
  });
const start = (...args: string[]) => startWith(entryPoint.slice(1), ...args);

test('every role starts from what the image holds, by code that was compiled into it', async () => {
  expect(entryPoint).toEqual(['/nodejs/bin/node', ...V8_FLAGS, 'roles/main.js']);
  expect(compiling).toEqual([...V8_FLAGS]);
  const { stdout } = await startWith(compiling, 'roles/main.js', '--help');
  const chunks = globSync(chunksToLoad!, { cwd: app });
  // All but the one that would run.
  expect(chunks.length).toBe(readdirSync(join(app, 'roles')).length - 1);
  const here = loadAll!.replace('/app/', `${app}/`);
  await startWith(compiling, '--input-type=module', '--eval', here, ...chunks);

  const roles = [...stdout.matchAll(/^ {2}(\S+)$/gm)].map(([, role]) => role!);
  expect(roles.length).toBeGreaterThan(8);
  for (const role of roles) {
    const { stdout: help, stderr } = await start(role, '--help');
    expect(help).toMatch(new RegExp(`^${role}: `));
    const read = [...stderr.matchAll(/code cache for \w+ (\S+) was (\w+)/g)];
    expect(read.length).toBeGreaterThan(10);
    expect(read.filter(([, , outcome]) => outcome !== 'accepted')).toEqual([]);
  }
  // Each is a process of its own, one after the other.
}, 240_000);

test('a file is where the program that reads it looks, and none is missing', () => {
  const bundled = readdirSync(join(app, 'roles')).map((name) =>
    readFileSync(join(app, 'roles', name), 'utf8'),
  );
  const places = bundled.flatMap((code) => [
    ...code.matchAll(/new URL\("(\.\.\/[^"]+)", import\.meta\.url\)\.href/g),
  ]);
  // A file that knows its place is still among the sources, whose folders the image has.
  expect(places.length).toBeGreaterThan(5);
  for (const [, place] of places) expect(files).toContain(place!.slice('../'.length));
  const read = files.filter((file) => /^services\/.*\.(?!ts$)\w+$/.test(file));
  expect(read.length).toBeGreaterThan(30);
  for (const file of read) expect(readFileSync(join(app, file))).toEqual(readFileSync(join(root, file)));
});

test('neither specs nor the workbench nor documents are in the image, and packages without their code', () => {
  expect(files).toContain('services/main.ts');
  const leftOut = /\.spec\.ts$|\.md$|^(tests|bench|docs|charts)\/|\/(demo|local-stack)\//;
  expect(files.filter((file) => leftOut.test(file))).toEqual([]);
  const runs = globSync('**/*.*', { cwd: app });
  expect(runs.filter((file) => /^(services|cdk8s|dashboards)\/.*\.ts$/.test(file))).toEqual([]);
  const code = runs.filter((file) => /^node_modules\/(@[^/]+\/)?[^/]+\/.*\.[cm]?js$/.test(file));
  expect(code.filter((file) => !/^node_modules\/(simple-icons|lz4-napi)\//.test(file))).toEqual([]);
});

test('each package in the image tells its version and its licence', () => {
  for (const file of globSync('node_modules/{@*/*,[^@]*}/package.json', { cwd: app })) {
    const { version, license } = JSON.parse(readFileSync(join(app, file), 'utf8')) as Record<string, string>;
    expect({ file, version, license }).toEqual({
      file,
      version: expect.any(String),
      license: expect.any(String),
    });
  }
});
