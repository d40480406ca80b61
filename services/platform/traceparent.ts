import { randomBytes } from 'node:crypto';

// Version 00 has exactly these four fields; a later version may append more, and what we know of it stays valid.
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/;
/** Index of the digit that holds the flag: `vv-` 32 digits `-` 16 digits `-` two digits of flags. */
const FLAG_AT = 54;

/** Whether a header or a stored text is a W3C trace context that can be handed on as it is. */
export function isTraceparent(text: string | undefined): text is string {
  if (!text || text.length > 512) return false;
  const [, version, more] = TRACEPARENT.exec(text) ?? [];
  return version !== undefined && (version !== '00' || more === undefined);
}

/**
 * Whether this is a trace context whose trace is recorded. It is asked for every message, so one character is looked at
 * first, which rules out nearly all.
 */
export function isSampled(traceparent: string): boolean {
  const digit = traceparent.charCodeAt(FLAG_AT);
  // Odd digits up to 9 have odd character codes; for a to f it is the other way round.
  const isOdd = digit <= 0x39 ? digit % 2 === 1 : digit % 2 === 0;
  return isOdd && isTraceparent(traceparent);
}

/** The root of a new trace that nobody records. */
export const newTraceparent = (): string =>
  `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`;
