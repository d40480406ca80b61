import { z } from 'zod';
import { ExternalPageName, SERVED_PAGES } from './pages.ts';

/** Our own callers of the source of truth over HTTP, beside sellers and strangers. */
export const CALLERS = [...SERVED_PAGES, 'smoke'] as const;
export type OwnCaller = (typeof CALLERS)[number];

/** Whoever may say by a credential who it is: one of our own, or a page of somebody else, by its name. */
export const Caller = z.union([z.enum(CALLERS), ExternalPageName]);
export type Caller = string;
export const isOwnCaller = (caller: Caller): caller is OwnCaller =>
  (CALLERS as readonly string[]).includes(caller);

/**
 * The header in which a caller of ours says who it is, `<caller>.<proof>`, beside a seller's Authorization. In the
 * answer it tells whom the source took the caller for: its name, or `UNKNOWN_CALLER`. The answer has none if the
 * request had none.
 */
export const CALLER_HEADER = 'Top-Clients-Caller';

/** The source does not know the credential that was sent, and takes the caller for a stranger. */
export const UNKNOWN_CALLER = 'unknown';
