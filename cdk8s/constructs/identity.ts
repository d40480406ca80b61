import { names, type Platform, PORTS } from '../platform.ts';
import type { EnvironmentVariable } from './role-pod.ts';

/** The issuer of the demonstration, as it names itself in tokens. */
export const DEMO_ISSUER = `http://${names.issuer}`;
const demoAddress = `http://${names.issuer}:${PORTS.http}`;
/** Where the demonstration's issuer gives tokens to anybody. */
export const DEMO_TOKEN_URL = `${demoAddress}/token`;

/** Where the keys of the accepted issuer are. */
export const jwksUrlOf = ({ spec: { auth } }: Platform): string =>
  // The API server refuses neither.
  auth.demoIssuer ? `${demoAddress}/.well-known/jwks.json` : auth.jwksUrl!;

/** Whose tokens a role accepts. */
export function identity(platform: Platform): EnvironmentVariable[] {
  const { auth } = platform.spec;
  return [
    { name: 'TC_JWKS_URL', value: jwksUrlOf(platform) },
    { name: 'TC_JWT_ISSUER', value: auth.demoIssuer ? DEMO_ISSUER : auth.issuer! },
    { name: 'TC_JWT_AUDIENCE', value: auth.audience },
  ];
}
