/**
 * `make bench-report`: puts the tables of the last results, else of the committed ones, between the markers of
 * docs/comparison.md, and all tables and plots beside it. `node bench/comparison/render.ts [results.json]`.
 */
import { existsSync } from 'node:fs';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { allTables, withTables } from './document.ts';
import { writePlots } from './report-files.ts';
import type { Results } from './results.ts';

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const document = at('docs/comparison.md');
const beside = at('docs/comparison');
const committed = join(beside, 'results.json');
const last = process.argv[2] ?? at('bench/results/comparison/results.json');
// The data of the tables is committed, so that others can check it.
if (existsSync(last)) await copyFile(last, committed);

const results = JSON.parse(await readFile(committed, 'utf8')) as Results;
await writeFile(document, withTables(await readFile(document, 'utf8'), results));
await writeFile(join(beside, 'tables.md'), allTables(results));
await writePlots(beside, results);
process.stderr.write(`${document}, all tables and plots are of ${results.environment.at}\n`);
