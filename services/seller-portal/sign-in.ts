import { z } from 'zod';
import type { TokenVerifier } from '../auth/verifier.ts';

/** Who a request comes from, as its token proves. */
export type Session =
  | { readonly state: 'signed-in'; readonly sellerId: number; readonly token: string }
  | { readonly state: 'signed-out' }
  | { readonly state: 'expired' }
  /** The token is not one of ours, or not for a seller; `why` can be told. */
  | { readonly state: 'invalid'; readonly why: string }
  /** The issuer's keys cannot be had, so nobody can be let in. */
  | { readonly state: 'unverifiable'; readonly cause: Error };

export type IssuedToken =
  | { readonly outcome: 'issued'; readonly token: string }
  | { readonly outcome: 'refused' }
  | { readonly outcome: 'unreachable' };

export interface SignIn {
  /** Judges a token by the same rules as the source of truth. Never throws. */
  verify(token: string | undefined): Promise<Session>;
  /** Asks the demo issuer for a seller's token, within 800 ms. */
  issue(sellerId: number): Promise<IssuedToken>;
  readonly canIssue: boolean;
}

const ISSUER_DEADLINE_MS = 800;

/** @param tokenUrl the demo issuer's `/token`; absent where sellers bring a token of their own */
export function openSignIn(verifier: TokenVerifier, tokenUrl?: string): SignIn {
  return {
    canIssue: tokenUrl !== undefined,
    async verify(token) {
      if (!token) return { state: 'signed-out' };
      const verdict = await verifier.verify(token);
      switch (verdict.kind) {
        case 'caller': {
          const { sellerId } = verdict.caller;
          return sellerId === null
            ? { state: 'invalid', why: 'the token names no seller' }
            : { state: 'signed-in', sellerId, token };
        }
        case 'expired':
          return { state: 'expired' };
        case 'invalid':
          return { state: 'invalid', why: verdict.why };
        case 'unavailable':
          return { state: 'unverifiable', cause: verdict.cause };
      }
    },
    async issue(sellerId) {
      if (tokenUrl === undefined) return { outcome: 'refused' };
      const url = new URL(tokenUrl);
      url.searchParams.set('seller', String(sellerId));
      try {
        const response = await fetch(url, {
          redirect: 'error',
          signal: AbortSignal.timeout(ISSUER_DEADLINE_MS),
        });
        const body: unknown = await response.json();
        const issued = z.object({ access_token: z.string() }).safeParse(body);
        return response.status === 200 && issued.success
          ? { outcome: 'issued', token: issued.data.access_token }
          : { outcome: 'refused' };
      } catch {
        return { outcome: 'unreachable' };
      }
    },
  };
}

/** The only addresses a sign-in returns to: a seller's list, or the form of one of its clients, of this service. */
const RETURN_ADDRESS = /^\/sellers\/(\d{1,16})(?:\/clients\/[0-9a-f-]{36}\/edit)?(?:\?[!-\x22$-[\]-~]*)?$/;

/** The address to return to after signing in as this seller; the seller's own list where `wanted` is not safe. */
export function returnAddress(wanted: string | undefined, sellerId: number): string {
  const found = RETURN_ADDRESS.exec(wanted ?? '');
  return found && Number(found[1]) === sellerId ? found[0] : `/sellers/${sellerId}`;
}
