/**
 * Writes what is in the image beside its base as an SBOM (CycloneDX), and refuses licences that nobody has judged:
 * `make sbom`.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';

/** May be distributed with a program under the Apache License 2.0, unchanged and with their notices. */
const ALLOWED = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'PSF-2.0',
  'Unlicense',
]);

interface Component {
  readonly name: string;
  readonly version: string;
  readonly licenses?: readonly {
    readonly expression?: string;
    readonly license?: { readonly id?: string; readonly name?: string };
  }[];
}

const { status, stdout, stderr } = spawnSync(
  'npm',
  ['sbom', '--omit', 'dev', '--sbom-format', 'cyclonedx', '--sbom-type', 'application'],
  { encoding: 'utf8', maxBuffer: 64 * 2 ** 20 },
);
if (status !== 0) throw new Error(`npm sbom failed: ${stderr}`);
const { components } = JSON.parse(stdout) as { components: readonly Component[] };

const licencesOf = ({ licenses = [] }: Component) =>
  licenses.map(({ expression, license }) => expression ?? license?.id ?? license?.name ?? '');
const refused = components.filter((one) => {
  const licences = licencesOf(one);
  return licences.length === 0 || !licences.every((licence) => ALLOWED.has(licence));
});
for (const one of refused) {
  const licences = licencesOf(one).join(', ') || 'none';
  console.error(
    `${one.name} ${one.version}: ${licences}; judge it in tests/support/sbom.ts, or do without it`,
  );
}
mkdirSync('dist', { recursive: true });
writeFileSync('dist/sbom.cdx.json', stdout);
if (refused.length > 0) process.exitCode = 1;
else console.log(`dist/sbom.cdx.json: ${components.length} packages, each under a licence that is allowed`);
