import type { Client, ClientPatch } from '#contracts/client.ts';
import type { Sellers, WriteRequest, WriteResult } from './ports.ts';
import { runCommand } from './run-command.ts';

/** Changes the members a patch names; answers the client as it is then. */
export const updateClient = (
  sellers: Sellers,
  request: WriteRequest,
  clientId: string,
  patch: ClientPatch,
): Promise<WriteResult<Client>> =>
  runCommand(
    sellers,
    request,
    { kind: 'update-client', clientId, patch },
    ({ clients }) => clients.find(({ id }) => id === clientId)!,
  );
