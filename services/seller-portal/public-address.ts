import type { IncomingHttpHeaders } from 'node:http';
import { ConfigError } from '#platform/config.ts';

/**
 * The address under which browsers find the self-view, from the configuration. Sessions and forms are bound to it and
 * not to the headers of a request: the sender can write anything there, and a proxy may leave them out.
 */
export interface PublicAddress {
  /** Whether the address is https; cookies then never travel otherwise. */
  readonly isSecure: boolean;
  /** As browsers name it in `Origin`; null in a demonstration, which people reach by whichever name they like. */
  readonly origin: string | null;
}

/**
 * @param address TC_SELF_VIEW_URL
 * @param isDemonstration whether anybody may sign in as anybody: then it may be http, or missing
 * @throws ConfigError that says what to change
 */
export function readPublicAddress(address: string | undefined, isDemonstration: boolean): PublicAddress {
  const wants = 'the https address under which browsers find the self-view, like https://my.example.com';
  if (address === undefined) {
    if (isDemonstration) return { isSecure: false, origin: null };
    throw new ConfigError(
      `page-server --page self-view needs TC_SELF_VIEW_URL, ${wants}: the session of a seller is bound to it`,
    );
  }
  const { protocol, origin, pathname, search, hash, username } = new URL(address);
  const isSecure = protocol === 'https:';
  if (!isSecure && !isDemonstration) {
    throw new ConfigError(
      `TC_SELF_VIEW_URL is ${protocol}//…; set ${wants}: over http anybody on the way takes over a seller's session`,
    );
  }
  if (pathname !== '/' || search !== '' || hash !== '' || username !== '') {
    throw new ConfigError(
      `TC_SELF_VIEW_URL is ${origin}${pathname}…; set ${origin}, for the self-view answers at the root of its host`,
    );
  }
  return { isSecure, origin: isSecure ? origin : null };
}

/**
 * Whether a form was sent by a page of ours: another site's page must not change a list by its visitor's cookie.
 * Browsers say so themselves (`Sec-Fetch-Site`); older ones name the page's origin.
 */
export function isSentByOwnPage({ origin: own }: PublicAddress, headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  const { origin, host } = headers;
  if (own !== null) return origin === own;
  if (origin === undefined || host === undefined || !URL.canParse(origin)) return false;
  return new URL(origin).host === host;
}
