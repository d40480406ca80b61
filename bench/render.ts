/**
 * `make bench-report`: keeps the last complete run of the pipeline in `bench/measured`, and puts the figures of all
 * runs kept there into bench/README.md, between its markers. Other text stays.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type PipelineRun, withFigures } from './measured.ts';
import { keepMeasured, readMeasured } from './measured-files.ts';

const last = process.argv[2] ?? join(import.meta.dirname, 'results', 'pipeline', 'results.json');
if (existsSync(last)) keepMeasured(JSON.parse(readFileSync(last, 'utf8')) as PipelineRun);
const document = join(import.meta.dirname, 'README.md');
writeFileSync(document, withFigures(readFileSync(document, 'utf8'), readMeasured()));
process.stderr.write(`${document} has the figures of ${readMeasured().length} machines\n`);
