import type { IncomingHttpHeaders } from 'node:http';
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import { request } from 'undici';
import { z } from 'zod';
import { SellerId } from '#contracts/client.ts';

/** Who a request comes from, as its token proves. */
export type Session =
  | { readonly state: 'signed-in'; readonly sellerId: number; readonly token: string }
  | { readonly state: 'signed-out' }
  | { readonly state: 'expired' }
  /** The token is not one of ours, or not for a seller. */
  | { readonly state: 'invalid' }
  /** The issuer's keys cannot be had, so nobody can be let in. */
  | { readonly state: 'unverifiable'; readonly cause: Error };

export interface SignInSettings {
  readonly jwksUrl: string;
  readonly issuer: string;
  readonly audience: string;
  /** The demo issuer's `/token`; absent where sellers bring a token of their own. */
  readonly tokenUrl?: string | undefined;
}

export type IssuedToken =
  | { readonly outcome: 'issued'; readonly token: string }
  | { readonly outcome: 'refused' }
  | { readonly outcome: 'unreachable' };

export interface SignIn {
  /** Verifies signature, algorithm, issuer, audience and expiry. Never throws. */
  verify(token: string | undefined): Promise<Session>;
  /** Asks the demo issuer for a seller's token, within 800 ms. */
  issue(sellerId: number): Promise<IssuedToken>;
  readonly canIssue: boolean;
}

const ISSUER_DEADLINE_MS = 800;
/** Clocks of two machines may differ by this much. In seconds. */
const CLOCK_TOLERANCE = 5;

/** Codes of jose that speak of the issuer's keys, not of the token. */
const KEYS_OUT_OF_REACH = new Set(['ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID', 'ERR_JOSE_GENERIC']);

export function openSignIn(settings: SignInSettings): SignIn {
  const keys = createRemoteJWKSet(new URL(settings.jwksUrl), {
    timeoutDuration: ISSUER_DEADLINE_MS,
    cooldownDuration: 5_000,
  });
  return {
    canIssue: settings.tokenUrl !== undefined,
    async verify(token) {
      if (!token) return { state: 'signed-out' };
      try {
        const { payload } = await jwtVerify(token, keys, {
          issuer: settings.issuer,
          audience: settings.audience,
          algorithms: ['ES256'],
          requiredClaims: ['exp', 'sub'],
          clockTolerance: CLOCK_TOLERANCE,
        });
        const sellerId = /^\d{1,16}$/.test(payload.sub!) ? SellerId.safeParse(Number(payload.sub)) : null;
        return sellerId?.success
          ? { state: 'signed-in', sellerId: sellerId.data, token }
          : { state: 'invalid' };
      } catch (err) {
        if (err instanceof errors.JWTExpired) return { state: 'expired' };
        if (!(err instanceof errors.JOSEError) || KEYS_OUT_OF_REACH.has(err.code)) {
          return { state: 'unverifiable', cause: err as Error };
        }
        return { state: 'invalid' };
      }
    },
    async issue(sellerId) {
      if (settings.tokenUrl === undefined) return { outcome: 'refused' };
      const url = new URL(settings.tokenUrl);
      url.searchParams.set('seller', String(sellerId));
      try {
        const response = await request(url, { signal: AbortSignal.timeout(ISSUER_DEADLINE_MS) });
        const body = await response.body.json();
        const issued = z.object({ access_token: z.string() }).safeParse(body);
        return response.statusCode === 200 && issued.success
          ? { outcome: 'issued', token: issued.data.access_token }
          : { outcome: 'refused' };
      } catch {
        return { outcome: 'unreachable' };
      }
    },
  };
}

export const SESSION_COOKIE = 'tc_session';

/** The value of a cookie in a request's `Cookie` header; undefined when it is not there. */
export function cookieValue(header: string | undefined, name: string): string | undefined {
  for (const part of header?.split(';') ?? []) {
    const [key, value] = part.split(/=(.*)/s, 2);
    if (key?.trim() === name) return value?.trim();
  }
  return undefined;
}

/** The token of a request: its bearer token, for programs, or its cookie, for browsers. */
export const tokenOf = (headers: IncomingHttpHeaders): string | undefined =>
  /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? cookieValue(headers.cookie, SESSION_COOKIE);

/** The `Set-Cookie` that keeps a token, as long as the browser runs, or takes it away when there is none. */
export const sessionCookie = (token: string | null, secure: boolean): string =>
  `${SESSION_COOKIE}=${token ?? ''}; Path=/; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}${token === null ? '; Max-Age=0' : ''}`;

/**
 * Whether a form was sent by a page of ours: another site's page must not change a list by its visitor's cookie.
 * Browsers say so themselves (`Sec-Fetch-Site`); older ones name the page's origin.
 */
export function isSentByOwnPage(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  const { origin, host } = headers;
  if (origin === undefined || host === undefined || !URL.canParse(origin)) return false;
  return new URL(origin).host === host;
}

/** The only addresses a sign-in returns to: a seller's list, or the form of one of its clients, of this service. */
const RETURN_ADDRESS = /^\/sellers\/(\d{1,16})(?:\/clients\/[0-9a-f-]{36}\/edit)?(?:\?[!-\x22$-[\]-~]*)?$/;

/** The address to return to after signing in as this seller; the seller's own list where `wanted` is not safe. */
export function returnAddress(wanted: string | undefined, sellerId: number): string {
  const found = RETURN_ADDRESS.exec(wanted ?? '');
  return found && Number(found[1]) === sellerId ? found[0] : `/sellers/${sellerId}`;
}
