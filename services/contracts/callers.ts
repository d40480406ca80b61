import { SERVED_PAGES } from './pages.ts';

/** Our own callers of the source of truth over HTTP, beside sellers and strangers. */
export const CALLERS = [...SERVED_PAGES, 'smoke'] as const;
export type Caller = (typeof CALLERS)[number];

/**
 * The header in which a caller of ours says who it is, `<caller>.<proof>`, beside a seller's Authorization. In the
 * answer it tells whom the source took the caller for: its name, or `UNKNOWN_CALLER`. The answer has none if the
 * request had none.
 */
export const CALLER_HEADER = 'Top-Clients-Caller';

/** The source does not know the credential that was sent, and takes the caller for a stranger. */
export const UNKNOWN_CALLER = 'unknown';
