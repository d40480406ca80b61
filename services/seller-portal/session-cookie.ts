import type { IncomingHttpHeaders } from 'node:http';
import type { PublicAddress } from './public-address.ts';

/** Keeps a seller's token in the browser, until the browser is closed. */
export interface SessionCookie {
  /** The token of a request: its bearer token, for programs, or its cookie, for browsers. */
  tokenOf(headers: IncomingHttpHeaders): string | undefined;
  /** The `Set-Cookie` that keeps a token, or takes it away when there is none. */
  header(token: string | null): string;
  /** Whether browsers keep the token: they silently drop a cookie that is too long. */
  canKeep(token: string): boolean;
}

/** Length of name and value together that RFC 6265 asks every browser to keep; no browser keeps more. */
const MOST_BYTES = 4_096;

/**
 * At an https address the cookie's name begins with `__Host-`: browsers then take it from that host alone, over https
 * alone, and no other host of the same domain can plant one. Its path is the root, as that name demands.
 */
export function openSessionCookie({ isSecure }: PublicAddress): SessionCookie {
  const name = isSecure ? '__Host-tc_session' : 'tc_session';
  const attributes = `Path=/; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`;
  return {
    tokenOf: ({ authorization, cookie }) =>
      /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? cookieValue(cookie, name),
    header: (token) => `${name}=${token ?? ''}; ${attributes}${token === null ? '; Max-Age=0' : ''}`,
    canKeep: (token) => Buffer.byteLength(name) + Buffer.byteLength(token) <= MOST_BYTES,
  };
}

/** The value of a cookie in a request's `Cookie` header; undefined when it is not there. */
function cookieValue(header: string | undefined, name: string): string | undefined {
  for (const part of header?.split(';') ?? []) {
    const [key, value] = part.split(/=(.*)/s, 2);
    if (key?.trim() === name) return value?.trim();
  }
  return undefined;
}
