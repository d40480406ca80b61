import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileOf, type PipelineRun } from './measured.ts';

const FOLDER = join(import.meta.dirname, 'measured');

/** What is committed, by the name of the file. */
export const readMeasured = (): PipelineRun[] =>
  readdirSync(FOLDER)
    .sort()
    .map((name) => JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as PipelineRun);

/** Takes the place of the last run on such a machine. */
export function keepMeasured(run: PipelineRun): void {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, fileOf(run)), `${JSON.stringify(run, null, 2)}\n`);
}
