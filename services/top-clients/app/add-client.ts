import type { Client, NewClient } from '#contracts/client.ts';
import type { Sellers, WriteRequest, WriteResult } from './ports.ts';
import { runCommand } from './run-command.ts';

/** Puts a client at the end of the list; answers the client. */
export const addClient = (
  sellers: Sellers,
  request: WriteRequest,
  clientId: string,
  client: NewClient,
): Promise<WriteResult<Client>> =>
  // Of a repetition as well: all but the id stands in the request, which is the same.
  runCommand(sellers, request, { kind: 'add-client', clientId, client }, ({ addedId }) => ({
    id: addedId!,
    ...client,
  }));
