import type { Sellers, WriteRequest, WriteResult } from './ports.ts';
import { runCommand } from './run-command.ts';

/** Removes a client from the list. */
export const removeClient = (
  sellers: Sellers,
  request: WriteRequest,
  clientId: string,
): Promise<WriteResult<null>> =>
  runCommand(sellers, request, { kind: 'remove-client', clientId }, () => null);
