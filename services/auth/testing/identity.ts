import { readConfig, type Setting } from '#platform/config.ts';
import { IDENTITY_SETTINGS, type IdentityConfig } from '../settings.ts';

/** The configuration of a role for this issuer, with what `env` adds. */
export const identityConfig = (
  told: { readonly jwksUrl: string | undefined; readonly issuer: string; readonly audience: string },
  env: Readonly<Record<string, string>> = {},
  settings: Readonly<Record<keyof typeof IDENTITY_SETTINGS, Setting>> = IDENTITY_SETTINGS,
): IdentityConfig =>
  readConfig('a role', settings, [], {
    TC_JWKS_URL: told.jwksUrl,
    TC_JWT_ISSUER: told.issuer,
    TC_JWT_AUDIENCE: told.audience,
    ...env,
  }) as unknown as IdentityConfig;
