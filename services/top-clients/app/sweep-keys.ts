import type { Sellers } from './ports.ts';

/** After this time a retry counts as a new request. */
const KEYS_KEPT_HOURS = 24;

/** Deletes idempotency keys that are too old for a retry; resolves to how many. */
export const sweepKeys = (sellers: Sellers, signal: AbortSignal): Promise<number> =>
  sellers.forgetKeys(KEYS_KEPT_HOURS, signal);
