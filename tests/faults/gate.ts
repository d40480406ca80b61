/**
 * A proxy between a role and one of its dependencies: it passes, delays, cuts or swallows the traffic, or stops it at
 * an exact message. It parses PostgreSQL's and Kafka's messages. So a role can be stopped "after the commit, before the
 * answer" without code for tests in the role.
 */
import { connect, createServer, type Socket } from 'node:net';
import { resetConnection } from '#platform/sockets.ts';
import { type Frame, FrameReader, type Protocol } from './frames.ts';

/** Where to stop: before the matching message reaches the server, or after the server has answered it. */
export interface Stop {
  readonly at: RegExp;
  readonly when: 'before' | 'after';
}

/** Where a gate leads. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface Gate {
  readonly port: number;
  /** Of connections from now on; those that are open stay where they are. */
  target: Target;
  /** Connections that came so far, refused ones included. */
  readonly accepted: number;
  /** Every chunk, in both directions, is delayed by so many ms. */
  delayMs: number;
  /** Nothing passes, and there is no error: as behind a firewall that drops packets. */
  silent: boolean;
  /** Resets open connections; refuses new ones until `open()`. */
  cut(): void;
  open(): void;
  /** Stops the next connection that sends the message. Only one stop at a time; arming again replaces it. */
  arm(stop: Stop): Armed;
  close(): Promise<void>;
}

export interface Armed {
  /** Resolves when a connection is stopped. */
  readonly reached: Promise<void>;
  /** Lets the stopped connection go on, or resets it; removes a stop that was not reached. */
  release(how: 'go on' | 'reset'): void;
}

interface Waiting extends Stop {
  connection: Connection | null;
  readonly reach: () => void;
}

/** @param target a port of this machine, or where else the gate leads */
export async function openGate(protocol: Protocol, port: number, target: number | Target): Promise<Gate> {
  const connections = new Set<Connection>();
  let accepted = 0;
  let isCut = false;
  let armed: Waiting | null = null;
  const server = createServer({ noDelay: true, pauseOnConnect: true }, (near) => {
    accepted += 1;
    if (isCut) return resetConnection(near);
    const connection = new Connection(protocol, near, gate, (frame, when) => {
      if (armed === null || armed.connection !== null || armed.when !== when || !armed.at.test(frame.label)) {
        return null;
      }
      armed.connection = connection;
      return armed.reach;
    });
    connections.add(connection);
    connection.whenOver(() => connections.delete(connection));
  });
  const gate: Gate = {
    port,
    target: typeof target === 'number' ? { host: '127.0.0.1', port: target } : target,
    get accepted() {
      return accepted;
    },
    delayMs: 0,
    silent: false,
    cut() {
      isCut = true;
      for (const connection of connections) connection.reset();
    },
    open() {
      isCut = false;
      // Data that waited in silence belongs to connections that cannot be saved.
      for (const connection of connections) connection.pump();
    },
    arm(stop) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const mine: Waiting = { ...stop, connection: null, reach: resolve };
      armed = mine;
      return {
        reached: promise,
        release(how) {
          if (armed === mine) armed = null;
          if (how === 'reset') mine.connection?.reset();
          else mine.connection?.goOn();
        },
      };
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const connection of connections) connection.reset();
      }),
  };
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', () => resolve());
  });
  return gate;
}

/** Tells whether to stop at this message, by returning the function to call once it is stopped. */
type Meets = (frame: Frame, when: Stop['when']) => (() => void) | null;

/** When one direction has more waiting bytes than this, its sender is paused. */
const MOST_HELD = 4 * 1024 * 1024;

class Connection {
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #up: Lane;
  readonly #down: Lane;
  /** Queries that PostgreSQL has not answered completely. */
  #open = 0;
  /** PostgreSQL: answers left until the stop is reached. Kafka: the correlation id of the answer to stop at. */
  #awaited: { count: number; correlation: number | undefined; reach: () => void } | null = null;

  constructor(
    protocol: Protocol,
    near: Socket,
    gate: Pick<Gate, 'target' | 'delayMs' | 'silent'>,
    meets: Meets,
  ) {
    this.#near = near;
    this.#far = connect({ ...gate.target, noDelay: true });
    this.#up = new Lane(near, this.#far, gate);
    this.#down = new Lane(this.#far, near, gate);
    const requests = new FrameReader(protocol, 'client');
    const answers = new FrameReader(protocol, 'server');
    near.on('data', (chunk) => {
      for (const frame of requests.read(chunk)) this.#request(frame, meets);
    });
    this.#far.on('data', (chunk) => {
      for (const frame of answers.read(chunk)) this.#answer(frame);
    });
    near.resume();
    // The end of one side ends the other; after an error by a reset, which nobody takes for an answer.
    near.once('end', () => this.#up.end());
    this.#far.once('end', () => this.#down.end());
    for (const socket of [near, this.#far]) socket.once('error', () => this.reset());
    // Even while data is held back: the role is gone, and its server must learn of it.
    near.once('close', () => this.#far.destroy());
    this.#far.once('close', () => {
      if (!this.#down.isWaiting) near.destroy();
    });
  }

  /** Calls back once both sides are closed. */
  whenOver(forget: () => void): void {
    let closed = 0;
    for (const socket of [this.#near, this.#far]) {
      socket.once('close', () => {
        closed += 1;
        if (closed === 2) forget();
      });
    }
  }

  pump(): void {
    this.#up.pump();
    this.#down.pump();
  }

  goOn(): void {
    this.#awaited = null;
    this.#up.held = false;
    this.#down.held = false;
    this.pump();
  }

  reset(): void {
    resetConnection(this.#near);
    resetConnection(this.#far);
  }

  #request(frame: Frame, meets: Meets): void {
    const stopped = meets(frame, 'before');
    if (stopped) {
      this.#up.held = true;
      stopped();
    }
    const reach = meets(frame, 'after');
    if (reach) this.#awaited = { count: this.#open + 1, correlation: frame.correlation, reach };
    if (frame.label === 'S' || frame.label.startsWith('Q ')) this.#open += 1;
    this.#up.push(frame.bytes);
  }

  #answer(frame: Frame): void {
    const awaited = this.#awaited;
    if (awaited && awaited.correlation === undefined) {
      // Already before the awaited answer: an answer to an earlier query would let the role continue with the next.
      this.#down.held = true;
      if (frame.label === 'Z' && --awaited.count === 0) awaited.reach();
    } else if (awaited && awaited.correlation === frame.correlation) {
      this.#down.held = true;
      awaited.reach();
    }
    if (frame.label === 'Z') this.#open = Math.max(0, this.#open - 1);
    this.#down.push(frame.bytes);
  }
}

/** One direction: bytes in order, each delayed by its time. */
class Lane {
  held = false;
  readonly #waiting: Array<{ readonly at: number; readonly bytes: Buffer }> = [];
  #size = 0;
  #ending = false;
  #timer: NodeJS.Timeout | undefined;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #gate: Pick<Gate, 'delayMs' | 'silent'>;

  constructor(from: Socket, to: Socket, gate: Pick<Gate, 'delayMs' | 'silent'>) {
    this.#from = from;
    this.#to = to;
    this.#gate = gate;
    to.once('close', () => {
      clearTimeout(this.#timer);
      this.#waiting.length = 0;
    });
    to.on('drain', () => from.resume());
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0 || this.held;
  }

  push(bytes: Buffer): void {
    this.#waiting.push({ at: performance.now() + this.#gate.delayMs, bytes });
    this.#size += bytes.length;
    if (this.#size > MOST_HELD) this.#from.pause();
    this.pump();
  }

  end(): void {
    this.#ending = true;
    this.pump();
  }

  pump(): void {
    clearTimeout(this.#timer);
    while (!this.held && !this.#gate.silent && this.#waiting.length > 0) {
      const wait = this.#waiting[0]!.at - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.pump(), wait);
        return;
      }
      const { bytes } = this.#waiting.shift()!;
      this.#size -= bytes.length;
      if (this.#to.destroyed) continue;
      if (!this.#to.write(bytes)) this.#from.pause();
      else if (this.#size <= MOST_HELD) this.#from.resume();
    }
    if (this.#ending && this.#waiting.length === 0 && !this.held && !this.#gate.silent) this.#to.end();
  }
}
