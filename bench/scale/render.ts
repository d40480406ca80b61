/**
 * `make bench-report`: puts tables and curves of the last scale runs, else of the committed ones, into docs/scale.md,
 * between their markers. `node bench/scale/render.ts [results.json]`.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { replaceBetweenMarkers } from '../markers.ts';
import { axisCurves } from './curves.ts';
import { checksOf, fitModel } from './fit-model.ts';
import { FLOOR_FILE, type FloorResults, floorSection } from './floor.ts';
import { AXIS_NAMES, type ScaleResults, undisturbed } from './results.ts';
import {
  axisTable,
  buildTable,
  calibrationTable,
  checkSummary,
  checkTable,
  coefficientTable,
  demandTable,
  pageTable,
} from './tables.ts';

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const [document, beside] = [at('docs/scale.md'), at('docs/scale')];
const committed = join(beside, 'results.json');
const last = process.argv[2] ?? at('bench/results/scale/results.json');
mkdirSync(beside, { recursive: true });
// The data of the tables is committed, so that others can check it.
if (existsSync(last)) copyFileSync(last, committed);

const results = undisturbed(JSON.parse(readFileSync(committed, 'utf8')) as ScaleResults);
const { environment, took } = results;
const model = fitModel(results);
const checks = checksOf(results, model);
const parts: Record<string, string> = {
  circumstances: `${environment.at.slice(0, 16).replace('T', ' ')} UTC, commit ${environment.commit}: ${environment.cores} cores of ${environment.cpu}, ${environment.memoryGb} GB, Linux ${environment.kernel}, ${Object.entries(
    environment.versions,
  )
    .map(([name, version]) => `${name} ${version}`)
    .join(', ')}. Seconds that each part took: ${Object.entries(took)
    .map(([name, seconds]) => `${name} ${seconds.toFixed(0)}`)
    .join(', ')}.`,
  machine: calibrationTable(results),
  build: buildTable(results),
  page: pageTable(results),
  coefficients: coefficientTable(model),
  check: `${checkSummary(checks)}\n\n${checkTable(checks)}`,
  demands: demandTable(model),
};
for (const axis of AXIS_NAMES) {
  const points = results.axes[axis] ?? [];
  if (points.length === 0) continue;
  parts[axis] = `![${axis}](scale/${axis}.svg)\n\n${axisTable(axis, points)}`;
  writeFileSync(join(beside, `${axis}.svg`), axisCurves(axis, points));
}
if (existsSync(FLOOR_FILE))
  parts['floor'] = floorSection(JSON.parse(readFileSync(FLOOR_FILE, 'utf8')) as FloorResults);
let text = readFileSync(document, 'utf8');
for (const [name, part] of Object.entries(parts)) text = replaceBetweenMarkers(text, name, part);
writeFileSync(document, text);
process.stderr.write(`${document} is of ${environment.at}\n`);
