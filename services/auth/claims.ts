import type { JWTPayload } from 'jose';
import { SellerId } from '#contracts/client.ts';
import type { IdentityConfig } from './settings.ts';

/** Who calls, by a token that was found valid. */
export interface Caller {
  /** The seller the token is of; null for everybody else, such as an operator who may erase. */
  readonly sellerId: number | null;
  /** What the token allows beyond being that seller. */
  readonly scopes: ReadonlySet<string>;
}

export type ClaimNames = Pick<IdentityConfig, 'jwtSellerClaim' | 'jwtScopeClaims'>;

/**
 * What the claims say of the caller, in whichever form the identity provider writes them. The seller's number is a text
 * (`"7"`) or a number; scopes are a text with spaces (RFC 9068, Entra, Auth0, Keycloak) or a list (Okta).
 * @returns why they cannot be read otherwise: a form that we do not know is refused, never guessed
 */
export function readCaller(
  claims: JWTPayload,
  names: ClaimNames,
): { readonly caller: Caller } | { readonly why: string } {
  const scopes = new Set<string>();
  for (const name of names.jwtScopeClaims) {
    const words = wordsOf(claims[name]);
    if (words === undefined) return { why: `the claim ${name} is neither a text nor a list of texts` };
    for (const word of words) scopes.add(word);
  }
  const seller = claims[names.jwtSellerClaim] ?? null;
  // A caller with neither a number nor a scope is refused; an operator needs no number.
  if (seller === null && scopes.size === 0) return { why: `the claim ${names.jwtSellerClaim} is missing` };
  if (seller !== null && typeof seller !== 'string' && typeof seller !== 'number') {
    return { why: `the claim ${names.jwtSellerClaim} is neither a text nor a number` };
  }
  return { caller: { sellerId: sellerIdOf(seller), scopes } };
}

function wordsOf(claim: unknown): readonly string[] | undefined {
  if (claim === undefined || claim === null) return [];
  const texts = Array.isArray(claim) ? claim : [claim];
  if (!texts.every((text) => typeof text === 'string')) return undefined;
  return texts.flatMap((text) => text.split(' ')).filter((word) => word !== '');
}

/** Each number has one text: a token of `07` is refused. */
function sellerIdOf(claim: string | number | null): number | null {
  const text = String(claim);
  return /^[1-9]\d{0,15}$/.test(text) ? (SellerId.safeParse(Number(text)).data ?? null) : null;
}
