import type { Client, NewClient } from '#contracts/client.ts';
import type { Sellers, WriteRequest, WriteResult } from './ports.ts';
import { runCommand } from './run-command.ts';

/** Adds a client at the end of the list; answers the client. */
export const addClient = (
  sellers: Sellers,
  request: WriteRequest,
  clientId: string,
  client: NewClient,
): Promise<WriteResult<Client>> =>
  // A repeated request is answered with the client as well: the id is kept, and the request has the rest.
  runCommand(sellers, request, { kind: 'add-client', clientId, client }, ({ addedId }) => ({
    id: addedId!,
    ...client,
  }));
