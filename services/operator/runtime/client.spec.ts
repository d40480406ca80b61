import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { drain, listen } from '#platform/listen.ts';
import { serviceAccountAccess } from './access.ts';
import { type Api, openApi } from './api.ts';
import { type KubeSettings, openKube } from './client.ts';
import { type Kube, KubeError } from './kube.ts';
import { kubeconfigAccess } from './kubeconfig.ts';

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly type: string | undefined;
  readonly authorization: string | undefined;
  readonly body: string;
}

let server: Server;
let api: Api;
let asked: Asked[] = [];
let answered: string[] = [];

const json = (res: ServerResponse, body: unknown, code = 200, headers: Record<string, string> = {}) =>
  void res.writeHead(code, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
const status = (code: number, reason: string, message = 'said so', details = {}) => ({
  kind: 'Status',
  code,
  reason,
  message,
  details,
});

async function against(
  answer: (req: IncomingMessage, res: ServerResponse, body: string) => void,
  settings: KubeSettings = {},
  token?: () => string,
): Promise<Kube> {
  asked = [];
  answered = [];
  server = createServer(async (req, res) => {
    let body = '';
    for await (const piece of req) body += piece;
    asked.push({
      method: req.method!,
      url: decodeURIComponent(req.url!),
      type: req.headers['content-type'],
      authorization: req.headers.authorization,
      body,
    });
    answer(req, res, body);
  });
  const port = await listen(server, 0, '127.0.0.1');
  api = openApi(
    {
      server: new URL(`http://127.0.0.1:${port}/prefix/`),
      tls: {},
      headers: async (refused: boolean) => (token ? { authorization: refused ? token() : 'Bearer old' } : {}),
    },
    (verb, code) => answered.push(`${verb} ${code}`),
  );
  return openKube(api, { deadlineMs: 1_000, ...settings });
}
const refused = (call: Promise<unknown>): Promise<KubeError> =>
  call.then(
    () => {
      throw new Error('it was not refused');
    },
    (err) => {
      expect(err).toBeInstanceOf(KubeError);
      return err;
    },
  );

afterEach(async () => {
  await api?.close();
  server?.closeAllConnections();
  if (server) await drain(server);
});

const DEPLOYMENT = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'shop', name: 'relay' };
const POLICY = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'deny', namespace: 'shop' },
  spec: { podSelector: {}, ingress: [{ from: [{ podSelector: { matchLabels: { a: 'b' } } }] }] },
};

test('an apply carries the object exactly as it is, under our name and by force', async () => {
  const kube = await against((_, res, body) => json(res, JSON.parse(body)));
  await kube.apply(POLICY);
  await kube.apply(POLICY, { dryRun: true });
  await kube.applyStatus({ ...POLICY, status: { ready: true } });
  const path = '/prefix/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/deny';
  expect(asked.map(({ method, url }) => `${method} ${url}`)).toEqual([
    `PATCH ${path}?fieldManager=top-clients-operator&force=true`,
    `PATCH ${path}?fieldManager=top-clients-operator&force=true&dryRun=All`,
    `PATCH ${path}/status?fieldManager=top-clients-operator&force=true`,
  ]);
  expect(asked[0]!.type).toBe('application/apply-patch+yaml');
  expect(asked[0]!.body).toBe(JSON.stringify(POLICY));
});

test('what is not there is null, and deleting it is fine', async () => {
  const kube = await against((_, res) => json(res, status(404, 'NotFound'), 404));
  expect(await kube.get(DEPLOYMENT)).toBeNull();
  await kube.delete(DEPLOYMENT);
  expect(JSON.parse(asked[1]!.body)).toMatchObject({ propagationPolicy: 'Background' });
});

test('a successor of the same name is not deleted, and the one that was meant is gone', async () => {
  const kube = await against((req, res) =>
    req.method === 'GET'
      ? json(res, { metadata: { uid: 'successor' } })
      : json(res, status(409, 'Conflict'), 409),
  );
  await kube.delete(DEPLOYMENT, { uid: 'meant' });
  expect(JSON.parse(asked[0]!.body)).toMatchObject({ preconditions: { uid: 'meant' } });
  expect((await refused(kube.delete(DEPLOYMENT, { uid: 'successor' }))).code).toBe(409);
});

test('a refusal says what was asked, why it was refused, and how long to wait', async () => {
  const kube = await against((_, res) =>
    json(res, status(429, 'TooManyRequests', 'slow down'), 429, { 'retry-after': '3' }),
  );
  const err = await refused(kube.create(POLICY));
  expect(err).toMatchObject({ code: 429, reason: 'TooManyRequests', retryAfterMs: 3_000 });
  expect(err.message).toBe('create NetworkPolicy shop/deny: 429 TooManyRequests: slow down');
  expect(answered).toEqual(['create 429']);
});

test('the time to wait is read from the body as well', async () => {
  const kube = await against((_, res) =>
    json(res, status(504, 'Timeout', 'not yet', { retryAfterSeconds: 1 }), 504),
  );
  expect(await refused(kube.get(DEPLOYMENT))).toMatchObject({ code: 504, retryAfterMs: 1_000 });
});

test('a refusal that is no Status is told as it is', async () => {
  const kube = await against((_, res) => void res.writeHead(503).end('starting'));
  expect(await refused(kube.get(DEPLOYMENT))).toMatchObject({
    code: 503,
    reason: 'Unknown',
    retryAfterMs: null,
    message: expect.stringContaining('starting'),
  });
});

test.each([
  ['says nothing', () => {}],
  ['stops in the middle', (res: ServerResponse) => void res.writeHead(200).write('{"metadata":')],
])('a server that %s is left after the deadline', async (_, answer) => {
  const kube = await against((__, res) => answer(res), { deadlineMs: 150 });
  const began = performance.now();
  expect(await refused(kube.get(DEPLOYMENT))).toMatchObject({ code: 0, reason: 'DeadlineExceeded' });
  expect(performance.now() - began).toBeLessThan(5_000);
  expect(answered).toEqual(['get 0']);
});

test('the deadline covers the wait for a connection as well', async () => {
  const kube = await against(() => {}, { deadlineMs: 300 });
  // Ten times as many as there are connections: those that get none fail like the others, and ask nothing.
  const all = await Promise.all(Array.from({ length: 160 }, () => refused(kube.get(DEPLOYMENT))));
  expect(new Set(all.map(({ reason }) => reason))).toEqual(new Set(['DeadlineExceeded']));
  expect(asked.length).toBeLessThan(80);
});

test('a broken connection and an answer that is not JSON are no answers', async () => {
  let broken = true;
  const kube = await against((req, res) => (broken ? req.socket.destroy() : void res.end('<html>')));
  expect(await refused(kube.get(DEPLOYMENT))).toMatchObject({ code: 0, reason: 'Unreachable' });
  broken = false;
  expect(await refused(kube.get(DEPLOYMENT))).toMatchObject({ code: 0, reason: 'Unreachable' });
});

test('a list goes on to its end, and its objects say what they are', async () => {
  const kube = await against((req, res) =>
    json(
      res,
      req.url!.includes('continue=')
        ? { metadata: { resourceVersion: '7' }, items: [{ metadata: { name: 'b' } }] }
        : { metadata: { resourceVersion: '7', continue: 'more' }, items: [{ metadata: { name: 'a' } }] },
    ),
  );
  const found = await kube.list(DEPLOYMENT, 'shop', 'app=x,tier in (a,b)');
  expect(found.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
    'Deployment a',
    'Deployment b',
  ]);
  expect(asked[1]!.url).toContain('continue=more');
  expect(asked[1]!.url).toContain('labelSelector=app=x,tier+in+(a,b)');
});

test('what is served is asked once a minute, and a failure is not remembered', async () => {
  let clock = 0;
  let fails = true;
  const kube = await against(
    (_, res) =>
      fails
        ? json(res, status(500, 'InternalError'), 500)
        : json(res, { resources: [{ kind: 'ScaledObject' }] }),
    { now: () => clock },
  );
  const scaledObject = { apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject' };
  expect((await refused(kube.serves(scaledObject))).code).toBe(500);
  fails = false;
  expect(await Promise.all([kube.serves(scaledObject), kube.serves(scaledObject)])).toEqual([true, true]);
  expect(await kube.serves({ ...scaledObject, kind: 'ScaledJob' })).toBe(false);
  expect(asked).toHaveLength(2);
  clock = 60_000;
  await kube.serves(scaledObject);
  expect(asked).toHaveLength(3);
});

test('a group that the server does not have is not served', async () => {
  const kube = await against((_, res) => void res.writeHead(404).end('404 page not found'));
  expect(await kube.serves({ apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject' })).toBe(false);
});

test('a token that is refused is read anew, once', async () => {
  let good = 'Bearer new';
  const kube = await against(
    (req, res) =>
      req.headers.authorization === good ? json(res, {}) : json(res, status(401, 'Unauthorized'), 401),
    {},
    () => 'Bearer new',
  );
  await kube.get(DEPLOYMENT);
  expect(asked.map(({ authorization }) => authorization)).toEqual(['Bearer old', 'Bearer new']);
  good = 'Bearer newer';
  expect((await refused(kube.get(DEPLOYMENT))).code).toBe(401);
  expect(asked).toHaveLength(4);
});

test('without a valid term nothing is sent', async () => {
  const lost = new AbortController();
  let valid = true;
  const kube = await against((_, res) => json(res, {}), {
    fence: { isHeld: () => valid, lost: lost.signal },
  });
  await kube.get(DEPLOYMENT);
  valid = false;
  expect(await refused(kube.apply(POLICY))).toMatchObject({ code: 0, reason: 'NotLeading' });
  expect(asked).toHaveLength(1);
});

test('what is in flight is broken off when the term is lost', async () => {
  const lost = new AbortController();
  const kube = await against(() => lost.abort(), {
    deadlineMs: 10_000,
    fence: { isHeld: () => true, lost: lost.signal },
  });
  expect(await refused(kube.apply(POLICY))).toMatchObject({ code: 0, reason: 'BrokenOff' });
});

test.each([
  ['a kind without a known plural', { ...DEPLOYMENT, kind: 'Sprocket' }, 'runtime/resources.ts'],
  [
    'a namespaced kind without its namespace',
    { apiVersion: 'v1', kind: 'Pod', name: 'a' },
    'needs its namespace',
  ],
  ['an empty name', { ...DEPLOYMENT, name: '' }, 'needs a name'],
])('%s is refused before anything is sent', async (_, ref, sentence) => {
  const kube = await against((__, res) => json(res, {}));
  await expect(kube.get(ref)).rejects.toThrow(sentence);
  expect(asked).toEqual([]);
});

test('a pod signs in with its token, and with the new one after it was refused', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'service-account-'));
  try {
    await writeFile(join(folder, 'ca.crt'), 'ca');
    await writeFile(join(folder, 'token'), 'one\n');
    const access = await serviceAccountAccess({ KUBERNETES_SERVICE_HOST: 'fd00::1' }, folder);
    expect(access.server.href).toBe('https://[fd00::1]/');
    await writeFile(join(folder, 'token'), 'two');
    expect(await access.headers(false)).toEqual({ authorization: 'Bearer one' });
    expect(await access.headers(true)).toEqual({ authorization: 'Bearer two' });
    await rm(join(folder, 'token'));
    expect(await access.headers(true)).toEqual({ authorization: 'Bearer two' });
    await expect(serviceAccountAccess({ KUBERNETES_SERVICE_HOST: '10.0.0.1' }, folder)).rejects.toThrow(
      'automountServiceAccountToken',
    );
    await expect(serviceAccountAccess({}, folder)).rejects.toThrow('this is no pod');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a kubeconfig gives the server, its authority and the credentials', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  try {
    const file = join(folder, 'config');
    await writeFile(
      file,
      JSON.stringify({
        clusters: [
          {
            name: 'c',
            cluster: {
              server: 'https://k:6443',
              'certificate-authority-data': base64('ca'),
              'tls-server-name': 'n',
            },
          },
        ],
        users: [
          {
            name: 'u',
            user: { 'client-certificate-data': base64('cert'), 'client-key-data': base64('key'), token: 't' },
          },
        ],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    );
    const access = await kubeconfigAccess(file);
    expect(access.server.href).toBe('https://k:6443/');
    expect(
      Object.fromEntries(Object.entries(access.tls).map(([key, value]) => [key, String(value)])),
    ).toEqual({
      ca: 'ca',
      cert: 'cert',
      key: 'key',
      servername: 'n',
    });
    expect(await access.headers(false)).toMatchObject({ Authorization: 'Bearer t' });
  } finally {
    await rm(folder, { recursive: true });
  }
});
