import type { ListAnswer, Sellers, WriteRequest, WriteResult } from './ports.ts';
import { runCommand } from './run-command.ts';

/**
 * Puts the clients into the order of the ids, which must name each client exactly once. Answers the list; null for a
 * repeated request when the list has changed since.
 */
export const reorderClients = (
  sellers: Sellers,
  request: WriteRequest,
  clientIds: readonly string[],
): Promise<WriteResult<ListAnswer | null>> =>
  runCommand(
    sellers,
    request,
    { kind: 'reorder-clients', clientIds },
    ({ version, list }) =>
      list && { sellerId: request.sellerId, version, clients: list.clients, updatedAt: list.updatedAt },
  );
