import { JOSEError, JWTClaimValidationFailed, JWTExpired } from 'jose/errors';
import { jwtVerify } from 'jose/jwt/verify';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { ConfigError } from '#platform/config.ts';
import type { Log } from '#platform/log.ts';
import type { Metrics } from '#role/metrics.ts';
import { type Caller, readCaller } from './claims.ts';
import { KeysUnavailable, openKeyCache } from './key-cache.ts';
import type { IdentityConfig } from './settings.ts';

export type TokenVerdict =
  | { readonly kind: 'caller'; readonly caller: Caller }
  /** `why` can be told to the caller. */
  | { readonly kind: 'invalid' | 'expired'; readonly why: string }
  /** The keys to judge it by are unavailable now: nothing is said about the token. */
  | { readonly kind: 'unavailable'; readonly cause: Error };

/** Judges tokens. */
export interface TokenVerifier {
  /** Never throws. */
  verify(token: string): Promise<TokenVerdict>;
}

export interface Identity extends TokenVerifier {
  /** A sentence while no token can be judged; null otherwise. */
  notReadyBecause(): string | null;
  close(): Promise<void>;
}

const WHY_INVALID: Readonly<Record<string, string>> = {
  ERR_JWKS_NO_MATCHING_KEY: 'the token is signed by an unknown key',
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: 'the token does not name its key',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'the signature is wrong',
  ERR_JOSE_ALG_NOT_ALLOWED: 'the signature algorithm is not accepted',
};

/**
 * The one judge of tokens, for every role that takes them: signature, algorithm, issuer, audience, times and claims.
 * Fetches the provider's keys until it is closed.
 * @throws ConfigError when settings contradict each other
 */
export function openIdentity(
  config: IdentityConfig,
  { log, metrics, clock = SYSTEM_CLOCK }: { log: Log; metrics: Metrics; clock?: Clock },
): Identity {
  if (config.jwksMaxAgeMs < 2 * config.jwksRefreshMs) {
    throw new ConfigError(
      'TC_JWKS_MAX_AGE_MS must be at least twice TC_JWKS_REFRESH_MS, or one request for the keys that fails locks everybody out',
    );
  }
  const judged = metrics.counter('topclients_identity_tokens_total');
  for (const result of ['valid', 'invalid', 'expired', 'unavailable'] as const) judged.inc({ result }, 0);
  const keys = openKeyCache(config, { log, metrics, clock });

  const judge = async (token: string): Promise<TokenVerdict> => {
    try {
      const { payload } = await jwtVerify(token, keys.find, {
        issuer: config.jwtIssuer,
        audience: config.jwtAudience,
        algorithms: [...config.jwtAlgorithms],
        requiredClaims: ['exp'],
        clockTolerance: config.jwtClockToleranceSeconds,
        currentDate: new Date(clock.now()),
      });
      const read = readCaller(payload, config);
      return 'why' in read ? { kind: 'invalid', why: read.why } : { kind: 'caller', caller: read.caller };
    } catch (err) {
      if (err instanceof JWTExpired) return { kind: 'expired', why: 'the token has expired' };
      if (err instanceof JWTClaimValidationFailed) {
        return { kind: 'invalid', why: `the claim ${err.claim} is missing or wrong` };
      }
      // An error that is not jose's is about a key that cannot be used, and not about the token.
      if (err instanceof KeysUnavailable || !(err instanceof JOSEError)) {
        return { kind: 'unavailable', cause: err as Error };
      }
      return { kind: 'invalid', why: WHY_INVALID[err.code] ?? 'the token is malformed' };
    }
  };

  return {
    async verify(token) {
      const verdict = await judge(token);
      judged.inc({ result: verdict.kind === 'caller' ? 'valid' : verdict.kind });
      return verdict;
    },
    notReadyBecause: keys.missingBecause,
    close: keys.close,
  };
}
