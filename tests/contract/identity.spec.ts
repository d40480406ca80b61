/**
 * The identity providers of the chart's production examples, as the source of truth and the self-view meet them: both
 * are told what the manifests of an example tell them, and judge real tokens by keys that a server publishes.
 */
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { EXAMPLES, objectsOf, podOf } from '../../cdk8s/testing/platforms.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import { type ManagedProcess, startProcess } from '../../services/local-stack/process.ts';
import { migratePage } from '../../services/migrate/databases.ts';
import { listen } from '../../services/platform/listen.ts';
import { silentLog } from '../../services/platform/log.ts';
import { type Source, type SourceBench, startSourceBench } from '../support/source.ts';

const MAIN = new URL('../../services/main.ts', import.meta.url).pathname;
const keys = new Map<string, CryptoKey>();
const published: JWK[] = [];
const provider = createServer((_, res) => res.end(JSON.stringify({ keys: published })));
let jwksUrl: string;
let bench: SourceBench;
let sellers = 1_000;

beforeAll(async () => {
  for (const alg of ['RS256', 'ES256', 'PS256', 'EdDSA']) {
    const { publicKey, privateKey } = await generateKeyPair(alg);
    keys.set(alg, privateKey);
    published.push({ ...(await exportJWK(publicKey)), kid: alg, use: 'sig' });
  }
  jwksUrl = `http://127.0.0.1:${await listen(provider, 0, '127.0.0.1')}/keys`;
  bench = await startSourceBench();
});
afterAll(async () => {
  await bench?.stop();
  provider.close();
  provider.closeAllConnections();
});

/** What a deployment of the example is told of tokens and of its own address, but that the keys are here. */
function toldTo(example: string, deployment: string): Record<string, string> {
  const objects = objectsOf(EXAMPLES[example]!('shop'));
  const found = objects.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === deployment);
  const env = podOf(found!)!.spec.containers[0]!.env!.flatMap(({ name, value }) =>
    /^TC_(JWT_|JWKS_|SELF_VIEW_URL)/.test(name) ? [[name, value!]] : [],
  );
  return { ...Object.fromEntries(env), TC_JWKS_URL: jwksUrl };
}

const signed = (alg: string, claims: object) =>
  new SignJWT({ exp: Math.floor(Date.now() / 1_000) + 600, ...claims })
    .setProtectedHeader({ alg, kid: alg })
    .sign(keys.get(alg)!);

describe.each([
  {
    example: 'Strimzi and CloudNativePG',
    algorithms: ['RS256', 'ES256', 'PS256', 'EdDSA'],
    ofSeller: (id: number) => ({ aud: 'top-clients', sub: String(id), scope: 'openid profile' }),
    ofOperator: { aud: 'top-clients', sub: 'operator', scope: 'openid top-clients:erase' },
  },
  {
    example: 'external stores with TLS and SASL',
    algorithms: ['RS256'],
    ofSeller: (id: number) => ({
      aud: 'api://top-clients',
      sub: 'AAAAAI9x',
      seller_id: id,
      scp: 'lists.edit',
    }),
    ofOperator: { aud: 'api://top-clients', sub: 'f7a1', roles: ['top-clients:erase'] },
  },
])('$example', ({ example, algorithms, ofSeller, ofOperator }) => {
  const issuer = 'https://login.example.com/';
  let source: Source;
  let selfView: ManagedProcess;
  let page: string;

  beforeAll(async () => {
    const name = `of_${example.length}`;
    source = await bench.startSource(await bench.database(name), toldTo(example, 'top-clients'));
    await bench.postgres.createDatabase(`${name}_self_view`);
    const databaseUrl = bench.postgres.url(`${name}_self_view`);
    await migratePage('self-view', databaseUrl, 'none', silentLog);
    const [port, healthPort] = [await freePort(), await freePort()];
    page = `http://127.0.0.1:${port}`;
    selfView = await startProcess({
      name: 'self-view',
      command: process.execPath,
      args: [MAIN, 'page-server'],
      env: {
        NODE_OPTIONS: undefined,
        TC_PAGE: 'self-view',
        TC_PORT: String(port),
        TC_HEALTH_PORT: String(healthPort),
        TC_DATABASE_URL: databaseUrl,
        TC_SOURCE_URL: source.url,
        ...toldTo(example, 'top-clients-page-self-view'),
      },
      logFile: join(tmpdir(), `self-view-${process.pid}-${port}.log`),
      readyUrl: `http://127.0.0.1:${healthPort}/readyz`,
    });
  });
  afterAll(() => selfView?.stop());

  test.each(algorithms)('a seller with a token by %s writes, signs in and reads', async (alg) => {
    const seller = ++sellers;
    const token = await signed(alg, { iss: issuer, ...ofSeller(seller) });
    const added = await source.call('POST', `/v1/sellers/${seller}/clients`, {
      token,
      body: { name: 'Spotify' },
    });
    expect(added.status).toBe(201);

    const signIn = await fetch(`${page}/sign-in`, {
      method: 'POST',
      redirect: 'manual',
      // A proxy in front that says nothing good of itself.
      headers: { 'sec-fetch-site': 'same-origin', 'x-forwarded-proto': 'http' },
      body: new URLSearchParams({ token, return: `/sellers/${seller}` }),
    });
    expect([signIn.status, signIn.headers.get('location')]).toEqual([303, `/sellers/${seller}`]);
    const [cookie, ...attributes] = signIn.headers.get('set-cookie')!.split('; ');
    expect(cookie).toBe(`__Host-tc_session=${token}`);
    expect(attributes.sort()).toEqual(['HttpOnly', 'Path=/', 'SameSite=Lax', 'Secure']);

    const list = await fetch(`${page}/sellers/${seller}`, { headers: { cookie: cookie! } });
    expect([list.status, (await list.text()).includes('Spotify')]).toEqual([200, true]);
  });

  test('who may erase does, and is no seller', async () => {
    const seller = ++sellers;
    const token = await signed('RS256', { iss: issuer, ...ofOperator });
    const refused = await source.call('POST', `/v1/sellers/${seller}/clients`, {
      token,
      body: { name: 'A' },
    });
    expect(refused.status).toBe(403);
    expect((await source.call('DELETE', `/v1/sellers/${seller}`, { token })).status).toBe(202);
    const list = await fetch(`${page}/sellers/${seller}`, { headers: { authorization: `Bearer ${token}` } });
    expect(list.status).toBe(401);
  });

  test('scopes in a form that we do not know are refused by name, and so is what the example does not accept', async () => {
    const seller = ++sellers;
    const attempt = async (alg: string, claims: object) => {
      const token = await signed(alg, { iss: issuer, ...ofSeller(seller), ...claims });
      const answer = await source.call('POST', `/v1/sellers/${seller}/clients`, {
        token,
        body: { name: 'A' },
      });
      const list = await fetch(`${page}/sellers/${seller}`, {
        headers: { authorization: `Bearer ${token}` },
      });
      expect([answer.status, list.status]).toEqual([401, 401]);
      return answer.problem.detail;
    };
    expect(await attempt('RS256', { scp: { erase: true } })).toContain(
      'the claim scp is neither a text nor a list of texts',
    );
    expect(await attempt('RS256', { iss: 'https://elsewhere.example.com/' })).toContain('the claim iss');
    expect(await attempt('RS256', { aud: 'another' })).toContain('the claim aud');
    if (!algorithms.includes('ES256'))
      expect(await attempt('ES256', {})).toContain('algorithm is not accepted');
  });
});
