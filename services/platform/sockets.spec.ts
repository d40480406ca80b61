import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { resetConnection } from './sockets.ts';

/** As the peer, which keeps its side open, sees it. */
let accepted: Promise<Socket>;
let socket: Socket;
let stop: () => Promise<unknown>;

beforeEach(async () => {
  const server = createServer({ allowHalfOpen: true });
  accepted = once(server, 'connection').then(([peer]) => peer as Socket);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  stop = async () => {
    (await accepted).destroy();
    const closed = once(server, 'close');
    server.close();
    await closed;
  };
});
afterEach(async () => {
  await stop();
});

test('the peer is told of a reset', async () => {
  const peer = await accepted;
  const told = once(peer, 'error').catch((err) => [err]);
  peer.resume();
  resetConnection(socket);
  expect((await told)[0]).toMatchObject({ code: 'ECONNRESET' });
});

test.each([
  ['that is about to say its end', async () => {}],
  ['that has said its end', () => once(socket, 'finish')],
])('a socket %s is closed for good', async (_which, asFarAs) => {
  const peer = await accepted;
  const over = Promise.race([once(peer, 'end'), once(peer, 'error').catch(() => {})]);
  peer.resume();
  const failed: unknown[] = [];
  socket.on('error', (err) => failed.push(err)).end('the last words');
  await asFarAs();
  resetConnection(socket);
  await over;
  expect(socket.closed).toBe(true);
  expect(failed).toEqual([]);
});
