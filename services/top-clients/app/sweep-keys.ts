import type { Sellers } from './ports.ts';

/** A retry that comes later than this is taken for a new request. */
const KEYS_KEPT_HOURS = 24;

/** Forgets the idempotency keys that nobody will retry with any more; resolves to how many. */
export const sweepKeys = (sellers: Sellers, signal: AbortSignal): Promise<number> =>
  sellers.forgetKeys(KEYS_KEPT_HOURS, signal);
