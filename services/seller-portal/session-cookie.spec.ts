import { expect, test } from '@jest/globals';
import { openSessionCookie } from './session-cookie.ts';

const secure = openSessionCookie({ isSecure: true, origin: 'https://my.example.com' });
const demonstration = openSessionCookie({ isSecure: false, origin: null });

test('the cookie cannot be read by scripts, and is bound to its host and to https where that is the address', () => {
  expect(secure.header('abc')).toBe('__Host-tc_session=abc; Path=/; HttpOnly; SameSite=Lax; Secure');
  expect(secure.header(null)).toBe('__Host-tc_session=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0');
  expect(demonstration.header('abc')).toBe('tc_session=abc; Path=/; HttpOnly; SameSite=Lax');
});

test('a token is the bearer token of a program, or the cookie of a browser', () => {
  expect(demonstration.tokenOf({ cookie: 'a=1; tc_session=x.y=z; b=2' })).toBe('x.y=z');
  expect(demonstration.tokenOf({ cookie: 'tc_session=a', authorization: 'Bearer b' })).toBe('b');
  expect(secure.tokenOf({ cookie: '__Host-tc_session=a' })).toBe('a');
  expect(secure.tokenOf({})).toBeUndefined();
});

test('a cookie that another host of the domain planted is nobody’s session', () => {
  expect(secure.tokenOf({ cookie: 'tc_session=planted' })).toBeUndefined();
});

test('a token that browsers would drop is known before', () => {
  expect(secure.canKeep('x'.repeat(4_000))).toBe(true);
  expect(secure.canKeep('x'.repeat(4_090))).toBe(false);
});
