/** `npm run generate` writes the documents; with `-- --check` it only tells which are stale, and exits 1 then. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { documents } from './documents.ts';

const folder = new URL('../generated/', import.meta.url);
const check = process.argv.includes('--check');

const wanted = documents();
const present = await readdir(folder).catch(() => []);
const stale: string[] = present.filter((name) => !wanted.has(name));
for (const [name, text] of wanted) {
  const before = await readFile(new URL(name, folder), 'utf8').catch(() => null);
  if (before !== text) stale.push(name);
}

if (check) {
  if (stale.length > 0) {
    process.stderr.write(
      `${stale.map((name) => `services/contracts/generated/${name} is stale`).join('\n')}\nrun: npm run generate\n`,
    );
    process.exitCode = 1;
  }
} else {
  await mkdir(folder, { recursive: true });
  for (const name of stale) {
    const text = wanted.get(name);
    await (text === undefined ? rm(new URL(name, folder)) : writeFile(new URL(name, folder), text));
    process.stdout.write(
      `${text === undefined ? 'removed' : 'wrote'} services/contracts/generated/${name}\n`,
    );
  }
}
