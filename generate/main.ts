/** `npm run generate` writes what is derived from schemas; `-- --check` only lists what is stale, and exits 1. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { definitionsFingerprint } from '#cdk8s/api/crd.ts';
import { DEFINITIONS } from '#cdk8s/api/definitions.ts';
import { chartFiles } from '#cdk8s/chart-files.ts';
import { chartDashboards, generatedFiles } from '#dashboards/files.ts';
import { documents } from './documents.ts';
import { withSizes } from './sizes.ts';

const root = new URL('../', import.meta.url);
const check = process.argv.includes('--check');

/** These folders hold nothing else: a file that is no longer derived is removed. */
const WHOLE_FOLDERS = [
  'services/contracts/generated/',
  'charts/top-clients/crds/',
  'charts/top-clients/dashboards/',
  'dashboards/generated/',
];
/** Definitions that differ from those last counted are the next generation. */
const fingerprint = definitionsFingerprint();
const generation = DEFINITIONS.generation + (DEFINITIONS.fingerprint === fingerprint ? 0 : 1);
const COUNTED = 'cdk8s/api/definitions.ts';
const counted = (await readFile(new URL(COUNTED, root), 'utf8')).replace(
  /(DEFINITIONS = ).*;/,
  `$1{ generation: ${generation}, fingerprint: '${fingerprint}' };`,
);

const within = (folder: string, files: ReadonlyMap<string, string>) =>
  [...files].map(([path, text]) => [`${folder}${path}`, text] as const);
/** Tables between markers in documents that are written by hand. */
const OPERATIONS = 'docs/operations/README.md';
const wanted = new Map([
  [COUNTED, counted] as const,
  [OPERATIONS, withSizes(await readFile(new URL(OPERATIONS, root), 'utf8'))],
  ...within('services/contracts/generated/', documents()),
  ...within('charts/top-clients/', chartFiles(generation)),
  ...within('charts/top-clients/dashboards/', chartDashboards()),
  ...within('dashboards/generated/', generatedFiles()),
]);

const stale: string[] = [];
for (const folder of WHOLE_FOLDERS) {
  const present = await readdir(new URL(folder, root)).catch(() => []);
  stale.push(...present.map((name) => `${folder}${name}`).filter((path) => !wanted.has(path)));
}
for (const [path, text] of wanted) {
  const before = await readFile(new URL(path, root), 'utf8').catch(() => null);
  if (before !== text) stale.push(path);
}

if (check) {
  if (stale.length > 0) {
    process.stderr.write(`${stale.map((path) => `${path} is stale`).join('\n')}\nrun: npm run generate\n`);
    process.exitCode = 1;
  }
} else {
  for (const path of stale) {
    const text = wanted.get(path);
    const file = new URL(path, root);
    if (text === undefined) await rm(file);
    else {
      await mkdir(new URL('./', file), { recursive: true });
      await writeFile(file, text);
    }
    process.stdout.write(`${text === undefined ? 'removed' : 'wrote'} ${path}\n`);
  }
}
