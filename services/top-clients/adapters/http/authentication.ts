import type { IncomingMessage } from 'node:http';
import type { Caller } from '../../../auth/claims.ts';
import type { TokenVerdict, TokenVerifier } from '../../../auth/verifier.ts';
import { Refusal, unavailable } from './refusal.ts';

/** The scope that may erase any seller: for operators, and for whoever acts on a seller's request to be forgotten. */
export const ERASE_SCOPE = 'top-clients:erase';
/** The scope that may read the contents of any seller's changes, including what was removed. */
export const AUDIT_SCOPE = 'top-clients:audit';

const unauthenticated = (detail: string, error?: string) =>
  new Refusal('unauthenticated', detail, {
    headers: {
      'WWW-Authenticate': `Bearer realm="top-clients"${error ? `, error="invalid_token", error_description="${error}"` : ''}`,
    },
  });

const verdicts = new WeakMap<IncomingMessage, Promise<TokenVerdict>>();

/** The verdict on the token of a request, verified only once a request; null without a token. */
export function verdictOf(verifier: TokenVerifier, req: IncomingMessage): Promise<TokenVerdict> | null {
  const before = verdicts.get(req);
  if (before !== undefined) return before;
  const [, token] = /^Bearer +([\w.~+/-]+=*) *$/i.exec(req.headers.authorization ?? '') ?? [];
  if (token === undefined) return null;
  const verdict = verifier.verify(token);
  verdicts.set(req, verdict);
  return verdict;
}

/**
 * The caller named by the Authorization header of a request.
 * @throws Refusal 401 without a valid token; 503 when the keys to verify it are unavailable
 */
export async function authenticate(verifier: TokenVerifier, req: IncomingMessage): Promise<Caller> {
  const verdict = await verdictOf(verifier, req);
  if (verdict === null) throw unauthenticated('send a token: Authorization: Bearer <token>');
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

/**
 * Whether the caller may see the contents of a seller's changes: the seller may, and a token with the audit scope. A
 * missing token means no; an invalid one is an error.
 * @throws Refusal as `authenticate` does, for a token that is not valid
 */
export async function maySeeContents(
  verifier: TokenVerifier,
  req: IncomingMessage,
  sellerId: number,
): Promise<boolean> {
  if (req.headers.authorization === undefined) return false;
  const caller = await authenticate(verifier, req);
  return caller.sellerId === sellerId || caller.scopes.has(AUDIT_SCOPE);
}

/** @throws Refusal 403 unless the token has the scope; the token's owner does not matter */
export function mustBeAllowedToErase(caller: Caller): void {
  if (!caller.scopes.has(ERASE_SCOPE)) {
    throw new Refusal('forbidden', `an erasure needs a token with the scope ${ERASE_SCOPE}`, {
      headers: {
        'WWW-Authenticate': `Bearer realm="top-clients", error="insufficient_scope", scope="${ERASE_SCOPE}"`,
      },
    });
  }
}
