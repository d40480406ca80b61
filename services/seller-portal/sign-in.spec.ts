import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { SignJWT } from 'jose';
import { silentLog } from '#platform/log.ts';
import { openMetrics } from '#role/metrics.ts';
import { identityConfig } from '../auth/testing/identity.ts';
import { type Identity, openIdentity } from '../auth/verifier.ts';
import { startIssuer, type TestIssuer } from '../local-stack/issuer.ts';
import { openSignIn, returnAddress, type SignIn } from './sign-in.ts';

let issuer: TestIssuer;
let identity: Identity;
let signIn: SignIn;
const judge = (jwksUrl = issuer.jwksUrl) =>
  openIdentity(identityConfig({ ...issuer, jwksUrl }), {
    log: silentLog,
    metrics: openMetrics({ processMetrics: false }),
  });

beforeAll(async () => {
  issuer = await startIssuer();
  identity = judge();
  signIn = openSignIn(identity, issuer.tokenUrl);
});
afterAll(async () => {
  await identity.close();
  await issuer.close();
});

const stateOf = async (token: string | undefined) => (await signIn.verify(token)).state;
const past = () => Math.floor(Date.now() / 1_000) - 60;

test('a token of the issuer signs its seller in', async () => {
  const token = await issuer.token(7);
  expect(await signIn.verify(token)).toEqual({ state: 'signed-in', sellerId: 7, token });
  const issued = await signIn.issue(8);
  expect(issued.outcome === 'issued' && (await signIn.verify(issued.token))).toMatchObject({ sellerId: 8 });
});

test('a token that is expired, of another issuer, audience or algorithm, or of nobody, signs nobody in', async () => {
  expect(await stateOf(undefined)).toBe('signed-out');
  expect(await stateOf(await issuer.token(7, { exp: past() }))).toBe('expired');
  expect(await stateOf(await issuer.token(7, { iss: 'http://elsewhere' }))).toBe('invalid');
  expect(await stateOf(await issuer.token(7, { aud: 'another' }))).toBe('invalid');
  expect(await stateOf(await issuer.token('admin'))).toBe('invalid');
  expect(await stateOf(await issuer.token('0'))).toBe('invalid');
  expect(await stateOf(await issuer.token('07'))).toBe('invalid');
  expect(await stateOf('nonsense')).toBe('invalid');
  const claims = { iss: issuer.issuer, aud: issuer.audience, sub: '7', exp: past() + 600 };
  const symmetric = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(new Uint8Array(32));
  expect(await stateOf(symmetric)).toBe('invalid');
  const [, payload] = (await issuer.token(7)).split('.');
  const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`;
  expect(await stateOf(none)).toBe('invalid');
});

test('without the keys of the issuer nobody is let in, and nobody is told that the token is wrong', async () => {
  const nowhere = judge('http://127.0.0.1:1/');
  try {
    const nobody = openSignIn(nowhere, 'http://127.0.0.1:1/token');
    expect((await nobody.verify(await issuer.token(7))).state).toBe('unverifiable');
    expect((await nobody.issue(7)).outcome).toBe('unreachable');
  } finally {
    await nowhere.close();
  }
});

test('a sign-in returns to the seller’s own addresses and nowhere else', () => {
  const edit = '/sellers/7/clients/3f1c2a9e-0f63-4c0e-9a46-2f4b1d9f1b11/edit';
  for (const good of ['/sellers/7', '/sellers/7?name=A+%26+B', edit, `${edit}?name=x`]) {
    expect(returnAddress(good, 7)).toBe(good);
  }
  for (const bad of [
    undefined,
    '',
    '//evil.example/sellers/7',
    'https://evil.example/sellers/7',
    '/\\evil.example',
    '/sellers/7\r\nset-cookie: a=b',
    '/sellers/7?a=b\r\nset-cookie: c=d',
    '/sellers/7/../../evil',
    '/sellers/8',
    '/sign-out',
  ]) {
    expect(returnAddress(bad, 7)).toBe('/sellers/7');
  }
});
