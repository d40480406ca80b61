/** Packs the package that pages of others install: `make page-kit` writes it to `.cache/page-kit`, or a folder given. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import ts from 'typescript';

const root = fileURLToPath(new URL('../', import.meta.url));
const from = (path: string) => fileURLToPath(new URL(`../services/page-kit/${path}`, import.meta.url));
const project = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as {
  readonly version: string;
  readonly license?: string;
  readonly dependencies: Readonly<Record<string, string>>;
};

/** Not bundled: what a page has of its own, must have once, or gets mended without us. */
const NEEDED = ['undici', 'prom-client', 'zod'] as const;
const PEER = 'pg';

/**
 * Our roles load parts of packages by their paths, for a quick start. A page has other versions of them, whose paths may be
 * others: it gets what they export, by the name of the module that asks for the part.
 */
const PUBLIC: Readonly<Record<string, string>> = {
  'prom-client/lib/counter.js': `export { Counter as default } from 'prom-client';`,
  'prom-client/lib/gauge.js': `export { Gauge as default } from 'prom-client';`,
  'prom-client/lib/histogram.js': `export { Histogram as default } from 'prom-client';`,
  'prom-client/lib/registry.js': `export { Registry as default } from 'prom-client';`,
  './process-metrics.ts': `import { collectDefaultMetrics } from 'prom-client';
    export const collectProcessMetrics = (register) => collectDefaultMetrics({ register });`,
  '#platform/client-pool.ts': `import { Pool } from 'undici';
    export const openClientPool = (origin, options) => new Pool(origin, options);`,
};

const manifest = {
  name: 'top-clients-page-kit',
  version: project.version,
  description:
    'Reads the top clients of sellers from the database of a page, as fast and as safely as Top Clients does',
  license: project.license,
  type: 'module',
  exports: { '.': { types: './index.d.ts', default: './index.js' } },
  files: ['index.js', 'index.d.ts', 'README.md'],
  engines: { node: '>=20.18.1' },
  sideEffects: false,
  dependencies: Object.fromEntries(NEEDED.map((name) => [name, `^${project.dependencies[name]}`])),
  peerDependencies: { [PEER]: `^${project.dependencies[PEER]}` },
};

/** The declarations of the one file that holds all that the package says of itself. */
function declarations(): string {
  const { outputText, diagnostics } = ts.transpileDeclaration(readFileSync(from('types.ts'), 'utf8'), {
    fileName: 'types.ts',
    reportDiagnostics: true,
    compilerOptions: { isolatedDeclarations: true },
  });
  if (diagnostics?.length)
    throw new Error(ts.flattenDiagnosticMessageText(diagnostics[0]!.messageText, '\n'));
  return `${outputText}export declare const openTopClients: OpenTopClients;\n`;
}

/**
 * Builds the package and packs it.
 * @param folder where the file is to be; what it holds of an earlier one is replaced
 * @returns the path of the `.tgz`
 */
export async function packKit(folder: string): Promise<string> {
  const built = `${folder}/package`;
  rmSync(built, { recursive: true, force: true });
  mkdirSync(built, { recursive: true });
  await build({
    entryPoints: [from('index.ts')],
    outfile: `${built}/index.js`,
    absWorkingDir: root,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.18',
    // Its licence asks for nothing but that it stays: comments of libraries are kept at the end.
    legalComments: 'eof',
    logLevel: 'error',
    plugins: [
      {
        name: 'not-bundled',
        setup({ onResolve, onLoad }) {
          onResolve({ filter: /./ }, ({ path }) =>
            Object.hasOwn(PUBLIC, path) ? { path, namespace: 'public' } : undefined,
          );
          onLoad({ filter: /./, namespace: 'public' }, ({ path }) => ({ contents: PUBLIC[path]! }));
          // A part that nobody has put into the list would be bundled.
          onResolve({ filter: new RegExp(`^(${NEEDED.join('|')})/`) }, ({ path }) => ({
            errors: [{ text: `${path} has no public form in generate/page-kit.ts` }],
          }));
          onResolve({ filter: new RegExp(`^(${[PEER, ...NEEDED].join('|')})$`) }, ({ path }) => ({
            path,
            external: true,
          }));
          // The kit is given a logger; what opens ours is not used.
          onResolve({ filter: /^pino$/ }, ({ path }) => ({ path, external: true, sideEffects: false }));
        },
      },
    ],
  });
  writeFileSync(`${built}/index.d.ts`, declarations());
  writeFileSync(`${built}/README.md`, readFileSync(from('README.md')));
  writeFileSync(`${built}/package.json`, `${JSON.stringify(manifest, null, 2)}\n`);
  const [{ filename }] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--pack-destination', folder], { cwd: built, encoding: 'utf8' }),
  ) as [{ filename: string }];
  return `${folder}/${filename}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? `${root}.cache/page-kit`;
  mkdirSync(folder, { recursive: true });
  process.stdout.write(`${await packKit(folder)}\n`);
}
