import type { ErasureReceipt } from '#contracts/erasures.ts';
import type { Erasures } from './ports.ts';

/** The state of an erasure in every store; null when there is no such receipt. */
export const readReceipt = (erasures: Erasures, id: string): Promise<ErasureReceipt | null> =>
  erasures.receipt(id.toLowerCase());
