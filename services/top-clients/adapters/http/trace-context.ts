import { randomBytes } from 'node:crypto';

// Version 00 has exactly these four fields; a later version may append more, and what we know of it stays valid.
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/;

/** The caller's W3C trace context when it is valid, otherwise the root of a new trace. */
export function traceparentOf(header: string | undefined): string {
  const [, version, more] = (header && header.length <= 512 && TRACEPARENT.exec(header)) || [];
  if (header && version !== undefined && (version !== '00' || more === undefined)) return header;
  // The sampled flag is off: nobody has recorded this trace yet.
  return `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`;
}
