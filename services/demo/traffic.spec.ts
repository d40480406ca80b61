import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Issuer } from '../issuer/issuer.ts';
import type { Ports } from './addresses.ts';
import { startTraffic } from './traffic.ts';

const visited = new Set<string>();
const whole = Promise.withResolvers<void>();
const EVERY_PAGE = ['gigs', 'search', 'users', 'v1'];
const server = createServer((req, res) => {
  visited.add(req.url!.split(/[/?]/)[1]!);
  if (EVERY_PAGE.every((page) => visited.has(page))) whole.resolve();
  res.setHeader('content-type', 'application/json').end('{"clients":[]}');
});
beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
afterAll(() => new Promise((resolve) => server.close(resolve)));

test('visitors come to every page, and sellers to the source of truth', async () => {
  const { port } = server.address() as AddressInfo;
  const ports = { gig: port, user: port, search: port, 'top-clients': port } as unknown as Ports;
  const stop = startTraffic(ports, 1_000, {} as Issuer);
  await whole.promise;
  await stop();
  expect([...visited].sort()).toEqual(EVERY_PAGE);
});
