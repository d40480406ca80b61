import type { Socket } from 'node:net';
import { within } from '../lifecycle.ts';
import { expectShape, type Library } from './kafkajs.ts';

const MODULE = 'kafkajs/src/broker/index.js';
const ERRORS = 'kafkajs/src/errors.js';
const DISCONNECT_MS = 1_000;

interface ConnectingBroker {
  connect(): Promise<void>;
  isConnected(): boolean;
  apiVersions(): Promise<unknown>;
  readonly connectionPool: { readonly pool: readonly Connection[] };
}
interface Errors {
  readonly KafkaJSConnectionError?: new (message: string) => Error;
}
interface Connection {
  readonly socket?: Socket;
  disconnect(): Promise<unknown>;
}

const mended = new WeakSet<object>();

/**
 * Makes kafkajs count a broker as connected once its connect has finished. kafkajs itself does so as soon as the socket is
 * open, before the broker has said which versions it speaks. When that answer came late once, every later request failed
 * with "Broker not connected", and nothing connected again while the socket lived.
 *
 * A socket without that answer is closed, while kafkajs still holds its lock: those who wait to connect find no socket, or a
 * new one. The error is that of a broker that cannot be reached, so that kafkajs asks the next of those it begins with. It
 * would not for one that is silent.
 * @throws UnexpectedShape
 */
export function connectWholly(library: Library): void {
  const broker = library.module(MODULE) as { prototype?: ConnectingBroker };
  const prototype = broker.prototype;
  expectShape(prototype !== undefined, `${MODULE} is no class`);
  if (mended.has(prototype)) return;
  const { connect, isConnected, apiVersions } = prototype;
  expectShape(
    [connect, isConnected, apiVersions].every((one) => typeof one === 'function'),
    `${MODULE} does not connect, say whether it has, or ask for versions`,
  );
  expectShape(String(broker).includes('this.connectionPool'), `${MODULE} has no connectionPool`);
  const { KafkaJSConnectionError: Unreachable } = library.module(ERRORS) as Errors;
  expectShape(
    typeof Unreachable === 'function',
    `${ERRORS} has no error for a broker that cannot be reached`,
  );
  const whole = new WeakSet<ConnectingBroker>();
  prototype.isConnected = function isWhollyConnected(this: ConnectingBroker) {
    return whole.has(this) && isConnected.call(this);
  };
  prototype.connect = async function connectWholly(this: ConnectingBroker) {
    await connect.call(this);
    whole.add(this);
  };
  // kafkajs asks once per broker, on its first connection.
  prototype.apiVersions = async function apiVersionsOrClose(this: ConnectingBroker) {
    try {
      return await apiVersions.call(this);
    } catch (err) {
      await abandon(this.connectionPool.pool[0]);
      const { name, message } = err as Error;
      throw name === 'KafkaJSRequestTimeoutError' ? new Unreachable(message) : err;
    }
  };
  mended.add(prototype);
}

/** Later events of the old socket must not reach the connection, which has another socket by then. */
async function abandon(connection: Connection | undefined): Promise<void> {
  const socket = connection?.socket;
  if (connection === undefined || socket === undefined) return;
  socket.removeAllListeners();
  socket.on('error', () => {});
  socket.destroy();
  await within(DISCONNECT_MS, 'leaving a broker that says nothing', connection.disconnect()).catch(() => {});
}
