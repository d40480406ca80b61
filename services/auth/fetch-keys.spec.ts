import { createServer, type RequestListener } from 'node:http';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { listen } from '#platform/listen.ts';
import { fetchKeys } from './fetch-keys.ts';

let answer: RequestListener;
let address: string;
let es: JWK;
let rsa: JWK;
const server = createServer((req, res) => answer(req, res));
const json =
  (body: unknown): RequestListener =>
  (_, res) =>
    res.end(JSON.stringify(body));

beforeAll(async () => {
  address = `http://127.0.0.1:${await listen(server, 0, '127.0.0.1')}/keys`;
  es = { ...(await exportJWK((await generateKeyPair('ES256')).publicKey)), kid: 'es' };
  rsa = { ...(await exportJWK((await generateKeyPair('RS256')).publicKey)), kid: 'rsa' };
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});
const fetched = (timeoutMs = 5_000) =>
  fetchKeys(address, ['ES256', 'RS256'], timeoutMs, new AbortController().signal);

test('only keys that can verify a token count, and a broken one does not stand in the way', async () => {
  answer = json({
    keys: [
      es,
      { ...rsa, alg: 'RS256', use: 'sig', x5c: ['ignored'] },
      { ...rsa, kid: 'for encryption', use: 'enc' },
      { ...rsa, kid: 'by another algorithm', alg: 'PS256' },
      { ...rsa, kid: 'too short', n: rsa.n!.slice(0, 170) },
      { kty: 'oct', kid: 'a shared secret', k: 'c2VjcmV0', alg: 'HS256' },
      { kid: 'of no type' },
    ],
    more: true,
  });
  expect((await fetched()).ids).toEqual(['es', 'rsa']);
});

test.each<[string, RequestListener, RegExp]>([
  ['an error', (_, res) => res.writeHead(500).end(), /\/keys answered 500$/],
  [
    'a redirect',
    (_, res) => res.writeHead(302, { location: 'https://elsewhere.example/keys' }).end(),
    /answered 302, to https:\/\/elsewhere\.example\/keys; name the address where the keys are/,
  ],
  ['a page', (_, res) => res.end('<html>'), /answered no JSON Web Key Set/],
  ['another document', json({ issuer: 'https://login.example.com' }), /answered no JSON Web Key Set/],
  ['no keys', json({ keys: [] }), /has no public key for ES256, RS256; which algorithm/],
  [
    'only keys of other algorithms',
    json({ keys: [{ kty: 'OKP', crv: 'Ed25519' }] }),
    /has no public key for/,
  ],
  ['a connection that breaks', (req) => req.socket.destroy(), /cannot be reached: /],
])('%s is told in a sentence', async (_, answers, told) => {
  answer = answers;
  await expect(fetched()).rejects.toThrow(told);
});

test('an answer without an end is left at its bound', async () => {
  let sent = 0;
  const ended = Promise.withResolvers<void>();
  answer = (_, res) => {
    res.once('close', ended.resolve);
    const more = () => {
      while (!res.destroyed && res.write(' '.repeat(16_384))) sent += 16_384;
    };
    res.on('drain', more);
    more();
  };
  await expect(fetched()).rejects.toThrow(/answered more than 262144 bytes/);
  await ended.promise;
  expect(sent).toBeLessThan(64 * 1024 * 1024);
});

test('an answer that does not come, or stops halfway, is given up at the deadline', async () => {
  answer = () => {};
  await expect(fetched(50)).rejects.toThrow(/did not answer within 50 ms/);
  answer = (_, res) => res.write('{"keys":[');
  await expect(fetched(50)).rejects.toThrow(/did not answer within 50 ms/);
});
