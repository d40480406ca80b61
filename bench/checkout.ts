/** Another checkout of this project, whose runs are interleaved with those of this one. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** @param root of the checkout. @returns the `main.ts` from which its roles run */
export function mainOf(root: string): string {
  const at = resolve(root);
  const main = join(at, 'services/main.ts');
  if (!existsSync(main)) throw new Error(`${at} is no checkout of this project: it has no services/main.ts`);
  return main;
}

/**
 * Lays out what the image of a checkout runs.
 * @param folder that is not there yet
 * @returns its `main.js`; `undefined` where the image runs the sources
 */
export function layOutProgram(root: string, folder: string): string | undefined {
  const bundle = join(resolve(root), 'generate/bundle.ts');
  if (!existsSync(bundle)) return undefined;
  execFileSync(process.execPath, [bundle, folder], { stdio: 'inherit' });
  return join(folder, 'roles/main.js');
}

/** The variants in the order of a run: every other one backwards, so that none always comes first. */
export const inTurn = <V>(variants: readonly V[], run: number): readonly V[] =>
  run % 2 === 0 ? variants : variants.toReversed();
