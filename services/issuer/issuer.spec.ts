import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { type Issuer, openIssuer, type Token } from './issuer.ts';

let folder: string;
let keyFile: string;
let issuer: Issuer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'issuer-'));
  keyFile = join(folder, 'key.json');
  issuer = await openIssuer(keyFile, 'http://localhost:8080');
});
afterAll(() => rm(folder, { recursive: true }));

const verify = (token: string, by = issuer) =>
  jwtVerify(token, createLocalJWKSet(by.jwks as JSONWebKeySet), {
    issuer: 'http://localhost:8080',
    audience: 'top-clients',
    algorithms: ['ES256'],
  });
const ask = (query: string) => issuer.answer(new URLSearchParams(query));

test('a token names its seller and verifies by the published keys', async () => {
  const answer = (await ask('seller=42')) as Token;
  expect(answer).toMatchObject({ token_type: 'Bearer', expires_in: 3600 });
  const { payload } = await verify(answer.access_token);
  expect(payload.sub).toBe('42');
  expect(payload['scope']).toBeUndefined();
});

test('the scope for erasing comes only when asked for', async () => {
  const answer = (await ask('seller=1&scope=top-clients:erase')) as Token;
  expect((await verify(answer.access_token)).payload['scope']).toBe('top-clients:erase');
  const both = (await ask('seller=1&scope=top-clients:erase+top-clients:audit')) as Token;
  expect((await verify(both.access_token)).payload['scope']).toBe('top-clients:erase top-clients:audit');
});

test('the key outlives a restart, is readable by its owner alone, and its private part is not published', async () => {
  const { access_token } = await issuer.token(1);
  const again = await openIssuer(keyFile, 'http://localhost:8080');
  await expect(verify(access_token, again)).resolves.toBeDefined();
  expect((await stat(keyFile)).mode & 0o777).toBe(0o600);
  expect(JSON.stringify(issuer.jwks)).not.toContain('"d"');
});

test.each([
  '',
  'seller=',
  'seller=0',
  'seller=-1',
  'seller=1.5',
  'seller=1e3',
  'seller=9007199254740993',
  'seller=me',
])('/token?%s is refused, naming the seller', async (query) => {
  expect(await ask(query)).toMatchObject({ status: 400, errors: [{ at: 'seller' }] });
});

test.each([
  ['seller=1&scope=admin', 'scope'],
  ['seller=1&seller=2', 'seller'],
  ['seller=1&role=admin', 'role'],
])('/token?%s is refused, naming %s', async (query, at) => {
  expect(await ask(query)).toMatchObject({ status: 400, errors: [{ at }] });
});
