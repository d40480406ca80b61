import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MARK } from './manifest-files.ts';

/** Writes the files, and removes those of an earlier run that are no longer needed: somebody might apply them. */
export async function writeManifests(
  folder: string,
  files: ReadonlyMap<string, string>,
  say: (line: string) => void,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    if (files.has(name) || !name.endsWith('.yaml')) continue;
    const file = join(folder, name);
    if (!(await readFile(file, 'utf8')).startsWith(MARK)) continue;
    await rm(file);
    say(`removed ${file}`);
  }
  for (const [name, text] of files) {
    const file = join(folder, name);
    await writeFile(file, text);
    say(`wrote ${file}`);
  }
}
