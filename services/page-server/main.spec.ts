import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { freePort } from '../local-infra/ports.ts';
import { startProcess } from '../local-infra/process.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('close', () => socket.destroy()).unref();
  });

test('a page server is not ready before it accepts connections', async () => {
  const [port, healthPort, nowhere] = [await freePort(), await freePort(), await freePort()];
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
      TC_TOKEN_URL: `http://127.0.0.1:${nowhere}/token`,
      TC_JWKS_URL: `http://127.0.0.1:${nowhere}/jwks`,
      TC_JWT_ISSUER: 'nobody',
      TC_JWT_AUDIENCE: 'nobody',
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
  }
});
