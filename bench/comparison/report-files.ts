import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { plots } from './plots.ts';
import type { Results } from './results.ts';
import { markdown } from './tables.ts';

/** Writes results.json, tables.md and the plots into a folder that exists. */
export async function writeReport(folder: string, results: Results): Promise<void> {
  await writeFile(join(folder, 'results.json'), `${JSON.stringify(results)}\n`);
  await writeFile(join(folder, 'tables.md'), markdown(results));
  await writePlots(folder, results);
}

/** One SVG file a plot, in a folder that is created when absent. */
export async function writePlots(folder: string, results: Results): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, svg] of plots(results)) await writeFile(join(folder, `${name}.svg`), svg);
}
