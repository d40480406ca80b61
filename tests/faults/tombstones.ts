/** A projector that is down until Kafka has removed an erased seller, tombstone included. */
import { join } from 'node:path';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { patchTopicConfigs } from '#platform/kafka/alter-configs.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { silentLog } from '#platform/log.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import { startProcess } from '../../services/local-stack/process.ts';
import { until } from '../../services/local-stack/until.ts';
import { readTopic, type TopicMessage } from '../support/topic.ts';
import { FOR_FAULTS } from './clients.ts';
import type { Fault, Injection } from './fault.ts';
import { probe } from './silence.ts';
import type { FaultWorld } from './world.ts';

const COMPACTS_AT_ONCE = {
  'min.compaction.lag.ms': '0',
  'max.compaction.lag.ms': '1000',
  'min.cleanable.dirty.ratio': '0.001',
  'segment.ms': '1000',
};
const FORGETS_AT_ONCE = { ...COMPACTS_AT_ONCE, 'delete.retention.ms': '100' };
/** The topic's original settings; null for those that were not set. */
const asItWas = (changed: Readonly<Record<string, string>>): Record<string, string | null> =>
  Object.fromEntries(
    Object.keys(changed).map((name) => [
      name,
      (SELLER_EVENTS.settings as Readonly<Record<string, string>>)[name] ?? null,
    ]),
  );

/** Makes the user page show a client of a seller that nobody else writes to. */
async function showAClient({ world, clients }: Injection, seller: number) {
  const done = (what: string, action: Parameters<typeof clients.once>[1]) =>
    until(what, async () => (await clients.once(seller, action)).event === 'ok');
  await done('the seller has a client', { kind: 'add', name: `Forgotten ${Date.now()}` });
  const shown = async () => {
    const { rows } = await world.views.user.query(
      'select from top_clients where seller_id = $1 and json_array_length(clients) > 0',
      [seller],
    );
    return rows.length > 0;
  };
  await until('the view shows the client', shown);
  return { shown, erase: () => done('the seller is erased', { kind: 'erase' }) };
}

/** Kafka starts a new segment only with a later message, and only then can it compact the one before. */
async function untilTopic(world: FaultWorld, what: string, holds: (messages: TopicMessage[]) => boolean) {
  await until(
    what,
    async () => {
      await probe(world);
      return holds(await readTopic(world.kafka.bootstrap));
    },
    120_000,
    1_000,
  );
}

export const tombstones: readonly Fault[] = [
  {
    name: 'tombstones-expire',
    about:
      'a projector away for longer than Kafka keeps the tombstone of a seller it still shows; watch-view has it put right',
    touches: 'lone-projector',
    pages: 'answer',
    seconds: [0, 1],
    fromMinutes: 8,
    compacts: true,
    async inject(injection) {
      const { world, log } = injection;
      const seller = FOR_FAULTS.first;
      const { shown, erase } = await showAClient(injection, seller);
      const away = world.role('projector-user');
      await away.process.stop();
      await erase();
      await patch(world, FORGETS_AT_ONCE);
      await untilTopic(world, 'Kafka has forgotten the seller', (messages) =>
        messages.every(({ sellerId }) => sellerId !== seller),
      ).catch((err: Error) => log(err.message));
      await patch(world, asItWas(FORGETS_AT_ONCE));
      return async () => {
        await away.process.restart();
        // No message can tell this projector of the erasure any more: only a comparison with the source finds it.
        const watch = await startWatch(world);
        try {
          await until('the view has forgotten the seller', async () => !(await shown()), 60_000, 100);
        } finally {
          await watch.stop();
        }
      };
    },
  },
  {
    name: 'tombstone-only',
    about:
      'a projector away until Kafka has compacted an erased seller, whom it still shows, to the tombstone alone; then it comes back',
    touches: 'lone-projector',
    pages: 'answer',
    seconds: [0, 1],
    compacts: true,
    async inject(injection) {
      const { world } = injection;
      const seller = FOR_FAULTS.last;
      const { erase } = await showAClient(injection, seller);
      const away = world.role('projector-user');
      await away.process.stop();
      await erase();
      await patch(world, COMPACTS_AT_ONCE);
      try {
        await untilTopic(world, 'the tombstone is all there is of the seller', (messages) => {
          const left = messages.filter(({ sellerId }) => sellerId === seller);
          return left.length > 0 && left.every(({ value }) => value === null);
        });
      } finally {
        await patch(world, asItWas(COMPACTS_AT_ONCE));
      }
      // I4 judges whether the row is empty then.
      return () => away.process.restart();
    },
  },
];

async function startWatch(world: FaultWorld) {
  const healthPort = await freePort();
  return startProcess({
    name: 'watch-user',
    command: process.execPath,
    args: [world.main, 'watch-view'],
    env: {
      NODE_OPTIONS: undefined,
      TC_HEALTH_PORT: String(healthPort),
      TC_PAGE: 'user',
      TC_DATABASE_URL: world.postgres.pages.url('user'),
      TC_SOURCE_DATABASE_URL: world.postgres.source.url('source'),
      TC_KAFKA_BROKERS: world.kafka.bootstrap,
      TC_PAUSE_MS: '500',
    },
    logFile: join(world.folder, 'watch-user.log'),
    readyUrl: `http://127.0.0.1:${healthPort}/readyz`,
  });
}

const patch = (world: FaultWorld, changes: Readonly<Record<string, string | null>>): Promise<void> =>
  patchTopicConfigs(
    openKafka('faults', { brokers: [world.kafka.bootstrap] }, silentLog),
    SELLER_EVENTS.topic,
    changes,
  );
