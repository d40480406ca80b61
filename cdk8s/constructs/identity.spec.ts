import { describe, expect, test } from '@jest/globals';
import { IDENTITY_SETTINGS } from '../../services/auth/settings.ts';
import type { KubeObject } from '../kube-object.ts';
import { EXAMPLES, objectsOf, podOf, wanted } from '../testing/platforms.ts';

const NAMES = Object.values(IDENTITY_SETTINGS).map(({ env }) => env as string);
/** Who judges tokens, by its name on a cluster. */
const JUDGES = ['top-clients', 'top-clients-page-self-view'];

/** What the deployment is told of whose tokens it shall accept. */
function toldTo(objects: readonly KubeObject[], name: string): Record<string, string | undefined> {
  const deployment = objects.find((one) => one.kind === 'Deployment' && one.metadata.name === name);
  const env = podOf(deployment!)!.spec.containers[0]!.env!;
  return Object.fromEntries(
    env.filter((one) => /^TC_(JWT|JWKS)_/.test(one.name)).map((one) => [one.name, one.value]),
  );
}

describe.each(Object.keys(EXAMPLES))('%s', (example) => {
  const objects = objectsOf(EXAMPLES[example]!('shop'));

  test('source and self-view are told the same of tokens, and all there is', () => {
    const [source, selfView] = JUDGES.map((name) => toldTo(objects, name));
    expect(selfView).toEqual(source);
    expect(Object.keys(source!).sort()).toEqual([...NAMES].sort());
  });

  test('nobody else is told anything of tokens', () => {
    const others = objects.filter(
      (one) => one.kind === 'Deployment' && podOf(one) && !JUDGES.includes(one.metadata.name),
    );
    // The demo issuer names the audience that its tokens are for.
    const named = others.flatMap((one) => Object.keys(toldTo(objects, one.metadata.name)));
    expect(named.filter((name) => name !== 'TC_JWT_AUDIENCE')).toEqual([]);
  });
});

test('each setting of the resource reaches both', () => {
  const defaults = toldTo(objectsOf(wanted()), JUDGES[0]!);
  const all = objectsOf(
    wanted({
      topClients: {
        auth: {
          demoIssuer: false,
          issuer: 'https://login.example.com/',
          audience: 'shop',
          jwksUrl: 'https://login.example.com/keys',
          algorithms: ['PS256', 'Ed25519'],
          sellerClaim: 'https://shop.example.com/seller',
          scopeClaims: ['scope', 'roles'],
          clockToleranceSeconds: 30,
          keys: { timeoutMs: 700, refreshSeconds: 60, maxAgeSeconds: 900 },
        },
        publicUrls: { selfView: 'https://my.example.com' },
      },
    }),
  );
  const expected = {
    TC_JWKS_URL: 'https://login.example.com/keys',
    TC_JWKS_TIMEOUT_MS: '700',
    TC_JWKS_REFRESH_MS: '60000',
    TC_JWKS_MAX_AGE_MS: '900000',
    TC_JWT_ISSUER: 'https://login.example.com/',
    TC_JWT_AUDIENCE: 'shop',
    TC_JWT_ALGORITHMS: 'PS256,Ed25519',
    TC_JWT_SELLER_CLAIM: 'https://shop.example.com/seller',
    TC_JWT_SCOPE_CLAIMS: 'scope,roles',
    TC_JWT_CLOCK_TOLERANCE_SECONDS: '30',
  };
  for (const name of JUDGES) expect(toldTo(all, name)).toEqual(expected);
  // A value that is the default as well would prove nothing.
  expect(Object.keys(expected).filter((name) => defaults[name] === expected[name as 'TC_JWKS_URL'])).toEqual(
    [],
  );
});
