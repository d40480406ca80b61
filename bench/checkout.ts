/** Another checkout of this project, whose runs are interleaved with those of this one. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** @param root of the checkout. @returns the `main.ts` from which its roles run */
export function mainOf(root: string): string {
  const at = resolve(root);
  const main = join(at, 'services/main.ts');
  if (!existsSync(main)) throw new Error(`${at} is no checkout of this project: it has no services/main.ts`);
  return main;
}

/** The variants in the order of a run: every other one backwards, so that none always comes first. */
export const inTurn = <V>(variants: readonly V[], run: number): readonly V[] =>
  run % 2 === 0 ? variants : variants.toReversed();
