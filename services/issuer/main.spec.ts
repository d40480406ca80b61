import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import type { Config } from '#platform/config.ts';
import { USUAL_LIMITS } from '#platform/http-server.ts';
import { Releases } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import { openMetrics } from '#role/metrics.ts';
import { freePort } from '../local-stack/ports.ts';
import { role } from './main.ts';

const LOCAL = { host: '127.0.0.1', healthHost: '127.0.0.1', healthPort: 0 };
let folder: string;
let origin: string;
const warnings: string[] = [];
const log = {
  ...silentLog,
  warn: (_: unknown, text: string) => void warnings.push(text),
} as typeof silentLog;
const releases = new Releases(silentLog);

const start = async (settings: Record<string, unknown>) =>
  role.start({ ...USUAL_LIMITS, ...LOCAL, ...settings } as unknown as Config<never>, {
    log,
    version: '0.0.0',
    metrics: openMetrics({ processMetrics: false }),
    releases,
    fail: () => {},
  });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'issuer-role-'));
  const port = await freePort();
  origin = `http://127.0.0.1:${port}`;
  await start({ port, keyFile: join(folder, 'key.jwk'), issuerName: 'http://issuer', audience: 'shop' });
});
afterAll(async () => {
  await releases.unwind();
  await rm(folder, { recursive: true });
});

test('it serves tokens that verify by the keys it serves, for the audience it was given', async () => {
  const answer = await fetch(`${origin}/token?seller=7`);
  expect(answer.headers.get('cache-control')).toBe('no-store');
  const { access_token } = (await answer.json()) as { access_token: string };
  const { payload } = await jwtVerify(
    access_token,
    createRemoteJWKSet(new URL(`${origin}/.well-known/jwks.json`)),
    { issuer: 'http://issuer', audience: 'shop', algorithms: ['ES256'] },
  );
  expect(payload.sub).toBe('7');
});

test('it says at the start that it is for demonstrations only', () => {
  expect(warnings).toContainEqual(expect.stringContaining('for demonstrations only'));
});

test.each([
  ['GET', '/token', 400],
  ['GET', '/elsewhere', 404],
  ['POST', '/token?seller=1', 405],
  ['GET', '/%zz', 404],
])('%s %s is refused with %i and a problem document', async (method, path, status) => {
  const answer = await fetch(`${origin}${path}`, { method });
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toContain('application/problem+json');
});

test.each([
  ['is not JSON', 'nonsense', /is not a private key for ES256 as a JWK/],
  ['lacks its private part', '{"kty":"EC","crv":"P-256","x":"a","y":"b"}', /it has no private part "d"/],
])('a key that %s ends the start with its name', async (what, text, message) => {
  const keyFile = join(folder, `${what}.jwk`);
  await writeFile(keyFile, text);
  await expect(start({ port: 0, keyFile, issuerName: 'x' })).rejects.toThrow(message);
});

test('an absent key in a folder that cannot be made ends the start with what to do', async () => {
  const keyFile = join(folder, 'absent', 'key.jwk');
  await expect(start({ port: 0, keyFile, issuerName: 'x' })).rejects.toThrow(/mount one, or name a file/);
});

test('two that start at once on one folder agree on a key', async () => {
  const keyFile = join(folder, 'shared.jwk');
  const ports = [await freePort(), await freePort()];
  await Promise.all(ports.map((port) => start({ port, keyFile, issuerName: 'x', audience: 'shop' })));
  const keys = await Promise.all(
    ports.map(async (port) => (await fetch(`http://127.0.0.1:${port}/.well-known/jwks.json`)).text()),
  );
  expect(keys[0]).toBe(keys[1]);
});
