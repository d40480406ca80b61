import type { Sellers } from './ports.ts';

/** A retry that comes later than this is taken for a new request. */
export const ANSWERS_KEPT_HOURS = 24;

/** Forgets the answers of idempotency keys that nobody will retry with any more; resolves to how many. */
export const sweepAnswers = (sellers: Sellers, signal: AbortSignal): Promise<number> =>
  sellers.forgetAnswers(ANSWERS_KEPT_HOURS, signal);
