import { createRemoteJWKSet, customFetch, errors, jwtVerify } from 'jose';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { TokenVerifier } from '../http/authentication.ts';

export interface TokenSettings {
  readonly jwksUrl: string;
  readonly issuer: string;
  readonly audience: string;
  /** Signature algorithms that are accepted; whatever else a token names is refused. */
  readonly algorithms: readonly string[];
  /** Deadline of a request for the keys, in ms. */
  readonly timeoutMs: number;
  /** How often the keys are fetched anew, in ms: a key that was withdrawn is trusted no longer than this. */
  readonly refreshMs: number;
}

/** A token with an unknown key makes us look for new keys, but not more often than this. */
const COOLDOWN_MS = 10_000;
/** After a failed request for the keys the next waits this long, however many tokens ask for one. */
const FAILURE_COOLDOWN_MS = 1_000;
const CLOCK_TOLERANCE_SECONDS = 5;

/** The address of the keys could not be reached, or gave no keys. */
class KeysUnavailable extends Error {
  override name = 'KeysUnavailable';
}
const NO_KEYS = new Set(['ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID', 'ERR_JOSE_GENERIC']);

const WHY_INVALID: Readonly<Record<string, string>> = {
  ERR_JWT_EXPIRED: 'the token has expired',
  ERR_JWKS_NO_MATCHING_KEY: 'the token is signed by an unknown key',
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: 'the token does not name its key',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'the signature is wrong',
  ERR_JOSE_ALG_NOT_ALLOWED: 'the signature algorithm is not accepted',
};

/**
 * Judges tokens by the key set at an address. Keys once fetched go on working while the address is down; they are
 * renewed in the background until `signal` aborts.
 */
export function jwksVerifier(settings: TokenSettings, log: Log, signal: AbortSignal): TokenVerifier {
  let failedAt = Number.NEGATIVE_INFINITY;
  let failure: KeysUnavailable;
  const keys = createRemoteJWKSet(new URL(settings.jwksUrl), {
    timeoutDuration: settings.timeoutMs,
    cooldownDuration: COOLDOWN_MS,
    // Age alone never makes a key useless: the refresh below replaces keys, or fails and leaves them.
    cacheMaxAge: Number.POSITIVE_INFINITY,
    [customFetch]: async (...args) => {
      if (Date.now() < failedAt + FAILURE_COOLDOWN_MS) throw failure;
      try {
        const response = await fetch(...args);
        if (response.status !== 200) throw new Error(`${settings.jwksUrl} answered ${response.status}`);
        return response;
      } catch (cause) {
        failedAt = Date.now();
        failure = new KeysUnavailable(`no keys from ${settings.jwksUrl}`, { cause });
        throw failure;
      }
    },
  });

  const refresh = async () => {
    while (!signal.aborted) {
      const done = await keys.reload().then(
        () => true,
        (err: unknown) => {
          log.warn({ err, jwks: settings.jwksUrl }, 'could not fetch the keys; known ones stay in use');
          return false;
        },
      );
      await pause(done ? settings.refreshMs : Math.min(settings.refreshMs, 5_000), signal);
    }
  };
  void refresh();

  return {
    async verify(token) {
      try {
        const { payload } = await jwtVerify(token, keys, {
          issuer: settings.issuer,
          audience: settings.audience,
          algorithms: [...settings.algorithms],
          requiredClaims: ['exp', 'sub'],
          clockTolerance: CLOCK_TOLERANCE_SECONDS,
        });
        const { sub, scope } = payload as { sub: unknown; scope?: unknown };
        if (typeof sub !== 'string') return { kind: 'invalid', why: 'the subject is not a string' };
        const scopes = new Set(typeof scope === 'string' ? scope.split(' ') : []);
        return { kind: 'caller', caller: { subject: sub, scopes } };
      } catch (err) {
        if (err instanceof errors.JWTClaimValidationFailed) {
          return { kind: 'invalid', why: `the claim ${err.claim} is missing or wrong` };
        }
        if (err instanceof KeysUnavailable) return { kind: 'unavailable', cause: err };
        if (!(err instanceof errors.JOSEError)) throw err;
        if (NO_KEYS.has(err.code)) return { kind: 'unavailable', cause: err };
        return { kind: 'invalid', why: WHY_INVALID[err.code] ?? 'the token is malformed' };
      }
    },
  };
}
