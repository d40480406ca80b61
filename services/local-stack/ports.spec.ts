import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from '@jest/globals';
import { freePort, isPortFree, PortTaken, withFreePort } from './ports.ts';

async function listening(port = 0) {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

test('a free port can be listened on, and the same one is never given twice', async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, () => freePort()));
  expect(new Set(ports).size).toBe(50);
  const server = await listening(ports[0]);
  expect(await isPortFree(server.port)).toBe(false);
  server.close();
});

test('a port that is taken between the choice and the listening is replaced by another one', async () => {
  const tried: number[] = [];
  const got = await withFreePort(0, async (port) => {
    tried.push(port);
    if (tried.length < 3) throw new PortTaken('taken');
    return port;
  });
  expect(got).toBe(tried[2]);
  expect(new Set(tried).size).toBe(3);
});

test('a wanted port that is in use is refused by its number, and no other one is tried', async () => {
  const server = await listening();
  const tried: number[] = [];
  const start = async (port: number) => tried.push(port);
  await expect(withFreePort(server.port, start)).rejects.toThrow(
    `port ${server.port} on 127.0.0.1 is in use`,
  );
  expect(tried).toEqual([]);
  server.close();
});

test('a failure that is no taken port is not tried again', async () => {
  let tries = 0;
  const start = async () => {
    tries += 1;
    throw new Error('broken');
  };
  await expect(withFreePort(undefined, start)).rejects.toThrow('broken');
  expect(tries).toBe(1);
});
