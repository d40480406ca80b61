import type { ErasureReceipt } from '#contracts/erasures.ts';
import type { Erasures } from './ports.ts';

/** What has become of an erasure in every store; null where there is no such receipt. */
export const readReceipt = (erasures: Erasures, id: string): Promise<ErasureReceipt | null> =>
  erasures.receipt(id.toLowerCase());
