import type { Caller } from '../../../identity/claims.ts';
import type { TokenVerifier } from '../../../identity/verifier.ts';
import { Refusal, unavailable } from './refusal.ts';

/** The scope that lets an operator, or whoever acts on a seller's request to be forgotten, erase any seller. */
export const ERASE_SCOPE = 'top-clients:erase';

const unauthenticated = (detail: string, error?: string) =>
  new Refusal('unauthenticated', detail, {
    headers: {
      'WWW-Authenticate': `Bearer realm="top-clients"${error ? `, error="invalid_token", error_description="${error}"` : ''}`,
    },
  });

/**
 * The caller named by an Authorization header.
 * @throws Refusal 401 without a valid token; 503 when the keys to judge it by cannot be had
 */
export async function authenticate(
  verifier: TokenVerifier,
  authorization: string | undefined,
): Promise<Caller> {
  const [, token] = /^Bearer +([\w.~+/-]+=*) *$/i.exec(authorization ?? '') ?? [];
  if (token === undefined) throw unauthenticated('send a token: Authorization: Bearer <token>');
  const verdict = await verifier.verify(token);
  switch (verdict.kind) {
    case 'caller':
      return verdict.caller;
    case 'invalid':
    case 'expired':
      throw unauthenticated(`get a new token: ${verdict.why}`, verdict.why);
    case 'unavailable':
      throw unavailable('the keys that tokens are judged by cannot be had now; try again', verdict.cause, 2);
  }
}

/** @throws Refusal 403 unless the caller is that seller */
export function mustBe(caller: Caller, sellerId: number): void {
  if (caller.sellerId !== sellerId) {
    throw new Refusal(
      'forbidden',
      `the token ${caller.sellerId === null ? 'names no seller' : 'is of another seller'}; only seller ${sellerId} may change this list`,
    );
  }
}

/** @throws Refusal 403 unless the token has the scope; whose it is does not matter */
export function mustBeAllowedToErase(caller: Caller): void {
  if (!caller.scopes.has(ERASE_SCOPE)) {
    throw new Refusal('forbidden', `an erasure needs a token with the scope ${ERASE_SCOPE}`, {
      headers: {
        'WWW-Authenticate': `Bearer realm="top-clients", error="insufficient_scope", scope="${ERASE_SCOPE}"`,
      },
    });
  }
}
