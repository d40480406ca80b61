import type { Kafka } from 'kafkajs';
import { expectShape } from './kafkajs.ts';

/** The part of kafkajs' broker that serves requests for which kafkajs has no method. */
export interface Broker {
  /** The versions that the broker speaks, by the number of the request. Known once connected. */
  readonly versions: Readonly<Record<number, { readonly minVersion: number; readonly maxVersion: number }>>;
  readonly connectionPool: { send(protocol: object): Promise<unknown> };
}
interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  refreshMetadata(): Promise<void>;
  /** A connected broker. With KRaft that is any broker, which forwards requests for the controller. */
  findControllerBroker(): Promise<Broker>;
}

/**
 * Opens connections of their own under a client. kafkajs opens some for each consumer, but gives no access to them.
 * @param options as kafkajs takes them
 * @typeParam C what the caller uses of them
 * @throws UnexpectedShape
 */
export function clusterOf<C = Cluster>(kafka: Kafka, options: object = {}): C {
  const key = Object.getOwnPropertySymbols(kafka).find(
    ({ description }) => description === 'private:Kafka:createCluster',
  );
  expectShape(key !== undefined, 'a client has no function that makes its cluster');
  const make = (kafka as unknown as Record<symbol, (options: object) => C>)[key]!;
  return make({ allowAutoTopicCreation: false, ...options });
}

/** Gives the controller to `work`, over connections of its own that are closed afterwards. */
export async function withController<T>(kafka: Kafka, work: (broker: Broker) => Promise<T>): Promise<T> {
  const cluster = clusterOf(kafka);
  await cluster.connect();
  try {
    await cluster.refreshMetadata();
    return await work(await cluster.findControllerBroker());
  } finally {
    await cluster.disconnect();
  }
}
