/**
 * Signature algorithms that tokens may be signed with: those with a key pair, for the keys are published. `none` and
 * `HS…`, whose key is a shared secret, are not among them and never can be. `Ed25519` is the newer name of `EdDSA`.
 */
export const SIGNATURE_ALGORITHMS = [
  ...(['ES256', 'ES384', 'ES512'] as const),
  ...(['RS256', 'RS384', 'RS512'] as const),
  ...(['PS256', 'PS384', 'PS512'] as const),
  ...(['EdDSA', 'Ed25519'] as const),
] as const;
export type SignatureAlgorithm = (typeof SIGNATURE_ALGORITHMS)[number];

/**
 * How an identity provider is trusted by default, for the settings of the roles and for what the operator gives to each
 * of them. The defaults are the same for everybody who judges a token. Its numbers are in `ranges.ts`.
 */
export const IDENTITY_DEFAULTS = {
  /** What most identity providers sign with, and the demonstration's. */
  algorithms: ['ES256', 'RS256'],
  /** The claim that holds the seller's number. */
  sellerClaim: 'sub',
  /** The claims that hold what a token allows: `scope` of RFC 8693 and 9068, `scp` of Okta and Entra. */
  scopeClaims: ['scope', 'scp'],
} as const satisfies {
  algorithms: readonly SignatureAlgorithm[];
  scopeClaims: readonly string[];
  [other: string]: unknown;
};

/**
 * Names of claims: plain members of the token, also with a namespace (`https://shop.example/seller`). No comma, which
 * separates names, and no character that would end the quotes of a header.
 */
export const CLAIM_NAME = /^[!#-+\--[\]-~]{1,128}$/;
