import { expectShape, type Library } from './kafkajs.ts';

const MODULE = 'kafkajs/src/broker/index.js';

interface Broker {
  connect(): Promise<void>;
  isConnected(): boolean;
  readonly connectionPool: {
    readonly pool: ReadonlyArray<{ readonly socket?: { destroy(err: Error): void } }>;
  };
}

const mended = new WeakSet<object>();

/**
 * Lets kafkajs connect again after half a connect. A broker counts as connected as soon as its socket is open, before it has
 * said which versions it speaks. When that answer comes late once, every later request fails with "Broker not connected",
 * and nothing connects again for as long as the socket lives. From here on a broker is connected when its connect has come to
 * its end, and a socket on which it failed is closed.
 * @throws UnexpectedShape
 */
export function connectWholly(library: Library): void {
  const broker = library.module(MODULE) as { prototype?: Broker };
  const prototype = broker.prototype;
  expectShape(prototype !== undefined, `${MODULE} is no class`);
  if (mended.has(prototype)) return;
  const { connect, isConnected } = prototype;
  expectShape(
    typeof connect === 'function' && typeof isConnected === 'function',
    `${MODULE} does not connect, or does not say whether it has`,
  );
  expectShape(String(broker).includes('this.connectionPool'), `${MODULE} has no connectionPool`);
  const whole = new WeakSet<Broker>();
  prototype.isConnected = function isWhollyConnected(this: Broker) {
    return whole.has(this) && isConnected.call(this);
  };
  prototype.connect = async function connectWholly(this: Broker) {
    try {
      await connect.call(this);
      whole.add(this);
    } catch (err) {
      whole.delete(this);
      for (const { socket } of this.connectionPool.pool) socket?.destroy(err as Error);
      throw err;
    }
  };
  mended.add(prototype);
}
