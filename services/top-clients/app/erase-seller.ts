import type { Erasures, Sellers, WriteRequest, WriteResult } from './ports.ts';
import { runCommand } from './run-command.ts';

/**
 * Erases what is stored of a seller: the list, and the outcomes kept for idempotency keys. The log is hidden at once
 * and emptied afterwards. Versions keep counting, so that a late message cannot bring anything back.
 */
export const eraseSeller = (
  sellers: Sellers,
  request: WriteRequest,
): Promise<WriteResult<{ sellerId: number; version: number }>> =>
  runCommand(sellers, request, { kind: 'erase-seller' }, ({ version }) => ({
    sellerId: request.sellerId,
    version,
  }));

/** The id of an erasure's receipt; null for a replay of an erasure that was committed before receipts existed. */
export const receiptIdOf = (
  erasures: Erasures,
  { sellerId, version }: { sellerId: number; version: number },
): Promise<string | null> => erasures.idOf(sellerId, version);
