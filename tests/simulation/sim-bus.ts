import type { Bus, BusReader } from '../../services/projector/bus.ts';
import type { SimProcess } from './process.ts';
import { BrokerError, type SimTopic } from './sim-topic.ts';

/** How long a broker holds a fetch that finds nothing, in ms: longer than Kafka, because that loses nothing here. */
const MAX_WAIT_MS = 2_000;
const BACK_OFF_MS = 300;

/** The bus over the simulated topic, as one process reads it: one loop per broker, like the adapter for Kafka. */
export function openSimBus(topic: SimTopic, process: SimProcess, brokers: number): Bus {
  const readFrom = async (broker: number, reader: BusReader, signal: AbortSignal): Promise<void> => {
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    while (!signal.aborted) {
      const wanted = new Map([...reader.positions()].filter(([partition]) => partition % brokers === broker));
      if (wanted.size === 0) {
        await Promise.race([reader.changed(), aborted]);
        continue;
      }
      try {
        const found = await topic.fetch(process, wanted, MAX_WAIT_MS);
        if (signal.aborted) return;
        for (const one of found) {
          if (one.kind === 'out of range') reader.outOfRange(one.partition, one.asked);
          else reader.deliver(one);
        }
      } catch (err) {
        if (!(err instanceof BrokerError)) throw err;
        await process.clock.pause(BACK_OFF_MS, signal);
      }
    }
  };
  return {
    async read(reader, signal) {
      await Promise.all(Array.from({ length: brokers }, (_, broker) => readFrom(broker, reader, signal)));
    },
    commit: () => topic.call(process, () => {}),
    ends: () =>
      topic.call(
        process,
        () =>
          new Map(
            topic.partitions.map(({ first, next, end }, partition) => [partition, { first, next, end }]),
          ),
      ),
    topicId: () => topic.call(process, () => topic.id),
    close: async () => {},
  };
}
