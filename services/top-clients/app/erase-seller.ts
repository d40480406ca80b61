import type { Sellers, WriteRequest, WriteResult } from './ports.ts';
import { runCommand } from './run-command.ts';

/**
 * Forgets what is known of a seller: the list, what earlier log entries say, and the answers kept for idempotency
 * keys. The versions stay and go on, so that a late message cannot bring anything back.
 */
export const eraseSeller = (
  sellers: Sellers,
  request: WriteRequest,
): Promise<WriteResult<{ sellerId: number; version: number }>> =>
  runCommand(sellers, request, { kind: 'erase-seller' }, ({ version }) => ({
    sellerId: request.sellerId,
    version,
  }));
