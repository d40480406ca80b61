import { z } from 'zod';
import {
  CLAIM_NAME,
  IDENTITY_DEFAULTS,
  SIGNATURE_ALGORITHMS,
  type SignatureAlgorithm,
} from '#contracts/identity.ts';
import { RANGES, type Range } from '#contracts/ranges.ts';
import { type Config, ConfigError, integerIn, list, type Setting, setting } from '#platform/config.ts';

const claimName = z.string().regex(CLAIM_NAME, 'must be the name of a claim, like sub');
const SYMMETRIC = /^(none|HS\d+)$/i;
const algorithm = z.custom<SignatureAlgorithm>(
  (name) => (SIGNATURE_ALGORITHMS as readonly unknown[]).includes(name),
  {
    error: ({ input }) =>
      SYMMETRIC.test(String(input))
        ? `${input} has no public key, so anybody could sign; name one of ${SIGNATURE_ALGORITHMS.join(', ')}`
        : `each must be one of ${SIGNATURE_ALGORITHMS.join(', ')}`,
  },
);

const inMs = ({ least, most, default: otherwise }: Range): Range => ({
  ...{ least: least * 1_000, most: most * 1_000 },
  default: otherwise * 1_000,
});

/** Whose tokens are accepted, and what they say. Every role that judges tokens has all of these, and no others. */
export const IDENTITY_SETTINGS = {
  jwksUrl: setting(
    'TC_JWKS_URL',
    'address of the keys that tokens are signed with',
    z.url({ protocol: /^https?$/ }),
  ),
  jwksTimeoutMs: setting(
    'TC_JWKS_TIMEOUT_MS',
    'deadline for fetching the keys, in ms',
    integerIn(RANGES.identity.keysTimeoutMs),
  ),
  jwksRefreshMs: setting(
    'TC_JWKS_REFRESH_MS',
    'how often the keys are fetched anew, in ms',
    integerIn(inMs(RANGES.identity.keysRefreshSeconds)),
  ),
  jwksMaxAgeMs: setting(
    'TC_JWKS_MAX_AGE_MS',
    'how long keys are trusted that cannot be fetched anew, in ms; nobody is let in after that',
    integerIn(inMs(RANGES.identity.keysMaxAgeSeconds)),
  ),
  jwtIssuer: setting('TC_JWT_ISSUER', 'the only issuer whose tokens are accepted', z.string().min(1)),
  jwtAudience: setting('TC_JWT_AUDIENCE', 'the audience a token must name', z.string().min(1)),
  jwtAlgorithms: setting(
    'TC_JWT_ALGORITHMS',
    `accepted signature algorithms, comma-separated, of ${SIGNATURE_ALGORITHMS.join(', ')}`,
    list()
      .pipe(z.array(algorithm).min(1))
      .default([...IDENTITY_DEFAULTS.algorithms]),
  ),
  jwtSellerClaim: setting(
    'TC_JWT_SELLER_CLAIM',
    "claim that holds the seller's number",
    claimName.default(IDENTITY_DEFAULTS.sellerClaim),
  ),
  jwtScopeClaims: setting(
    'TC_JWT_SCOPE_CLAIMS',
    'claims that hold the scopes, comma-separated: a text or a list of texts',
    list()
      .pipe(z.array(claimName).min(1))
      .default([...IDENTITY_DEFAULTS.scopeClaims]),
  ),
  jwtClockToleranceSeconds: setting(
    'TC_JWT_CLOCK_TOLERANCE_SECONDS',
    'by how much the clocks of issuer and service may differ, in seconds',
    integerIn(RANGES.identity.clockToleranceSeconds),
  ),
};
export type IdentityConfig = Config<typeof IDENTITY_SETTINGS>;

type Optional<T extends Readonly<Record<string, Setting>>> = {
  readonly [K in keyof T]: Setting<z.ZodOptional<T[K]['schema']>>;
};

/** The same settings, none of them required: for a role of which only a part judges tokens. */
export const OPTIONAL_IDENTITY_SETTINGS = Object.fromEntries(
  Object.entries(IDENTITY_SETTINGS).map(([key, { env, about, schema }]) => [
    key,
    setting(env, `self-view: ${about}`, (schema as z.ZodType).optional()),
  ]),
) as unknown as Optional<typeof IDENTITY_SETTINGS>;

/**
 * @param who asks for them, for the message
 * @throws ConfigError naming every setting that is missing
 */
export function requireIdentity(
  config: Config<typeof OPTIONAL_IDENTITY_SETTINGS>,
  who: string,
): IdentityConfig {
  const missing = Object.entries(IDENTITY_SETTINGS).filter(
    ([key]) => config[key as keyof typeof config] === undefined,
  );
  if (missing.length === 0) return config as IdentityConfig;
  const told = missing.map(([, { env, about }]) => `${env}, ${about}`);
  throw new ConfigError(`${who} needs ${told.join('; ')}`);
}
