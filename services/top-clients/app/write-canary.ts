import { CANARY_SELLER } from '#contracts/canary.ts';
import { newTraceparent } from '#platform/traceparent.ts';
import { addClient } from './add-client.ts';
import type { Sellers, WriteResult } from './ports.ts';
import { updateClient } from './update-client.ts';

const CLIENT_ID = 'ca11ab1e-0000-4000-8000-000000000001';
/** Entries of the canary's log that are kept: it would grow by 86,400 a day. */
export const CANARY_LOG = 200;
const PRUNE_EVERY = 100;

export interface CanaryTurn {
  /** Pass this at the next turn. */
  readonly version: number;
  readonly written: boolean;
}

/**
 * Changes the synthetic seller as a seller changes a list, in one replica at a time. A replica writes only when it
 * finds the list as it left or found it an interval ago, and only over that version. While one replica writes, the
 * others therefore see changes and do not write. When it is gone, the next replica that finds the list unchanged takes
 * over. Nothing is held in between: no session, no lock that could be lost, no clocks that have to agree.
 * @param seen the version of the turn before; null at the first
 * @throws Unavailable as every write does
 */
export async function writeCanary(sellers: Sellers, seen: number | null): Promise<CanaryTurn> {
  const { version, clients } = await sellers.list(CANARY_SELLER);
  if (version !== seen) return { version, written: false };
  const request = {
    sellerId: CANARY_SELLER,
    expectedVersions: [version],
    idempotency: null,
    traceparent: newTraceparent(),
  };
  const description = `Change ${version + 1}`;
  const result: WriteResult<unknown> = clients.includes(CLIENT_ID)
    ? await updateClient(sellers, request, CLIENT_ID, { description })
    : await addClient(sellers, request, CLIENT_ID, {
        name: 'Canary',
        industry: '',
        description,
        logo: null,
        from: null,
        to: null,
      });
  if (result.kind === 'version-mismatch') return { version: result.version, written: false };
  if (!('decided' in result) || result.decided.kind !== 'done') {
    throw new Error(`the canary could not be changed: ${JSON.stringify(result)}`);
  }
  if (result.decided.version % PRUNE_EVERY === 0) {
    await sellers.shortenLog(CANARY_SELLER, result.decided.version - CANARY_LOG);
  }
  return { version: result.decided.version, written: true };
}
