import { afterAll, expect, test } from '@jest/globals';
import { SignJWT } from 'jose';
import { SIGNATURE_ALGORITHMS } from '#contracts/identity.ts';
import { silentLog } from '#platform/log.ts';
import { openMetrics } from '#role/metrics.ts';
import { startIssuer, type TestIssuer } from '../local-stack/issuer.ts';
import { identityConfig } from './testing/identity.ts';
import { type Identity, openIdentity } from './verifier.ts';

const releases: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const release of releases) await release();
});
const judgeOf = (issuer: TestIssuer, env: Record<string, string> = {}): Identity => {
  const metrics = openMetrics({ processMetrics: false });
  const identity = openIdentity(identityConfig(issuer, env), { log: silentLog, metrics });
  releases.unshift(identity.close);
  return identity;
};
const issuerBy = async (algorithm?: (typeof SIGNATURE_ALGORITHMS)[number]): Promise<TestIssuer> => {
  const issuer = await startIssuer(algorithm);
  releases.push(issuer.close);
  return issuer;
};

test.each(SIGNATURE_ALGORITHMS)(
  '%s is understood where it is accepted, and refused elsewhere',
  async (algorithm) => {
    const issuer = await issuerBy(algorithm);
    const token = await issuer.token(7);
    expect(await judgeOf(issuer, { TC_JWT_ALGORITHMS: algorithm }).verify(token)).toMatchObject({
      kind: 'caller',
      caller: { sellerId: 7 },
    });
    const other = algorithm === 'ES256' ? 'RS256' : 'ES256';
    expect(await judgeOf(issuer, { TC_JWT_ALGORITHMS: other }).verify(token)).toMatchObject({
      kind: 'invalid',
      why: 'the signature algorithm is not accepted',
    });
  },
);

test('a token that says it is unsigned, or signed by a secret, is refused also when the secret is the public key', async () => {
  const issuer = await issuerBy();
  const judge = judgeOf(issuer);
  const claims = {
    iss: issuer.issuer,
    aud: issuer.audience,
    sub: '7',
    exp: Math.floor(Date.now() / 1_000) + 60,
  };
  const published = await (await fetch(issuer.jwksUrl)).text();
  const [, payload] = (await issuer.token(7)).split('.');
  const unsigned = (alg: string) =>
    `${Buffer.from(JSON.stringify({ alg, kid: 'key-1' })).toString('base64url')}.${payload}.`;
  const asked = issuer.asked;
  for (const token of [
    unsigned('none'),
    unsigned('None'),
    await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'key-1' }).sign(Buffer.from(published)),
  ]) {
    expect(await judge.verify(token)).toMatchObject({ kind: 'invalid' });
  }
  // Such tokens do not even make us look for keys.
  expect(issuer.asked).toBe(asked);
});

test('clocks may differ by what the configuration says', async () => {
  const issuer = await issuerBy();
  const late = await issuer.token(7, { exp: Math.floor(Date.now() / 1_000) - 60 });
  expect(await judgeOf(issuer).verify(late)).toMatchObject({ kind: 'expired' });
  const patient = judgeOf(issuer, { TC_JWT_CLOCK_TOLERANCE_SECONDS: '120' });
  expect(await patient.verify(late)).toMatchObject({ kind: 'caller' });
});

test('a token for several audiences is accepted when ours is among them', async () => {
  const issuer = await issuerBy();
  const judge = judgeOf(issuer);
  const token = (aud: string[]) => issuer.token(7, { aud });
  expect(await judge.verify(await token(['account', issuer.audience]))).toMatchObject({ kind: 'caller' });
  expect(await judge.verify(await token(['account']))).toMatchObject({
    kind: 'invalid',
    why: 'the claim aud is missing or wrong',
  });
});
