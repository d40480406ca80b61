import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { plainAccess } from './plain-kubeconfig.ts';

const folder = mkdtempSync(join(tmpdir(), 'kubeconfig-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SERVER = 'https://kube.example.com:6443';
async function accessBy(cluster: object, user: object | null) {
  const file = join(folder, 'config');
  writeFileSync(
    file,
    JSON.stringify({
      clusters: [
        { name: 'other', cluster: { server: 'https://other.example.com' } },
        { name: 'c', cluster: { server: SERVER, ...cluster } },
      ],
      users: [{ name: 'u', user }],
      contexts: [
        { name: 'y', context: { cluster: 'other', user: 'u' } },
        { name: 'x', context: { cluster: 'c', user: 'u' } },
      ],
      'current-context': 'x',
    }),
  );
  return plainAccess(file);
}
const base64 = (text: string) => Buffer.from(text).toString('base64');

test('the current context leads to its server, by a token', async () => {
  const access = await accessBy({}, { token: 'a' });
  expect(access?.server.href).toBe(`${SERVER}/`);
  expect(access?.tls).toEqual({});
  expect(await access?.headers(false)).toEqual({ Authorization: 'Bearer a' });
});

test('certificates are in the file, or in files beside it', async () => {
  writeFileSync(join(folder, 'key.pem'), 'a key');
  const access = await accessBy(
    { 'certificate-authority-data': base64('an authority'), 'tls-server-name': 'kube' },
    { 'client-certificate-data': base64('a certificate'), 'client-key': 'key.pem' },
  );
  expect(access?.tls).toEqual({
    ca: Buffer.from('an authority'),
    cert: Buffer.from('a certificate'),
    key: Buffer.from('a key'),
    servername: 'kube',
  });
  expect(await access?.headers(false)).toEqual({});
});

test('only a cluster that says so is not verified', async () => {
  expect((await accessBy({}, null))?.tls.rejectUnauthorized).toBeUndefined();
  const skipped = await accessBy({ 'insecure-skip-tls-verify': true }, null);
  expect(skipped?.tls.rejectUnauthorized).toBe(false);
});

test.each([
  ['runs a command', {}, { exec: { command: 'aws' } }],
  ['signs in with a password', {}, { username: 'a', password: 'b' }],
  ['reads its token from a file that changes', {}, { tokenFile: 'token' }],
  ['acts as somebody else', {}, { token: 'a', as: 'b' }],
  ['goes through a proxy', { 'proxy-url': 'http://proxy' }, {}],
])('a context that %s is left to the client library', async (_, cluster, user) => {
  expect(await accessBy(cluster, user)).toBeNull();
});

test('so is a file without a current context', async () => {
  const file = join(folder, 'empty');
  writeFileSync(file, '');
  expect(await plainAccess(file)).toBeNull();
});
