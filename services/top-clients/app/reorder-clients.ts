import type { ListAnswer, Sellers, WriteRequest, WriteResult } from './ports.ts';
import { runCommand } from './run-command.ts';

/** Puts the clients into the order of the ids, which must name each exactly once; answers the list. */
export const reorderClients = (
  sellers: Sellers,
  request: WriteRequest,
  clientIds: readonly string[],
): Promise<WriteResult<ListAnswer>> =>
  runCommand(sellers, request, { kind: 'reorder-clients', clientIds }, ({ version, clients }, updatedAt) => ({
    sellerId: request.sellerId,
    version,
    clients,
    updatedAt,
  }));
