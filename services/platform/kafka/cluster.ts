import type { Kafka } from 'kafkajs';
import { expectShape } from './kafkajs.ts';

/** A broker of kafkajs, as far as requests need it that kafkajs has no method for. */
export interface Broker {
  /** By the number of the request: what the broker speaks. Known once connected. */
  readonly versions: Readonly<Record<number, { readonly minVersion: number; readonly maxVersion: number }>>;
  readonly connectionPool: { send(protocol: object): Promise<unknown> };
}
interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  refreshMetadata(): Promise<void>;
  /** Connected. With KRaft any broker, which passes on what is for the controller. */
  findControllerBroker(): Promise<Broker>;
}

/**
 * Connections of their own under a client: kafkajs opens some for each consumer, and hands none out.
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
