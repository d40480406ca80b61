/**
 * Lays out what the image runs: `node generate/bundle.ts <folder>`, a folder that is not there yet.
 *
 *     roles/         our programs and the packages they use, in few files: `node roles/main.js <role>` loads only its own
 *     services/      the files that programs read while they run, where the sources have them
 *     node_modules/  packages that are not bundled; of those that are, what tells their name, version and licence
 *     package.json
 *
 * A role starts in about two thirds of the time that its sources take: Node looks for, reads and links some
 * thirty files instead of four hundred.
 */
import { cpSync, existsSync, globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const root = fileURLToPath(new URL('../', import.meta.url));

/** Packages of which programs read files by themselves, or load native code. */
const NOT_BUNDLED = ['simple-icons', 'lz4-napi'];

/** What only editors and bundlers read, and the brands once more as one module each for `require` and `import`. */
const UNREAD = /\.(map|d\.[mc]?ts)$|simple-icons\/index\.m?js$/;

/** Files that are bundled, or that no program reads while it runs. */
const NOT_READ = /\.(ts|md)$|^services\/(demo|local-stack)\/|\/testing\//;

/**
 * What packages load at their start, by the file that asks for it, and no program of ours uses. Whoever uses such a part
 * all the same is told that it is not a function.
 */
const UNUSED: Readonly<Record<string, readonly string[]>> = {
  // Messages in fifty languages. The English ones are asked for by themselves.
  'zod/v4/core/index.js': ['../locales/index.js'],
  'zod/v4/classic/external.js': ['../locales/index.js'],
  // Bodies are read by `bodyOf`, files by `assets.ts`, queries as `node:querystring` reads them.
  'express/lib/express.js': ['body-parser', 'serve-static'],
  'express/lib/utils.js': ['qs'],
  // Sockets of Cloudflare's.
  'pg/lib/stream.js': ['pg-cloudflare'],
  // HTTP/2, and with it `node:http2`: our servers speak HTTP/1.1, and clients of ours do not offer more.
  'undici/lib/dispatcher/client.js': ['./client-h2.js'],
  // Consumers of groups, and the producer: `partition-reader.ts` and `producer.ts` do their work.
  'kafkajs/src/index.js': ['./consumer', './producer'],
  'kafkajs/src/admin/index.js': ['../consumer'],
};

/** Packages that know where their files are, and why theirs are not needed. */
const READS_ITS_FILES: Readonly<Record<string, string>> = {
  '@grpc/grpc-js': 'traces are sent over HTTP',
  '@opentelemetry/otlp-grpc-exporter-base': 'the same',
  cdk8s: 'loads YAML from an address, which we never do',
  'import-in-the-middle': 'instrumentations, of which we have none',
  pino: 'loggers in threads; ours write where they are',
  'thread-stream': 'what pino has threads by',
};

/** @throws Error when a part is not asked for (any more) by the file that should */
function withoutUnusedParts(): Plugin {
  const NAMESPACE = 'unused';
  return {
    name: 'without unused parts',
    setup({ onResolve, onLoad, onEnd }) {
      const unmet = new Set(
        Object.entries(UNUSED).flatMap(([file, parts]) => parts.map((part) => `${file} → ${part}`)),
      );
      onResolve({ filter: /./ }, ({ path, importer }) => {
        const [, file = ''] = /\/node_modules\/(.+)$/.exec(importer) ?? [];
        if (!UNUSED[file]?.includes(path)) return undefined;
        unmet.delete(`${file} → ${path}`);
        return { path, namespace: NAMESPACE };
      });
      onLoad({ filter: /./, namespace: NAMESPACE }, () => ({ contents: '' }));
      onEnd(() => ({
        errors: [...unmet].map((text) => ({ text: `${text}: no such import, see generate/bundle.ts` })),
      }));
    },
  };
}

/** Our files find others by their own address: it stays that of the source, as seen from `roles/`. */
const atTheirPlaces: Plugin = {
  name: 'at their places',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8');
      const place = JSON.stringify(`../${relative(root, path)}`);
      const contents = source.replaceAll('import.meta.url', `new URL(${place}, import.meta.url).href`);
      const other = /import\.meta\.(?!url\b|resolve\b)\w+/.exec(source)?.[0];
      return other
        ? {
            errors: [
              { text: `${other} would be that of the bundle; use import.meta.url`, location: { file: path } },
            ],
          }
        : { contents, loader: 'ts' };
    });
  },
};

/** @returns the files that were bundled. @throws Error when something cannot be bundled as it is */
async function bundle(folder: string): Promise<readonly string[]> {
  const { metafile, outputFiles } = await build({
    entryPoints: [join(root, 'services/main.ts')],
    outdir: folder,
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    // The files that Node would take, and not those meant for bundlers.
    conditions: [],
    entryNames: '[name]',
    chunkNames: '[name]-[hash]',
    external: NOT_BUNDLED.flatMap((name) => [name, `${name}/*`]),
    // Packages of the older kind ask for Node's modules by it.
    banner: {
      js: `const require = process.getBuiltinModule('node:module').createRequire(import.meta.url);`,
    },
    // Whatever tsconfig.json lies there.
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
    preserveSymlinks: true,
    metafile: true,
    write: false,
    logLevel: 'error',
    plugins: [withoutUnusedParts(), atTheirPlaces],
  });
  mkdirSync(folder);
  for (const { path, text } of outputFiles) writeFileSync(path, oneByteACharacter(text));
  return Object.keys(metafile.inputs);
}

/** V8 holds a file in two bytes a character as soon as one needs them, a dash in a comment for example. */
const oneByteACharacter = (code: string): string =>
  code.replace(/[^\0-\xff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** `node_modules/a/node_modules/b` of `node_modules/a/node_modules/b/lib/c.js`. */
const packageOf = (file: string): string | undefined =>
  /^(.*\bnode_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1];

/** @throws Error when a package reads files that would not be there */
function expectNoOtherReaders(inputs: readonly string[]): void {
  for (const file of inputs) {
    const name = packageOf(file)?.replace(/^.*node_modules\//, '');
    if (name === undefined || Object.hasOwn(READS_ITS_FILES, name) || !/\.[cm]?js$/.test(file)) continue;
    if (/\b(__dirname|import\.meta\.(dirname|url|resolve))\b/.test(readFileSync(join(root, file), 'utf8')))
      throw new Error(`${file} reads files of its own; judge it in generate/bundle.ts`);
  }
}

/** The folder of a package, as one that is in `from` finds it. */
const placeOf = (name: string, from: string): string | undefined =>
  createRequire(join(from, 'package.json'))
    .resolve.paths(name)!
    .map((place) => join(place, name))
    .find((place) => existsSync(join(place, 'package.json')));

/** Copies a package, and those it needs. */
function copyPackage(name: string, to: string, from: string = root): void {
  const at = placeOf(name, from);
  if (at === undefined) throw new Error(`${name} is not installed`);
  cpSync(at, join(to, relative(root, at)), {
    recursive: true,
    dereference: true,
    filter: (path) => !UNREAD.test(path),
  });
  const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
    readFileSync(join(at, 'package.json'), 'utf8'),
  ) as { dependencies?: object; optionalDependencies?: object };
  for (const one of Object.keys(dependencies)) copyPackage(one, to, at);
  // Native code of other platforms is not there.
  for (const one of Object.keys(optionalDependencies))
    if (placeOf(one, at) !== undefined) copyPackage(one, to, at);
}

/** Name, version and licence of a package whose code is in `roles/`, where people and scanners look for them. */
function copyAbout(folder: string, to: string): void {
  const names = readdirSync(join(root, folder));
  const licences = names.filter((name) => /^(licen[cs]e|notice|copying|copyright)/i.test(name));
  // Some have their licence at the end of what they say of themselves.
  const told = licences.length > 0 ? licences : names.filter((name) => /^readme/i.test(name));
  mkdirSync(join(to, folder), { recursive: true });
  for (const name of ['package.json', ...told])
    cpSync(join(root, folder, name), join(to, folder, name), { recursive: true });
}

/** @param folder that is not there yet */
async function layOut(folder: string): Promise<void> {
  const to = resolve(folder);
  mkdirSync(to, { recursive: true });
  const inputs = await bundle(join(to, 'roles'));
  expectNoOtherReaders(inputs);
  for (const one of new Set(inputs.map(packageOf))) if (one !== undefined) copyAbout(one, to);
  for (const name of NOT_BUNDLED) copyPackage(name, to);
  for (const file of globSync('services/**/*.*', { cwd: root }))
    if (!NOT_READ.test(file)) cpSync(join(root, file), join(to, file));
  cpSync(join(root, 'package.json'), join(to, 'package.json'));
}

const [, , folder] = process.argv;
if (folder === undefined) throw new Error('which folder? node generate/bundle.ts <folder>');
await layOut(folder);
