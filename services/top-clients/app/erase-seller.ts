import type { Erasures, Sellers, WriteRequest, WriteResult } from './ports.ts';
import { runCommand } from './run-command.ts';

/**
 * Forgets what is known of a seller: the list, and the answers kept for idempotency keys; the log is hidden from then on
 * and emptied afterwards. The versions stay and go on, so that a late message cannot bring anything back.
 */
export const eraseSeller = (
  sellers: Sellers,
  request: WriteRequest,
): Promise<WriteResult<{ sellerId: number; version: number }>> =>
  runCommand(sellers, request, { kind: 'erase-seller' }, ({ version }) => ({
    sellerId: request.sellerId,
    version,
  }));

/** The id of an erasure's receipt; null for one that was committed before receipts were kept, and is only replayed. */
export const receiptIdOf = (
  erasures: Erasures,
  { sellerId, version }: { sellerId: number; version: number },
): Promise<string | null> => erasures.idOf(sellerId, version);
