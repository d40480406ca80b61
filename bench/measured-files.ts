import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileOf, type PipelineRun } from './measured.ts';

const FOLDER = join(import.meta.dirname, 'measured');

/** The committed runs, in the order of their file names. */
export const readMeasured = (): PipelineRun[] =>
  readdirSync(FOLDER)
    .sort()
    .map((name) => JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as PipelineRun);

/** Replaces the last run on a machine of the same kind. */
export function keepMeasured(run: PipelineRun): void {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, fileOf(run)), `${JSON.stringify(run, null, 2)}\n`);
}
