import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openViewers, type Viewers } from './events.ts';

let state: Record<string, string>;
let viewers: Viewers;
let server: Server;
beforeEach(async () => {
  state = { a: 'one', b: 'two' };
  viewers = openViewers(() => state);
  server = createServer((_req, res) => {
    if (!viewers.add(res)) res.writeHead(429).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  viewers.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** The messages of a stream, one after the other, as a browser would parse them. */
function view(): { status: Promise<number>; next: () => Promise<Record<string, string>>; leave: () => void } {
  const messages: string[] = [];
  let wake = () => {};
  const status = Promise.withResolvers<number>();
  const request = get({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' }, (res) => {
    status.resolve(res.statusCode!);
    let text = '';
    res.setEncoding('utf8').on('data', (chunk: string) => {
      const parts = (text + chunk).split('\n\n');
      text = parts.pop()!;
      messages.push(...parts.filter((part) => part.startsWith('data: ')).map((part) => part.slice(6)));
      wake();
    });
    res.on('error', () => {});
  }).on('error', () => {});
  return {
    status: status.promise,
    async next() {
      while (messages.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return JSON.parse(messages.shift()!) as Record<string, string>;
    },
    leave: () => request.destroy(),
  };
}

test('who comes gets everything, then only what changes', async () => {
  const viewer = view();
  expect(await viewer.next()).toEqual({ a: 'one', b: 'two' });
  viewers.tell({ a: 'one', b: 'two' });
  expect(await viewer.next()).toEqual({ a: 'one', b: 'two' });
  viewers.tell({ a: 'one', b: 'two' });
  viewers.tell({ a: 'one', b: 'line\nbreak' });
  expect(await viewer.next()).toEqual({ b: 'line\nbreak' });
});

test('who leaves is forgotten', async () => {
  const viewer = view();
  await viewer.next();
  expect(viewers.count).toBe(1);
  viewer.leave();
  while (viewers.count > 0) await new Promise((resolve) => setTimeout(resolve, 5));
});

test('there are at most twenty viewers', async () => {
  const statuses = await Promise.all(Array.from({ length: 21 }, () => view().status));
  expect(statuses.filter((status) => status === 429)).toHaveLength(1);
});
