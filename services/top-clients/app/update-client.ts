import type { Client, ClientPatch } from '#contracts/client.ts';
import type { Sellers, WriteRequest, WriteResult } from './ports.ts';
import { runCommand } from './run-command.ts';

/**
 * Changes the members that a patch names. Answers the client after the change; null for a repeated request when the
 * list has changed since.
 */
export const updateClient = (
  sellers: Sellers,
  request: WriteRequest,
  clientId: string,
  patch: ClientPatch,
): Promise<WriteResult<Client | null>> =>
  runCommand(
    sellers,
    request,
    { kind: 'update-client', clientId, patch },
    ({ list }) => list?.clients.find(({ id }) => id === clientId) ?? null,
  );
