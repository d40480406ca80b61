import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { freePort } from '../../services/local-stack/ports.ts';
import { until } from '../../services/local-stack/until.ts';
import { type Gate, openGate } from './gate.ts';

/** Speaks Kafka's framing: answers each request with its correlation and nothing else. */
let server: Server;
let served: number[];
let gate: Gate;
const sockets: Socket[] = [];

beforeEach(async () => {
  served = [];
  const port = await freePort();
  server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      for (let at = 0; at < bytes.length; at += 4 + bytes.readInt32BE(at)) {
        const correlation = bytes.readInt32BE(at + 8);
        served.push(correlation);
        const answer = Buffer.alloc(8);
        answer.writeInt32BE(4, 0);
        answer.writeInt32BE(correlation, 4);
        socket.write(answer);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  gate = await openGate('kafka', await freePort(), port);
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await gate.close();
  await new Promise((resolve) => server.close(resolve));
});

function client() {
  const socket = dial({ port: gate.port, host: '127.0.0.1' });
  sockets.push(socket);
  const answers: number[] = [];
  const state = { answers, closed: false };
  socket.on('error', () => {});
  socket.on('close', () => {
    state.closed = true;
  });
  socket.on('data', (bytes) => {
    for (let at = 0; at < bytes.length; at += 8) answers.push(bytes.readInt32BE(at + 4));
  });
  const send = (api: number, correlation: number) => {
    const request = Buffer.alloc(12);
    request.writeInt32BE(8, 0);
    request.writeInt16BE(api, 4);
    request.writeInt32BE(correlation, 8);
    socket.write(request);
  };
  return Object.assign(state, { send, end: () => socket.destroy() });
}

const PRODUCE = 0;
const FETCH = 1;

test('what is not stopped passes', async () => {
  const one = client();
  one.send(PRODUCE, 7);
  await until('it is answered', () => one.answers.join() === '7');
});

test('stopped before: the server never sees the message of a client that dies', async () => {
  const armed = gate.arm({ at: /^produce$/, when: 'before' });
  const one = client();
  one.send(FETCH, 1);
  one.send(PRODUCE, 2);
  await armed.reached;
  await until('the one before is answered', () => one.answers.join() === '1');
  one.end();
  const other = client();
  other.send(FETCH, 3);
  await until('another goes on', () => other.answers.join() === '3');
  expect(served).toEqual([1, 3]);
});

test('stopped after: the server has done it, the client does not know', async () => {
  const armed = gate.arm({ at: /^produce$/, when: 'after' });
  const one = client();
  one.send(FETCH, 1);
  one.send(PRODUCE, 2);
  await armed.reached;
  expect(served).toEqual([1, 2]);
  await until('the one before is answered', () => one.answers.join() === '1');
  armed.release('go on');
  await until('it learns of it', () => one.answers.join() === '1,2');
});

test('a stop is for one connection; a release without it takes it away', async () => {
  const armed = gate.arm({ at: /^produce$/, when: 'before' });
  armed.release('go on');
  const one = client();
  one.send(PRODUCE, 1);
  await until('it passes', () => one.answers.join() === '1');
});

test('cut resets what is open and refuses what is new, until it is opened', async () => {
  const one = client();
  one.send(FETCH, 1);
  await until('it is answered', () => one.answers.length === 1);
  gate.cut();
  await until('it is reset', () => one.closed);
  const refused = client();
  await until('the next is refused', () => refused.closed);
  gate.open();
  const other = client();
  other.send(FETCH, 2);
  await until('it passes again', () => other.answers.join() === '2');
});

test('silence holds everything and tells nobody', async () => {
  gate.silent = true;
  const one = client();
  one.send(FETCH, 1);
  await until('it has come in', () => !one.closed);
  expect(served).toEqual([]);
  gate.silent = false;
  gate.open();
  await until('it goes on', () => one.answers.join() === '1');
});

test('a delay holds each piece back, in order', async () => {
  gate.delayMs = 60;
  const one = client();
  const sentAt = performance.now();
  one.send(FETCH, 1);
  one.send(FETCH, 2);
  await until('both are answered', () => one.answers.join() === '1,2');
  expect(performance.now() - sentAt).toBeGreaterThanOrEqual(115);
});
