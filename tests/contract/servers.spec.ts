/** What every server of ours does about slow clients, and where it listens: each a process, none with a database. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SHUTDOWN_DELAY_MS } from '../../cdk8s/constructs/role-pod.ts';
import { portsFrom } from '../../services/demo/addresses.ts';
import { allExamples } from '../../services/demo/examples.ts';
import { openLab } from '../../services/demo/lab/server.ts';
import { openIssuer } from '../../services/issuer/issuer.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import { startProcess } from '../../services/local-stack/process.ts';
import { until } from '../../services/local-stack/until.ts';
import { pause } from '../../services/platform/lifecycle.ts';

const MAIN = new URL('../../services/main.ts', import.meta.url).pathname;
/** Nobody listens there. */
const NOWHERE = '127.0.0.1:1';
const IDENTITY = {
  TC_JWKS_URL: `http://${NOWHERE}/jwks.json`,
  TC_JWT_ISSUER: 'nobody',
  TC_JWT_AUDIENCE: 'nobody',
};
const page = (name: string) => ({
  role: 'page-server',
  settings: {
    TC_PAGE: name,
    TC_DATABASE_URL: `postgres://${NOWHERE}/page`,
    TC_SOURCE_URL: `http://${NOWHERE}`,
    // Of a demonstration, which needs no public address.
    ...(name === 'self-view' ? { ...IDENTITY, TC_TOKEN_URL: `http://${NOWHERE}/token` } : {}),
  },
});

/** Each with an address that needs nothing else. */
const ROLES = {
  'the source of truth': {
    role: 'top-clients',
    path: '/v1/openapi.json',
    settings: { TC_DATABASE_URL: `postgres://${NOWHERE}/source`, ...IDENTITY },
  },
  'a page server': { path: '/', ...page('gig') },
  'the self-view': { path: '/sign-in', ...page('self-view') },
  'the issuer': { role: 'issuer', path: '/.well-known/jwks.json', settings: { TC_ISSUER_NAME: 'x' } },
} as const;

interface Server {
  readonly port: number;
  readonly path: string;
}
const servers: Record<string, Server> = {};
const SERVING = Object.keys(ROLES) as (keyof typeof ROLES)[];
const NAMES = [...SERVING, ...SERVING.map((name) => `the health port of ${name}`), 'the lab'];

let folder: string;
const stops: Array<() => unknown> = [];

async function start(name: keyof typeof ROLES, more: Readonly<Record<string, string>> = {}) {
  const { role, path, settings } = ROLES[name];
  const [port, healthPort] = [await freePort(), await freePort()];
  const started = await startProcess({
    name: role,
    command: process.execPath,
    args: [MAIN, role],
    logFile: join(folder, `${port}.log`),
    readyUrl: `http://127.0.0.1:${port}${path}`,
    env: {
      TC_PORT: String(port),
      TC_HEALTH_PORT: String(healthPort),
      ...(role === 'issuer' ? { TC_KEY_FILE: join(folder, 'key.jwk') } : {}),
      TC_REQUEST_TIMEOUT_MS: '3000',
      ...settings,
      ...more,
    },
  });
  // Also where another one does not start.
  stops.push(() => started.stop());
  return { process: started, port, path, healthPort };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'servers-'));
  const starting = SERVING.map(async (name): Promise<void> => {
    const { port, path, healthPort } = await start(name);
    servers[name] = { port, path };
    servers[`the health port of ${name}`] = { port: healthPort, path: '/livez' };
  });
  await Promise.all(starting);
  const ports = portsFrom(await freePort());
  const lab = await openLab({
    host: '::',
    ports,
    sellers: 1,
    issuer: await openIssuer(join(folder, 'lab.jwk'), 'http://localhost'),
    keepers: new Map(),
    proxy: { delayMs: 0, close: async () => {} },
    metrics: () => ({ state: 'starting' }),
    examples: allExamples({ state: 'preparing' }),
  });
  stops.push(lab.close);
  servers['the lab'] = { port: ports.lab, path: '/.well-known/jwks.json' };
}, 60_000);

afterAll(async () => {
  await Promise.all(stops.map((stop) => stop()));
  await rm(folder, { recursive: true, force: true });
});

const ask = async ({ port, path }: Server, host = '127.0.0.1') =>
  (await fetch(`http://${host}:${port}${path}`, { signal: AbortSignal.timeout(10_000) })).status;

describe.each(NAMES)('%s', (name) => {
  test('is reached by IPv6 and by IPv4', async () => {
    expect(await ask(servers[name]!, '[::1]')).toBe(200);
    expect(await ask(servers[name]!)).toBe(200);
  });
});

test('five hundred slow bodies and headers of one address take nobody else anything, and are not waited for', async () => {
  const all = NAMES.map((name) => servers[name]!);
  const slow: Socket[] = [];
  for (const { port, path } of all) {
    for (let i = 0; i < 500; i += 1) {
      const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
      socket.on('error', () => {});
      socket.resume();
      const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`;
      socket.write(i % 5 === 0 ? head : `${head}Content-Length: 9\r\n\r\n{`);
      slow.push(socket);
    }
  }
  await Promise.all(
    slow.map((socket) => (socket.connecting ? once(socket, 'connect').catch(() => {}) : null)),
  );
  const statuses = await Promise.all(all.flatMap((server) => Array.from({ length: 20 }, () => ask(server))));
  expect(new Set(statuses)).toEqual(new Set([200]));
  await Promise.all(slow.map((socket) => (socket.closed ? null : once(socket, 'close'))));
}, 30_000);

/** Visits over one connection for as long as it is kept. @returns whether it was, and what the answer says of it */
function visitor({ port, path }: Server) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return {
    visit: async () => {
      const sent = get({ host: '127.0.0.1', port, path, agent, timeout: 20_000 });
      const [answer] = (await once(sent, 'response')) as [IncomingMessage];
      answer.resume();
      await once(answer, 'end');
      return [sent.reusedSocket, answer.headers.connection];
    },
    leave: () => agent.destroy(),
  };
}
const saysThatItStops = (healthPort: number) =>
  until('it says that it stops', async () => {
    const answer = await fetch(`http://127.0.0.1:${healthPort}/readyz`);
    return (await answer.text()) === 'stopping\n';
  });

test.each(SERVING)(
  '%s, told to stop, ends each kept connection with its next answer, and none before',
  async (name) => {
    const server = await start(name, { TC_SHUTDOWN_DELAY_MS: '9000' });
    const { visit, leave } = visitor(server);
    expect(await visit()).toEqual([false, 'keep-alive']);
    expect(await visit()).toEqual([true, 'keep-alive']);
    server.process.kill('SIGTERM');
    await saysThatItStops(server.healthPort);
    expect(await visit()).toEqual([true, 'close']);
    expect(await visit()).toEqual([false, 'close']);
    leave();
    server.process.kill('SIGKILL');
  },
);

test('a server keeps an idle connection for longer than it tells clients to, also when it stops in a pod', async () => {
  /** Asks once and keeps the connection. @returns for how many ms the answer says that it may be kept */
  const ask = async ({ port, path }: Server, kept = connect(port, '127.0.0.1')) => {
    kept.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    const [answer] = await once(kept, 'data');
    const [, seconds] = /^keep-alive: timeout=(\d+)/im.exec(String(answer))!;
    return { kept, mayBeKeptMs: Number(seconds) * 1_000 };
  };
  const running = NAMES.map(async (name) => {
    const { kept, mayBeKeptMs } = await ask(servers[name]!);
    await pause(mayBeKeptMs + 500);
    expect([name, kept.readableEnded]).toEqual([name, false]);
    await ask(servers[name]!, kept);
    kept.destroy();
  });
  const stopping = SERVING.map(async (name) => {
    const server = await start(name, { TC_SHUTDOWN_DELAY_MS: String(SHUTDOWN_DELAY_MS) });
    const { kept, mayBeKeptMs } = await ask(server);
    const told = performance.now();
    server.process.kill('SIGTERM');
    await once(kept.resume(), 'close');
    expect([name, performance.now() - told > mayBeKeptMs]).toEqual([name, true]);
    expect([name, await server.process.exited]).toEqual([name, { code: 0, signal: null }]);
  });
  await Promise.all([...running, ...stopping]);
});

test('a request that arrives while a server waits for the processor is answered, also when it stops then', async () => {
  const DELAY_MS = 2_000;
  const stopping = SERVING.map(async (name) => {
    const server = await start(name, { TC_SHUTDOWN_DELAY_MS: String(DELAY_MS) });
    const { visit, leave } = visitor(server);
    await visit();
    const { exited } = server.process;
    const told = performance.now();
    server.process.kill('SIGTERM');
    await saysThatItStops(server.healthPort);
    server.process.kill('SIGSTOP');
    expect(performance.now() - told).toBeLessThan(DELAY_MS);
    const visited = visit();
    // It is time to close connections when it goes on.
    await until('its time is over', () => performance.now() - told > DELAY_MS + 100);
    server.process.kill('SIGCONT');
    expect([name, await visited]).toEqual([name, [true, 'close']]);
    leave();
    expect([name, await exited]).toEqual([name, { code: 0, signal: null }]);
  });
  await Promise.all(stopping);
});
