import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { openMetrics } from '#role/metrics.ts';
import { openHttpServer, type ServerLimits, type ServerOptions, USUAL_LIMITS } from './http-server.ts';
import { drain, listen } from './listen.ts';
import { silentLog } from './log.ts';
import { bodyOf, MOST_BODY_BYTES } from './request-body.ts';

const open: Array<{ close(): unknown }> = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

interface Bench {
  readonly server: Server;
  readonly port: number;
  /** Requests that reached the handler and were not answered. */
  readonly served: Array<[IncomingMessage, ServerResponse]>;
  /** Why connections were ended, and how many. */
  ended(): Promise<Record<string, number>>;
}

/** Answers `/` at once, `/big?<bytes>` with so many, and leaves every other request to the test. */
async function serve(limits: Partial<ServerLimits> = {}, more: Partial<ServerOptions> = {}): Promise<Bench> {
  const metrics = openMetrics({ processMetrics: false });
  const served: Array<[IncomingMessage, ServerResponse]> = [];
  const server = openHttpServer(
    (req, res) => {
      if (req.url === '/') res.end('hello');
      else if (req.url!.startsWith('/big?')) res.end(Buffer.alloc(Number(req.url!.slice(5))));
      else if (req.url === '/echo') res.end(String((bodyOf(req) as Buffer).length));
      else served.push([req, res]);
    },
    { port: 'http', limits: { ...USUAL_LIMITS, ...limits }, metrics, log: silentLog, ...more },
  );
  const port = await listen(server, 0, '::');
  open.push({
    close: () => {
      server.closeAllConnections();
      return drain(server);
    },
  });
  const ended = metrics.registry.getSingleMetric('topclients_http_connections_ended_total')!;
  return {
    server,
    port,
    served,
    ended: async () =>
      Object.fromEntries(
        (await ended.get()).values
          .filter(({ value }) => value > 0)
          .map((one) => [one.labels['why'], one.value]),
      ),
  };
}

interface Caller {
  readonly socket: Socket;
  /** All that came, until now. */
  readonly text: () => string;
  /** Resolves when the server has closed. */
  readonly closed: Promise<unknown>;
  get(path: string): void;
}

async function call(port: number, from = '127.0.0.1'): Promise<Caller> {
  const socket = connect({ port, host: from.includes(':') ? '::1' : '127.0.0.1', localAddress: from });
  let text = '';
  socket.on('data', (piece) => {
    text += piece.toString('latin1');
  });
  socket.on('error', () => {});
  open.push({ close: () => socket.destroy() });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await once(socket, 'connect');
  return {
    socket,
    text: () => text,
    closed,
    get: (path) => socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`),
  };
}

async function until(what: () => unknown): Promise<void> {
  const end = performance.now() + 15_000;
  while (!(await what())) {
    if (performance.now() > end) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('a request that does not come', () => {
  test.each([
    ['nothing', '', ''],
    ['half of its headers', 'GET / HTTP/1.1\r\nHost:', '400 Bad Request'],
    ['half of its body', 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na', '400 Bad Request'],
    ['half of a chunk', 'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na', '400'],
  ])('in full, but %s, is waited for as long as the limit says', async (_, sent, answer) => {
    const { port, served, ended } = await serve({ requestTimeoutMs: 300 });
    const caller = await call(port);
    const began = performance.now();
    if (sent !== '') caller.socket.write(sent);
    await caller.closed;
    expect(performance.now() - began).toBeLessThan(2_500);
    expect(caller.text()).toContain(answer);
    expect(served).toEqual([]);
    expect(await ended()).toEqual(sent === '' ? { silent: 1 } : { late: 1 });
  });

  test('is not in flight: others are served', async () => {
    const { port } = await serve({ requestsInFlight: 1 });
    for (let i = 0; i < 5; i += 1) {
      const { socket } = await call(port);
      socket.write('POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na');
    }
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
  });

  test('a client that never closes its side is not waited for', async () => {
    const { port, server } = await serve({ requestTimeoutMs: 300 });
    const caller = await call(port);
    caller.socket.pause();
    caller.socket.write('no HTTP\r\n\r\n');
    await until(() => new Promise((resolve) => server.getConnections((_, count) => resolve(count === 0))));
  });
});

describe('a body', () => {
  test('is there when the request is handled, however it came', async () => {
    const { port } = await serve();
    const caller = await call(port);
    const pieces = '1\r\na\r\n'.repeat(3_000);
    caller.socket.write(
      `POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${pieces}0\r\n\r\n`,
    );
    await until(() => caller.text().includes('3000'));
  });

  test.each([
    ['of a length', (body: string) => `Content-Length: ${body.length}\r\n\r\n${body}`],
    [
      'in chunks',
      (body: string) =>
        `Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
    ],
  ])('that is too large, %s, is told so and not kept', async (_, sent) => {
    const { port, served } = await serve();
    const caller = await call(port);
    caller.socket.write(`POST /kept HTTP/1.1\r\nHost: x\r\n${sent('x'.repeat(MOST_BODY_BYTES + 1))}`);
    await until(() => served.length === 1);
    const [req, res] = served[0]!;
    expect(bodyOf(req)).toBe('too large');
    res.end('no');
    await until(() => caller.text().endsWith('no'));
  });
});

describe('a client', () => {
  test('has a share of the requests, and the others theirs', async () => {
    const { port, served } = await serve({ requestsPerClient: 2, requestsInFlight: 3 });
    const [one, two, three] = [await call(port), await call(port), await call(port)];
    one.get('/kept');
    two.get('/kept');
    await until(() => served.length === 2);
    three.get('/kept');
    await until(() => three.text().includes('429 Too Many Requests'));
    expect(three.text()).toContain('2 requests of this address are being served');
    const [other, last] = [await call(port, '127.0.0.2'), await call(port, '127.0.0.3')];
    other.get('/kept');
    await until(() => served.length === 3);
    last.get('/kept');
    await until(() => last.text().includes('503 Service Unavailable'));
    served[0]![1].end('done');
    await until(() => one.text().endsWith('done'));
    last.get('/');
    await until(() => last.text().endsWith('hello'));
  });

  test('that leaves gives its requests back', async () => {
    const { port, served } = await serve({ requestsInFlight: 1 });
    const caller = await call(port);
    caller.get('/kept');
    await until(() => served.length === 1);
    caller.socket.destroy();
    await once(served[0]![1], 'close');
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
  });

  test('beyond its share of connections loses the one that asked for nothing for longest', async () => {
    const { port, served, ended } = await serve({ connectionsPerClient: 2 });
    const [busy, idle] = [await call(port), await call(port)];
    busy.get('/kept');
    await until(() => served.length === 1);
    const third = await call(port, '127.0.0.1');
    await idle.closed;
    third.get('/kept');
    await until(() => served.length === 2);
    const fourth = await call(port);
    await fourth.closed;
    expect(fourth.text()).toContain('503 Service Unavailable');
    const other = await call(port, '::1');
    other.get('/');
    await until(() => other.text().endsWith('hello'));
    expect(await ended()).toEqual({ crowded: 1, refused: 1 });
  });

  test('behind a proxy is told apart from its neighbours, who share its connections', async () => {
    const { port, served } = await serve(
      { connectionsPerClient: 1, requestsPerClient: 1 },
      {
        isProxy: (address) => address === '127.0.0.1',
        addressOf: (req) => String(req.headers['x-forwarded-for']),
      },
    );
    const from = async (address: string) => {
      const caller = await call(port);
      caller.socket.write(`GET /kept HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: ${address}\r\n\r\n`);
      return caller;
    };
    await from('192.0.2.1');
    await from('192.0.2.2');
    await until(() => served.length === 2);
    const again = await from('192.0.2.1');
    await until(() => again.text().includes('429'));
  });

  test('when there is no place for anybody makes room by what is idle, whosever it is', async () => {
    const { port, ended } = await serve({ connections: 2 });
    const [one, two] = [await call(port, '127.0.0.2'), await call(port, '127.0.0.3')];
    const three = await call(port);
    await one.closed;
    for (const caller of [two, three]) caller.get('/');
    await until(() => two.text().endsWith('hello') && three.text().endsWith('hello'));
    expect(await ended()).toEqual({ crowded: 1 });
  });
});

describe('requests sent ahead', () => {
  test('are handled one after the other, and answered in order', async () => {
    const { port, served } = await serve();
    const caller = await call(port);
    caller.socket.write('GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => served.length === 1);
    caller.get('/');
    served[0]![1].end('first');
    await until(() => served.length === 2);
    served[1]![1].end('second');
    await until(() => /first.*second.*hello/s.test(caller.text()));
  });

  test('without end, end the connection', async () => {
    const { port, served, ended } = await serve();
    const caller = await call(port);
    caller.socket.write('GET /kept HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(200));
    await caller.closed;
    expect(served).toHaveLength(1);
    expect(await ended()).toEqual({ pipelined: 1 });
  });
});

describe('an answer that is not taken', () => {
  // More than the kernel holds of a connection that nobody reads.
  const BIG = 8 * 1024 * 1024;

  test('ends its connection, and so does one that is taken by the byte; one that is idle stays', async () => {
    const { port, ended } = await serve({ answerTimeoutMs: 1_000, unsentBytes: 3 * BIG });
    const [idle, stalled, trickling] = [await call(port), await call(port), await call(port)];
    idle.get('/');
    await until(() => idle.text().endsWith('hello'));
    for (const { socket } of [stalled, trickling]) socket.pause();
    for (const { get } of [stalled, trickling]) get(`/big?${BIG}`);
    trickling.socket.removeAllListeners('data');
    const sips = setInterval(() => trickling.socket.read(1), 50);
    await until(async () => (await ended())['stalled'] === 2);
    clearInterval(sips);
    stalled.socket.resume();
    await stalled.closed;
    expect(stalled.socket.bytesRead).toBeLessThan(BIG);
    idle.get('/');
    await until(() => idle.text().split('hello').length === 3);
  });

  test('costs the client that leaves most of it its oldest ones, nobody else', async () => {
    const { server, port, ended } = await serve({ unsentBytes: 3.5 * BIG });
    const neverReading = async (from?: string) => {
      const caller = await call(port, from);
      caller.socket.pause();
      caller.get(`/big?${BIG}`);
      await once(server, 'request');
      return caller;
    };
    const modest = await neverReading('127.0.0.2');
    const greedy = [];
    for (let i = 0; i < 6; i += 1) greedy.push(await neverReading());
    await until(async () => (await ended())['memory'] === 4);
    modest.socket.resume();
    await until(() => modest.socket.bytesRead > BIG);
    for (const caller of greedy) caller.socket.resume();
    await Promise.all(greedy.slice(0, 4).map(({ closed }) => closed));
    for (const caller of greedy.slice(4)) await until(() => caller.socket.bytesRead > BIG);
  });
});

describe('where it listens', () => {
  test('is IPv6 and IPv4 by default', async () => {
    const { port } = await serve();
    for (const host of ['127.0.0.1', '[::1]']) {
      expect(await (await fetch(`http://${host}:${port}/`)).text()).toBe('hello');
    }
  });

  test('is IPv4 alone, and said, where the kernel has no IPv6', async () => {
    const { server } = await serve();
    await drain(server);
    // What a kernel started with ipv6.disable=1 answers.
    const bind = server.listen.bind(server);
    server.listen = ((where: { host: string }, then: () => void) => {
      if (where.host !== '::') return bind(where, then);
      const err = Object.assign(new Error('listen EAFNOSUPPORT: address family not supported'), {
        code: 'EAFNOSUPPORT',
      });
      process.nextTick(() => server.emit('error', err));
      return server;
    }) as never;
    const said: unknown[] = [];
    const log = { ...silentLog, warn: (...line: unknown[]) => said.push(line) } as never;
    const port = await listen(server, 0, '::', log);
    expect((server.address() as AddressInfo).address).toBe('0.0.0.0');
    expect(said).toEqual([[{ port: 0, code: 'EAFNOSUPPORT' }, expect.stringContaining('no IPv6')]]);
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
    await drain(server);
    await expect(listen(server, 0, 'fd00::1')).rejects.toThrow('cannot listen on [fd00::1]:0');
  });
});

test('a request that was sent ahead is not one too many beside the one before it', async () => {
  const { port } = await serve({ requestsPerClient: 1, requestsInFlight: 1 });
  const socket = connect(port, '127.0.0.1');
  open.push({ close: () => socket.destroy() });
  let told = '';
  socket.on('data', (piece) => {
    told += piece;
  });
  const one = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';
  socket.write(one + one);
  while (told.split('HTTP/1.1 ').length < 3 || !told.endsWith('hello')) {
    expect(told).not.toMatch(/429|503/);
    await once(socket, 'data');
  }
});

test('a damaged request that was sent ahead is not answered in place of the one that is served', async () => {
  const { port, served } = await serve();
  const socket = connect(port, '127.0.0.1');
  open.push({ close: () => socket.destroy() });
  let told = '';
  socket.on('data', (piece) => {
    told += piece;
  });
  socket.write('POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n1no request\r\n\r\n');
  await once(socket, 'close');
  expect(served).toHaveLength(1);
  expect(told).toBe('');
});

test('bodies that were sent ahead are bounded by the bytes of one', async () => {
  const { port, ended } = await serve();
  const socket = connect(port, '127.0.0.1');
  open.push({ close: () => socket.destroy() });
  socket.on('error', () => {});
  const half = MOST_BODY_BYTES / 2;
  const one = `POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: ${half}\r\n\r\n${'a'.repeat(half)}`;
  socket.write(one.repeat(4));
  await once(socket, 'close');
  expect(await ended()).toEqual({ pipelined: 1 });
});
