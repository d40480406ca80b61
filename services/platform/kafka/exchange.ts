import type { Broker } from './cluster.ts';
import { inside } from './kafkajs.ts';

/** One of the two connections that kafkajs holds to a broker; what is used of it. */
export interface BrokerConnection {
  readonly clientId: string;
  readonly sasl?: unknown;
  readonly socket?: { write(bytes: Buffer): boolean; destroy(err: Error): void };
  readonly requestQueue: {
    /** Sends at once, or as soon as the broker's throttling and the number of requests in flight allow. */
    push(request: {
      readonly entry: {
        readonly apiKey: number;
        readonly apiName: string;
        readonly apiVersion: number;
        readonly correlationId: number;
        resolve(answer: { readonly payload: Buffer }): void;
        reject(err: Error): void;
      };
      readonly expectResponse: true;
      readonly requestTimeout: number;
      sendRequest(): void;
    }): void;
    maybeThrottle(forMs: number): void;
  };
  isConnected(): boolean;
  isAuthenticated(): boolean;
  authenticate(): Promise<void>;
  nextCorrelationId(): number;
}

/** A connected broker of kafkajs; what is used of it. */
export interface ExchangeBroker extends Pick<Broker, 'versions'> {
  readonly connectionPool: {
    readonly pool: readonly BrokerConnection[];
    getConnection(index: number): Promise<BrokerConnection>;
  };
}

/** A request that is encoded here. */
export interface ExchangeRequest {
  readonly apiKey: number;
  readonly apiName: string;
  readonly apiVersion: number;
  /** How long the broker may hold the answer back, in ms; the deadline of the request is later than that. */
  readonly holdsMs?: number;
  /**
   * Bytes of the whole request.
   * @param headBytes how many bytes to leave free at the beginning
   */
  encode(headBytes: number): Buffer;
}

/** kafkajs fetches over the second connection, so that nothing else waits for a fetch that waits for messages. */
export const FETCH_CONNECTION = 1;
export const OTHER_CONNECTION = 0;

/**
 * Sends a request that is encoded here over kafkajs' connection and queue, and so with its deadlines, its order, its limits
 * and its throttling. kafkajs' own way to the same queue copies the request, makes a text for a log line that nobody reads
 * and takes seven promises: at hundreds of small requests a second that is half of what a request costs.
 * @returns the answer's bytes after its correlation id
 * @throws what kafkajs rejects a request with
 */
export async function exchange(
  broker: ExchangeBroker,
  index: typeof FETCH_CONNECTION | typeof OTHER_CONNECTION,
  { apiKey, apiName, apiVersion, holdsMs = 0, encode }: ExchangeRequest,
): Promise<{ readonly payload: Buffer; throttle(forMs: number): void }> {
  let connection = broker.connectionPool.pool[index]!;
  if (!connection.isConnected()) connection = await broker.connectionPool.getConnection(index);
  if (connection.sasl && !connection.isAuthenticated()) await connection.authenticate();
  if (!connection.isConnected()) throw connectionClosed();
  const correlationId = connection.nextCorrelationId();
  const { clientId, requestQueue } = connection;
  const bytes = encode(headBytes(clientId));
  writeHead(bytes, apiKey, apiVersion, correlationId, clientId);
  const { payload } = await new Promise<{ readonly payload: Buffer }>((resolve, reject) => {
    requestQueue.push({
      entry: { apiKey, apiName, apiVersion, correlationId, resolve, reject },
      expectResponse: true,
      // kafkajs takes its own deadline where that is later.
      requestTimeout: holdsMs + NETWORK_MS,
      sendRequest: () => connection.socket!.write(bytes),
    });
  });
  return { payload, throttle: (forMs) => requestQueue.maybeThrottle(forMs) };
}

/**
 * The newest version of a request that the broker speaks and that is encoded here.
 * @param newest that is encoded here
 * @throws Error of type UNSUPPORTED_VERSION
 */
export function versionFor(broker: ExchangeBroker, apiKey: number, oldest: number, newest: number): number {
  const theirs = broker.versions[apiKey];
  const version = Math.min(newest, theirs?.maxVersion ?? -1);
  if (theirs === undefined || version < oldest || version < theirs.minVersion)
    throw errorOf(UNSUPPORTED_VERSION);
  return version;
}

const UNSUPPORTED_VERSION = 35;
/** How much later than the broker holds an answer back it may come, as kafkajs has it. */
const NETWORK_MS = 100;

/** Kafka's error of a number, as kafkajs names it. */
export function errorOf(code: number): Error {
  const { createErrorFromCode } = inside<{ createErrorFromCode(code: number): Error }>('protocol/error.js');
  return createErrorFromCode(code);
}

function connectionClosed(): Error {
  const { KafkaJSConnectionError } = inside<{ KafkaJSConnectionError: new (message: string) => Error }>(
    'errors.js',
  );
  return new KafkaJSConnectionError('Not connected');
}

// Length, number and version of the request, correlation id, length of the client's name.
const HEAD = 4 + 2 + 2 + 4 + 2;

const headBytes = (clientId: string): number => HEAD + Buffer.byteLength(clientId);

function writeHead(
  to: Buffer,
  apiKey: number,
  apiVersion: number,
  correlationId: number,
  clientId: string,
): void {
  let at = to.writeInt32BE(to.length - 4, 0);
  at = to.writeInt16BE(apiKey, at);
  at = to.writeInt16BE(apiVersion, at);
  at = to.writeInt32BE(correlationId, at);
  at = to.writeInt16BE(Buffer.byteLength(clientId), at);
  to.write(clientId, at);
}
