import { replay } from '../domain/seller.ts';
import type { StateRepair } from './ports.ts';

export interface Rebuilt {
  readonly sellers: number;
  /** How many had a state that differed from their log. */
  readonly corrected: number;
}

/**
 * Rebuilds the state of every seller from the log alone, a few sellers at a time, while commands continue.
 * @throws Error when a log has a gap; the sellers before it are done, that seller is left as it was
 */
export const rebuildState = (
  repair: StateRepair,
  onProgress: (soFar: Rebuilt) => void,
): Promise<Rebuilt | 'busy'> =>
  repair.exclusively(async () => {
    let soFar: Rebuilt = { sellers: 0, corrected: 0 };
    for (let after: number | null = 0; after !== null; ) {
      const { last, sellers, corrected } = await repair.repairNext(after, (seller, { version, change }) => {
        if (version === seller.version + 1) return replay(seller, change);
        throw new Error(`its version ${seller.version + 1} is missing; restore the log from a backup first`);
      });
      soFar = { sellers: soFar.sellers + sellers, corrected: soFar.corrected + corrected };
      onProgress(soFar);
      after = last;
    }
    return soFar;
  });
