import { expect, test } from '@jest/globals';
import { silentLog } from '#platform/log.ts';
import { openMetrics } from '#role/metrics.ts';
import { role as pageServer } from '../page-server/main.ts';
import { role as source } from '../top-clients/main.ts';
import { IDENTITY_SETTINGS, OPTIONAL_IDENTITY_SETTINGS, requireIdentity } from './settings.ts';
import { identityConfig } from './testing/identity.ts';
import { openIdentity } from './verifier.ts';

const ISSUER = { jwksUrl: 'https://login.example.com/keys', issuer: 'i', audience: 'a' };
const MINE = Object.values(IDENTITY_SETTINGS).map(({ env }) => env);
/** Whatever else is called like a setting of an identity. */
const isOfIdentity = (env: string) => /^TC_(JWT|JWKS)_/.test(env);

test.each([source, pageServer])(
  '$name has every setting of an identity, and none of its own',
  ({ settings }) => {
    const its = Object.values(settings).map(({ env }) => env);
    expect(its.filter(isOfIdentity).sort()).toEqual([...MINE].sort());
  },
);

test('both read one environment alike', () => {
  const env = {
    TC_JWT_ALGORITHMS: 'PS256, EdDSA',
    TC_JWT_SELLER_CLAIM: 'https://shop.example/seller',
    TC_JWT_SCOPE_CLAIMS: 'scope,roles',
    TC_JWT_CLOCK_TOLERANCE_SECONDS: '30',
    TC_JWKS_TIMEOUT_MS: '700',
    TC_JWKS_REFRESH_MS: '60000',
    TC_JWKS_MAX_AGE_MS: '600000',
  };
  for (const given of [{}, env]) {
    const read = identityConfig(ISSUER, given);
    expect(identityConfig(ISSUER, given, OPTIONAL_IDENTITY_SETTINGS)).toEqual(read);
  }
  expect(identityConfig(ISSUER, env)).toMatchObject({
    jwtAlgorithms: ['PS256', 'EdDSA'],
    jwtScopeClaims: ['scope', 'roles'],
  });
});

test('what one page cannot do without is named when it is missing', () => {
  const config = identityConfig({ ...ISSUER, jwksUrl: undefined }, {}, OPTIONAL_IDENTITY_SETTINGS);
  expect(() => requireIdentity(config, 'the self-view')).toThrow(
    /^the self-view needs TC_JWKS_URL, address of the keys[^;]*$/,
  );
});

test.each([
  ['TC_JWT_ALGORITHMS', 'none', /none has no public key.*RS256/],
  ['TC_JWT_ALGORITHMS', 'RS256,HS256', /HS256 has no public key, so anybody could sign/],
  ['TC_JWT_ALGORITHMS', 'rs256', /each must be one of ES256, /],
  ['TC_JWT_SELLER_CLAIM', 'seller id', /must be the name of a claim/],
  ['TC_JWKS_URL', 'file:///etc/keys', /address of the keys/],
  ['TC_JWKS_REFRESH_MS', '3600000', /how often the keys are fetched/],
])('%s=%s is refused with what to change', (name, value, told) => {
  expect(() => identityConfig(ISSUER, { [name]: value })).toThrow(told);
});

test('an age of keys that one failed request would reach is refused', () => {
  const config = identityConfig(ISSUER, { TC_JWKS_REFRESH_MS: '300000', TC_JWKS_MAX_AGE_MS: '400000' });
  expect(() =>
    openIdentity(config, { log: silentLog, metrics: openMetrics({ processMetrics: false }) }),
  ).toThrow(/TC_JWKS_MAX_AGE_MS must be at least twice TC_JWKS_REFRESH_MS/);
});
