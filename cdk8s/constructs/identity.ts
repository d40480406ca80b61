import { hasDemoIssuer } from '../api/top-clients.ts';
import { names, type Platform, PORTS } from '../platform.ts';
import type { EnvironmentVariable } from './role-pod.ts';

/** The `iss` of the demo issuer's tokens. */
export const DEMO_ISSUER = `http://${names.issuer}`;
const demoAddress = `http://${names.issuer}:${PORTS.http}`;
/** Where the demo issuer gives tokens to anybody. */
export const DEMO_TOKEN_URL = `${demoAddress}/token`;

/** Where the accepted issuer publishes its keys. */
export const jwksUrlOf = ({ spec }: Platform): string =>
  // The API server refuses a spec that has neither.
  hasDemoIssuer(spec) ? `${demoAddress}/.well-known/jwks.json` : spec.auth.jwksUrl!;

/** Which tokens a role accepts: one list, so that all roles accept the same. */
export function identity(platform: Platform): EnvironmentVariable[] {
  const { auth } = platform.spec;
  return [
    { name: 'TC_JWKS_URL', value: jwksUrlOf(platform) },
    { name: 'TC_JWKS_TIMEOUT_MS', value: String(auth.keys.timeoutMs) },
    { name: 'TC_JWKS_REFRESH_MS', value: String(1_000 * auth.keys.refreshSeconds) },
    { name: 'TC_JWKS_MAX_AGE_MS', value: String(1_000 * auth.keys.maxAgeSeconds) },
    { name: 'TC_JWT_ISSUER', value: hasDemoIssuer(platform.spec) ? DEMO_ISSUER : auth.issuer! },
    { name: 'TC_JWT_AUDIENCE', value: auth.audience },
    { name: 'TC_JWT_ALGORITHMS', value: auth.algorithms.join(',') },
    { name: 'TC_JWT_SELLER_CLAIM', value: auth.sellerClaim },
    { name: 'TC_JWT_SCOPE_CLAIMS', value: auth.scopeClaims.join(',') },
    { name: 'TC_JWT_CLOCK_TOLERANCE_SECONDS', value: String(auth.clockToleranceSeconds) },
  ];
}
