/**
 * The edge of all our servers. It bounds what clients may hold of a process, however slow, greedy or many they are. A
 * handler sees only complete requests, one at a time per connection, and finds their bodies by `bodyOf`.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Counter, Gauge } from 'prom-client';
import { z } from 'zod';
import { PROBLEM_MEDIA_TYPE, PROBLEMS, type ProblemType, problem } from '#contracts/problems.ts';
import { clientAt, plainAddress } from './client-address.ts';
import { type Config, integer, milliseconds, setting } from './config.ts';
import { ANY_ADDRESS } from './listen.ts';
import type { Log } from './log.ts';
import { bodyOf, MOST_BODY_BYTES, whenComplete } from './request-body.ts';
import { resetConnection } from './sockets.ts';

// An import reads all that the module exports. That loads Node's client of WebSockets, 0.1 s and 13 MB of every start.
const { createServer, STATUS_CODES } = process.getBuiltinModule('node:http');

/** The settings of a role that serves users' traffic. */
export const SERVER_SETTINGS = {
  host: setting(
    'TC_HOST',
    'address to listen on; :: is every one of this machine, IPv6 and IPv4',
    z.string().min(1).default(ANY_ADDRESS),
  ),
  shutdownDelayMs: setting(
    'TC_SHUTDOWN_DELAY_MS',
    'how long to go on serving after SIGTERM, each connection until its next answer, in ms',
    milliseconds(9_000).default(0),
  ),
  connections: setting(
    'TC_CONNECTIONS',
    'connections at once; a further one takes the place of the one that has asked for nothing for longest',
    integer(1, 100_000).default(1_000),
  ),
  connectionsPerClient: setting(
    'TC_CONNECTIONS_PER_CLIENT',
    'of them, those of one client: an IPv4 address, or an IPv6 network of 64 bits',
    integer(1, 100_000).default(250),
  ),
  requestsInFlight: setting(
    'TC_REQUESTS_IN_FLIGHT',
    'complete requests served at once; a further one is answered 503',
    integer(1, 100_000).default(500),
  ),
  requestsPerClient: setting(
    'TC_REQUESTS_PER_CLIENT',
    'of them, those of one client; a further one is answered 429',
    integer(1, 100_000).default(250),
  ),
  requestTimeoutMs: setting(
    'TC_REQUEST_TIMEOUT_MS',
    'until a request must have arrived in full, in ms; its headers have 5 s of it at most',
    integer(100, 600_000).default(10_000),
  ),
  answerTimeoutMs: setting(
    'TC_ANSWER_TIMEOUT_MS',
    'until a client must have taken what was sent to it, in ms',
    integer(100, 600_000).default(30_000),
  ),
  unsentBytes: setting(
    'TC_UNSENT_BYTES',
    'bytes that clients have not taken yet, of all answers together; a thirtieth of the memory is a good value',
    integer(65_536, 2 ** 32).default(8 * 1024 * 1024),
  ),
} as const;

export type ServerLimits = Omit<Config<typeof SERVER_SETTINGS>, 'host' | 'shutdownDelayMs'>;

/** What holds without a setting. */
export const USUAL_LIMITS = Object.fromEntries(
  Object.entries(SERVER_SETTINGS).map(([name, { schema }]) => [name, schema.parse(undefined)]),
) as unknown as ServerLimits;

/** What a server measures, by the names under which a catalogue has it. */
export interface HttpServerMetrics {
  counter(
    name: 'topclients_http_connections_ended_total' | 'topclients_http_requests_refused_total',
  ): Counter<'port' | 'why'>;
  gauge(name: 'topclients_http_connections' | 'topclients_http_unsent_bytes'): Gauge<'port'>;
}

export type Handler = (req: IncomingMessage, res: ServerResponse) => void;

export interface ServerOptions {
  /** Which port of the process it is, for metrics. */
  readonly port: 'http' | 'health';
  readonly limits: ServerLimits;
  readonly metrics: HttpServerMetrics;
  readonly log: Log;
  /** Whether an address is a proxy's: many clients share its connections, so no client's limit holds for them. */
  readonly isProxy?: (address: string) => boolean;
  /** Where a request comes from, when a proxy has brought it; null for a caller without a limit of its own. */
  readonly addressOf?: (req: IncomingMessage) => string | null;
  /** Answers a request that is one too many; with a problem document unless told otherwise. */
  readonly refuse?: (req: IncomingMessage, res: ServerResponse, type: Refused, detail: string) => void;
}
export type Refused = Extract<ProblemType, 'unavailable' | 'too-many-requests'>;

/**
 * How long a client may keep an idle connection, in ms; each answer's header `Keep-Alive` says so. A client that heeds it
 * never sends on a connection that is about to be closed, also when the server stops: pods wait longer than this.
 */
const ANNOUNCED_KEEP_ALIVE_MS = 5_000;
/** How long an idle connection is kept, in ms: longer than by proxies that do not heed it; some keep theirs for 600 s. */
const LONGEST_KEEP_ALIVE_MS = 620_000;
/** How often deadlines are looked at, in ms. Node would look every 30 s, whatever the deadlines are. */
const LOOK_EVERY_MS = 1_000;
const HEADERS_WITHIN_MS = 5_000;
/** Requests that may wait behind another one of their connection. Few clients send any ahead, and none of ours does. */
const MOST_BEHIND = 16;
/** How long a client has to read why its connection is closed, in ms. */
const LAST_WORD_MS = 1_000;

type Request = readonly [req: IncomingMessage, res: ServerResponse];

interface Client {
  connections: number;
  inFlight: number;
  /** Those of its connections that have no request, the one that has waited longest first. */
  readonly waiting: Set<Connection>;
}

interface Connection {
  readonly socket: Socket;
  readonly client: string;
  /** The latest request whose headers came. */
  latest: ServerResponse | null;
  /** The request that is answered now, and the client whose limits it counts for. */
  serving: ServerResponse | null;
  payer: string;
  /** Complete requests that were sent ahead. */
  readonly behind: Request[];
  /** Bytes that the client has taken, and since when it has taken no more of what waits, by `performance.now()`. */
  taken: number;
  since: number;
}

/** Why the server ends or refuses a connection. Idle connections that time out are not counted. */
const ENDED = {
  silent: 'nothing came',
  late: 'a request did not arrive in time',
  stalled: 'an answer was not taken in time',
  memory: 'too much of all answers was not taken',
  crowded: 'another connection needed the place',
  refused: 'there was no place',
  pipelined: 'too many requests were sent ahead',
} as const;
type Ended = keyof typeof ENDED;

function measures(metrics: HttpServerMetrics, port: ServerOptions['port']) {
  const ended = metrics.counter('topclients_http_connections_ended_total');
  const refused = metrics.counter('topclients_http_requests_refused_total');
  const counted = {
    open: metrics.gauge('topclients_http_connections').labels({ port }),
    unsent: metrics.gauge('topclients_http_unsent_bytes').labels({ port }),
    ended: byName(Object.keys(ENDED) as Ended[], (why) => ended.labels({ port, why })),
    refused: byName(['unavailable', 'too-many-requests'] as const, (why) => refused.labels({ port, why })),
  };
  // A rate needs a series that has begun.
  for (const counter of [...Object.values(counted.ended), ...Object.values(counted.refused)]) counter.inc(0);
  counted.open.set(0);
  counted.unsent.set(0);
  return counted;
}

const bytesOf = (req: IncomingMessage): number => {
  const body = bodyOf(req);
  return body === 'too large' ? 0 : body.length;
};
/** The bodies that wait behind a request may together be as large as one body may be. */
const hasRoom = (behind: readonly Request[], req: IncomingMessage): boolean =>
  behind.reduce((sum, [one]) => sum + bytesOf(one), bytesOf(req)) <= MOST_BODY_BYTES;

const byName = <N extends string, T>(names: readonly N[], make: (name: N) => T): Readonly<Record<N, T>> =>
  Object.fromEntries(names.map((name) => [name, make(name)])) as Record<N, T>;

/** Builds a server; the caller listens and drains. */
export function openHttpServer(handler: Handler, options: ServerOptions): Server {
  const { limits, log, port } = options;
  const measured = measures(options.metrics, port);
  const connections = new Map<Duplex, Connection>();
  const clients = new Map<string, Client>();
  const waiting = new Set<Connection>();
  /** Connections with an answer that was not taken at once. */
  const slow = new Set<Connection>();
  const ended = new Map<Ended, number>();
  let inFlight = 0;

  const server = createServer({
    headersTimeout: Math.min(HEADERS_WITHIN_MS, limits.requestTimeoutMs),
    requestTimeout: limits.requestTimeoutMs,
    connectionsCheckingInterval: LOOK_EVERY_MS,
    keepAliveTimeout: ANNOUNCED_KEEP_ALIVE_MS,
    keepAliveTimeoutBuffer: LONGEST_KEEP_ALIVE_MS - ANNOUNCED_KEEP_ALIVE_MS,
  });

  const clientNamed = (name: string): Client => {
    const known = clients.get(name);
    if (known !== undefined) return known;
    const client: Client = { connections: 0, inFlight: 0, waiting: new Set() };
    clients.set(name, client);
    return client;
  };
  const forget = (name: string, { connections, inFlight }: Client) => {
    if (connections === 0 && inFlight === 0) clients.delete(name);
  };
  const wait = (connection: Connection) => {
    waiting.add(connection);
    clientNamed(connection.client).waiting.add(connection);
  };
  const stopWaiting = (connection: Connection) => {
    waiting.delete(connection);
    clients.get(connection.client)?.waiting.delete(connection);
  };
  const count = (why: Ended) => {
    measured.ended[why].inc();
    ended.set(why, (ended.get(why) ?? 0) + 1);
  };
  const leave = (connection: Connection) => {
    if (!connections.delete(connection.socket)) return;
    measured.open.set(connections.size);
    stopWaiting(connection);
    slow.delete(connection);
    connection.behind.length = 0;
    const client = clientNamed(connection.client);
    client.connections -= 1;
    forget(connection.client, client);
  };
  const end = (connection: Connection, why: Ended) => {
    count(why);
    leave(connection);
    // A reset drops what the kernel still holds for the client, so that half an answer is not taken for a whole one.
    if (connection.socket.writableLength > 0) resetConnection(connection.socket);
    else connection.socket.destroy();
  };

  server.on('connection', (socket: Socket) => {
    const address = plainAddress(socket.remoteAddress ?? '');
    const isProxy = options.isProxy?.(address) ?? false;
    const name = isProxy ? `proxy ${address}` : clientAt(address);
    const client = clientNamed(name);
    const isOver = !isProxy && client.connections >= limits.connectionsPerClient;
    if (isOver || connections.size >= limits.connections) {
      const [longest] = isOver ? client.waiting : waiting;
      if (longest === undefined) {
        count('refused');
        forget(name, client);
        return lastWord(socket, 'unavailable', 'too many connections are in use; try again');
      }
      end(longest, 'crowded');
    }
    const connection: Connection = {
      socket,
      client: name,
      latest: null,
      serving: null,
      payer: name,
      behind: [],
      taken: 0,
      since: performance.now(),
    };
    connections.set(socket, connection);
    clientNamed(name).connections += 1;
    measured.open.set(connections.size);
    wait(connection);
    socket.once('close', () => leave(connection));
  });

  server.on('request', (req: IncomingMessage, res: ServerResponse) => {
    const connection = connections.get(req.socket);
    // The connection was ended; the rest of what it had sent is still being read.
    if (connection === undefined) return;
    connection.latest = res;
    whenComplete(req, () => {
      if (!connections.has(req.socket)) return;
      stopWaiting(connection);
      if (connection.serving === null) serve(connection, [req, res]);
      else if (connection.behind.length < MOST_BEHIND && hasRoom(connection.behind, req))
        connection.behind.push([req, res]);
      else end(connection, 'pipelined');
    });
  });

  function serve(connection: Connection, [req, res]: Request): void {
    connection.serving = res;
    let release = () => {};
    res.once('close', () => {
      // Before the next request of this connection begins, so that the two do not count at the same time.
      release();
      connection.serving = null;
      if (!connections.has(connection.socket)) return;
      const next = connection.behind.shift();
      if (next) serve(connection, next);
      else wait(connection);
    });
    // How much of an answer stays in memory is known once all of it was handed to the connection.
    res.once('prefinish', () => {
      if (connection.socket.writableLength === 0 || !connections.has(connection.socket)) return;
      slow.delete(connection);
      slow.add(connection);
      boundUnsent();
    });

    const from = options.addressOf?.(req);
    const payer = from === undefined ? connection.client : from === null ? null : clientAt(from);
    connection.payer = payer ?? connection.client;
    if (inFlight >= limits.requestsInFlight) {
      refuse(req, res, 'unavailable', 'too many requests are being served; try again');
      return;
    }
    if (payer !== null && clientNamed(payer).inFlight >= limits.requestsPerClient) {
      const most = `${limits.requestsPerClient} requests of this address are being served`;
      refuse(req, res, 'too-many-requests', `${most}; wait for their answers`);
      return;
    }
    hold(1, payer);
    release = () => hold(-1, payer);
    handler(req, res);
  }

  function hold(one: 1 | -1, payer: string | null): void {
    inFlight += one;
    if (payer === null) return;
    const client = clientNamed(payer);
    client.inFlight += one;
    forget(payer, client);
  }

  const refuse: NonNullable<ServerOptions['refuse']> = (req, res, type, detail) => {
    measured.refused[type].inc();
    (options.refuse ?? refuseByProblem)(req, res, type, detail);
  };

  /** While too many bytes in all are not taken, ends the oldest answer of the client that leaves the most. */
  function boundUnsent(): number {
    let total = 0;
    for (const connection of slow) {
      const { writableLength } = connection.socket;
      total += writableLength;
      if (writableLength === 0) slow.delete(connection);
    }
    while (total > limits.unsentBytes) {
      const unsent = new Map<string, number>();
      for (const { payer, socket } of slow) {
        unsent.set(payer, (unsent.get(payer) ?? 0) + socket.writableLength);
      }
      const [greediest] = [...unsent].reduce((one, other) => (other[1] > one[1] ? other : one));
      for (const connection of slow) {
        if (connection.payer !== greediest) continue;
        total -= connection.socket.writableLength;
        end(connection, 'memory');
        break;
      }
    }
    return total;
  }

  const look = () => {
    const now = performance.now();
    for (const connection of connections.values()) {
      const { bytesWritten, writableLength } = connection.socket;
      const taken = bytesWritten - writableLength;
      if (writableLength === 0 || taken > connection.taken) {
        connection.taken = taken;
        connection.since = now;
      } else if (now - connection.since > limits.answerTimeoutMs) end(connection, 'stalled');
    }
    measured.unsent.set(boundUnsent());
    if (ended.size === 0) return;
    log.warn({ port, ended: Object.fromEntries(ended) }, 'ended connections of clients');
    ended.clear();
  };
  // While nobody is connected there is nothing to look at, and a process that is asleep is not woken.
  let looking: NodeJS.Timeout | null = null;
  const rest = () => {
    if (looking !== null) clearInterval(looking);
    looking = null;
  };
  server.on('connection', () => {
    looking ??= setInterval(() => {
      look();
      if (connections.size === 0) rest();
    }, LOOK_EVERY_MS).unref();
  });
  server.once('close', rest);

  server.on('clientError', (err: NodeJS.ErrnoException, socket: Duplex) => {
    const isSilent = connections.get(socket)?.socket.bytesRead === 0;
    if (err.code === LATE) count(isSilent ? 'silent' : 'late');
    const latest = connections.get(socket)?.latest;
    // The error would be taken for the answer to an earlier request, which may have been carried out.
    const isOwed = [connections.get(socket)?.serving, latest].some(
      (res) => res?.req.complete && !res.writableFinished,
    );
    const isAnswered = isOwed || (latest?.headersSent && !latest.req.complete);
    if (err.code === 'ECONNRESET' || !socket.writable || isSilent || isAnswered) return socket.destroy();
    lastWord(socket, 'invalid-request', UNREADABLE[err.code ?? ''] ?? 'the request is not well-formed HTTP');
  });
  return server;
}

const refuseByProblem: NonNullable<ServerOptions['refuse']> = (_req, res, type, detail) => {
  res
    .writeHead(PROBLEMS[type].status, {
      'content-type': PROBLEM_MEDIA_TYPE,
      'cache-control': 'no-store',
      'retry-after': '1',
    })
    .end(JSON.stringify(problem(type, detail)));
};

const LATE = 'ERR_HTTP_REQUEST_TIMEOUT';
const UNREADABLE: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: 'send shorter headers: at most 16 KB in all',
  [LATE]: 'the request did not arrive in time; send it again',
};

/** Sends an error outside of any answer, and closes the connection. */
function lastWord(socket: Duplex, type: ProblemType, detail: string): void {
  const { status } = PROBLEMS[type];
  const body = JSON.stringify(problem(type, detail));
  socket.on('error', () => {});
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: ${PROBLEM_MEDIA_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
      `Connection: close\r\n\r\n${body}`,
  );
  // A client that never closes its side would keep the connection.
  setTimeout(() => socket.destroy(), LAST_WORD_MS).unref();
}
