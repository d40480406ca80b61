/** `make bench-report`: puts the tables of the newest scale run into docs/scale.md, between their markers. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { replaceBetweenMarkers } from '../markers.ts';
import { checkTable, coefficientTable, demandTable, measuredTable, type ScaleResults } from './results.ts';

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const from = process.argv[2] ?? at('bench/results/scale/results.json');
const document = at('docs/scale.md');

if (existsSync(from)) {
  const results = JSON.parse(readFileSync(from, 'utf8')) as ScaleResults;
  const { environment } = results;
  const parts = {
    circumstances: `${environment.at.slice(0, 16).replace('T', ' ')} UTC, commit ${environment.commit}: ${environment.cores} cores of ${environment.cpu}, ${environment.memoryGb} GB, Linux ${environment.kernel}, Node ${environment.versions['node']}; load before the start ${environment.loadAtStart.join(' ')}; one run. \`${environment.command.trim()}\``,
    measured: measuredTable(results),
    check: checkTable(results),
    coefficients: coefficientTable(results),
    demands: demandTable(results),
  };
  let text = readFileSync(document, 'utf8');
  for (const [name, part] of Object.entries(parts)) text = replaceBetweenMarkers(text, name, part);
  writeFileSync(document, text);
  process.stderr.write(`${document} is of ${environment.at}\n`);
} else {
  process.stderr.write(`${from} is not there: run make bench-scale first, or name a results.json\n`);
  process.exitCode = 2;
}
