/**
 * `make bench-report`: puts the tables of the newest results into docs/comparison.md, between their markers, and the
 * plots beside it. `node bench/comparison/render.ts [results.json]`. Text stays as it is.
 */
import { existsSync } from 'node:fs';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { replaceBetweenMarkers } from '../markers.ts';
import { writePlots } from './report-files.ts';
import type { Results } from './results.ts';
import { bytesTable, circumstances, costTable, faultTable, healthyTable } from './tables.ts';

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const from = process.argv[2] ?? at('bench/results/comparison/results.json');
const document = at('docs/comparison.md');
const beside = at('docs/comparison');

if (existsSync(from)) {
  const results = JSON.parse(await readFile(from, 'utf8')) as Results;
  const parts = {
    circumstances: circumstances(results),
    healthy: healthyTable(results),
    cost: costTable(results),
    faults: faultTable(results),
    bytes: bytesTable(results),
  };
  let text = await readFile(document, 'utf8');
  for (const [name, part] of Object.entries(parts)) text = replaceBetweenMarkers(text, name, part);
  await writeFile(document, text);
  await writePlots(beside, results);
  // What the tables were made of, for those who doubt or redo them.
  if (from !== join(beside, 'results.json')) await copyFile(from, join(beside, 'results.json'));
  process.stderr.write(`${document} and its plots are of ${results.environment.at}\n`);
} else {
  process.stderr.write(`${from} is not there: run make bench first, or name a results.json\n`);
  process.exitCode = 2;
}
