import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { SignJWT } from 'jose';
import { startIssuer, type TestIssuer } from '../../../tests/support/issuer.ts';
import {
  cookieValue,
  isSentByOwnPage,
  openSignIn,
  returnAddress,
  type SignIn,
  sessionCookie,
  tokenOf,
} from './sign-in.ts';

let issuer: TestIssuer;
let signIn: SignIn;

beforeAll(async () => {
  issuer = await startIssuer();
  signIn = openSignIn(issuer);
});
afterAll(() => issuer.close());

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
  expect(await stateOf('nonsense')).toBe('invalid');
  const claims = { iss: issuer.issuer, aud: issuer.audience, sub: '7', exp: past() + 600 };
  const symmetric = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(new Uint8Array(32));
  expect(await stateOf(symmetric)).toBe('invalid');
  const [, payload] = (await issuer.token(7)).split('.');
  const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`;
  expect(await stateOf(none)).toBe('invalid');
});

test('without the keys of the issuer nobody is let in, and nobody is told that the token is wrong', async () => {
  const token = await issuer.token(7);
  const unable = openSignIn({
    ...issuer,
    jwksUrl: `${issuer.jwksUrl}x`,
    tokenUrl: 'http://127.0.0.1:1/token',
  });
  issuer.answer(503);
  expect((await unable.verify(token)).state).toBe('unverifiable');
  issuer.answer(200);
  const nobody = openSignIn({
    ...issuer,
    jwksUrl: 'http://127.0.0.1:1/',
    tokenUrl: 'http://127.0.0.1:1/token',
  });
  expect((await nobody.verify(token)).state).toBe('unverifiable');
  expect((await nobody.issue(7)).outcome).toBe('unreachable');
});

test('only forms of our own pages count as sent by us', () => {
  const host = 'shop.example:8084';
  const judged = [
    { 'sec-fetch-site': 'same-origin', host },
    { 'sec-fetch-site': 'same-site', host, origin: `http://${host}` },
    { 'sec-fetch-site': 'cross-site', host },
    { 'sec-fetch-site': 'none', host },
    { origin: `https://${host}`, host },
    { origin: 'https://shop.example', host },
    { origin: 'null', host },
    { host },
  ].map(isSentByOwnPage);
  expect(judged).toEqual([true, false, false, false, true, false, false, false]);
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

test('the cookie cannot be read by scripts, and travels by https alone where that is spoken', () => {
  expect(sessionCookie('abc', true)).toBe('tc_session=abc; Path=/; HttpOnly; SameSite=Lax; Secure');
  expect(sessionCookie(null, false)).toBe('tc_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0');
  expect(cookieValue('a=1; tc_session=x.y=z; b=2', 'tc_session')).toBe('x.y=z');
  expect(tokenOf({ cookie: 'tc_session=fromcookie', authorization: 'Bearer fromheader' })).toBe('fromheader');
});
