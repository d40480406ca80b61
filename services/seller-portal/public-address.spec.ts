import { expect, test } from '@jest/globals';
import { isSentByOwnPage, readPublicAddress } from './public-address.ts';

const secure = readPublicAddress('https://my.example.com', false);
const demonstration = readPublicAddress('http://localhost:8084', true);

test('the address of the configuration says what is secure, in a demonstration too', () => {
  expect(secure).toEqual({ isSecure: true, origin: 'https://my.example.com' });
  expect(readPublicAddress('https://My.Example.com:443/', true)).toEqual(secure);
  expect(demonstration).toEqual({ isSecure: false, origin: null });
  expect(readPublicAddress(undefined, true)).toEqual(demonstration);
});

test.each([
  [undefined, /needs TC_SELF_VIEW_URL, the https address/],
  ['http://my.example.com', /TC_SELF_VIEW_URL is http:.*set the https address/],
  ['https://example.com/my', /set https:\/\/example\.com, for the self-view answers at the root/],
  ['https://example.com/?a=b', /set https:\/\/example\.com/],
  ['https://me:secret@example.com/', /^(?!.*secret).*set https:\/\/example\.com/],
])('%s ends the start with what to set', (address, told) => {
  expect(() => readPublicAddress(address, false)).toThrow(told);
});

test('only forms of our own pages count as sent by us', () => {
  const host = 'pod.internal:8080';
  const own = 'https://my.example.com';
  expect(
    [
      { 'sec-fetch-site': 'same-origin', host },
      { 'sec-fetch-site': 'same-site', host, origin: own },
      { 'sec-fetch-site': 'cross-site', host },
      { 'sec-fetch-site': 'none', host },
      // An older browser; a proxy has put its own name for us into Host.
      { origin: own, host },
      { origin: 'http://my.example.com', host },
      // What the sender of a request makes up about us does not count.
      { origin: 'https://evil.example', host: 'evil.example', 'x-forwarded-host': 'evil.example' },
      { origin: 'null', host },
      { host },
    ].map((headers) => isSentByOwnPage(secure, headers)),
  ).toEqual([true, false, false, false, true, false, false, false, false]);
});

test('a demonstration is reached by any name, and its forms come from the same', () => {
  const host = '192.168.1.5:8084';
  expect(
    [
      { origin: `http://${host}`, host },
      { origin: 'http://192.168.1.5', host },
      { origin: 'null', host },
      { 'sec-fetch-site': 'cross-site', origin: `http://${host}`, host },
      { host },
    ].map((headers) => isSentByOwnPage(demonstration, headers)),
  ).toEqual([true, false, false, false, false]);
});
