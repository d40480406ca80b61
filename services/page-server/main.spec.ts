import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { startIssuer } from '../local-stack/issuer.ts';
import { freePort } from '../local-stack/ports.ts';
import { startProcess } from '../local-stack/process.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('close', () => socket.destroy()).unref();
  });

test('a page server is not ready before it accepts connections', async () => {
  const [port, healthPort, nowhere] = [await freePort(), await freePort(), await freePort()];
  const issuer = await startIssuer();
  const whenReady = Promise.withResolvers<boolean>();
  const server = await startProcess({
    name: 'self-view',
    command: process.execPath,
    args: [MAIN, 'page-server'],
    env: {
      NODE_OPTIONS: undefined,
      TC_PAGE: 'self-view',
      TC_PORT: String(port),
      TC_HEALTH_PORT: String(healthPort),
      TC_DATABASE_URL: `postgresql://nobody@127.0.0.1:${nowhere}/nothing`,
      TC_SOURCE_URL: `http://127.0.0.1:${nowhere}`,
      TC_TOKEN_URL: issuer.tokenUrl,
      TC_JWKS_URL: issuer.jwksUrl,
      TC_JWT_ISSUER: issuer.issuer,
      TC_JWT_AUDIENCE: issuer.audience,
    },
    logFile: join(tmpdir(), `page-server-ready-${process.pid}.log`),
    async ready(_, aborted) {
      for (; !aborted.aborted; await delay(1)) {
        const isReady = await fetch(`http://127.0.0.1:${healthPort}/readyz`).then(
          (answer) => answer.ok,
          () => false,
        );
        if (isReady) return whenReady.resolve(await accepts(port));
      }
    },
  });
  try {
    expect(await whenReady.promise).toBe(true);
  } finally {
    await server.stop();
    await issuer.close();
  }
});

test.each([
  ['where sellers find it', { TC_SELF_VIEW_URL: undefined }, 'needs TC_SELF_VIEW_URL, the https address'],
  ['https there', { TC_SELF_VIEW_URL: 'http://my.example.com' }, 'TC_SELF_VIEW_URL is http:'],
  [
    'the keys and their issuer',
    { TC_JWKS_URL: undefined, TC_JWT_ISSUER: undefined },
    /needs TC_JWKS_URL.*TC_JWT_ISSUER/,
  ],
])('a self-view without %s ends its start with what to set', async (_, env, told) => {
  const given = {
    TC_PAGE: 'self-view',
    TC_PORT: '0',
    TC_HEALTH_PORT: '0',
    TC_DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/nothing',
    TC_SOURCE_URL: 'http://127.0.0.1:1',
    TC_SELF_VIEW_URL: 'https://my.example.com',
    TC_JWKS_URL: 'http://127.0.0.1:1/keys',
    TC_JWT_ISSUER: 'i',
    TC_JWT_AUDIENCE: 'a',
    ...env,
  };
  const ended = await new Promise<{ code: unknown; output: string }>((resolve) => {
    execFile(process.execPath, [MAIN, 'page-server'], { env: given }, (err, stdout, stderr) =>
      resolve({ code: err?.code, output: stdout + stderr }),
    );
  });
  expect(ended.code).toBe(1);
  if (typeof told === 'string') expect(ended.output).toContain(told);
  else expect(ended.output).toMatch(told);
});
