/** A projector that is away until Kafka has forgotten an erased seller, tombstone and all. */
import { join } from 'node:path';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { patchTopicConfigs } from '#platform/kafka/alter-configs.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { silentLog } from '#platform/log.ts';
import { freePort } from '../../services/local-infra/ports.ts';
import { startProcess } from '../../services/local-infra/process.ts';
import { until } from '../support/pipeline.ts';
import { readTopic } from '../support/topic.ts';
import { FOR_FAULTS } from './clients.ts';
import type { Fault } from './fault.ts';
import type { World } from './world.ts';

const FORGETS_AT_ONCE = {
  'delete.retention.ms': '100',
  'min.compaction.lag.ms': '0',
  'max.compaction.lag.ms': '1000',
  'min.cleanable.dirty.ratio': '0.001',
  'segment.ms': '1000',
};

/** What the world made the topic with; what is not of ours goes back to the broker's. */
const AS_BEFORE = Object.fromEntries(
  Object.keys(FORGETS_AT_ONCE).map((name) => [
    name,
    (SELLER_EVENTS.settings as Readonly<Record<string, string>>)[name] ?? null,
  ]),
);

export const tombstones: readonly Fault[] = [
  {
    name: 'tombstones-expire',
    about:
      'a projector away for longer than Kafka keeps the tombstone of a seller it still shows; watch-view has it put right',
    touches: 'lone-projector',
    pages: 'answer',
    seconds: [0, 1],
    fromMinutes: 8,
    async inject({ world, clients, log }) {
      const seller = FOR_FAULTS.first;
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
      const away = world.role('projector-user');
      await away.process.stop();
      await done('the seller is erased', { kind: 'erase' });
      await patch(world, FORGETS_AT_ONCE);
      await until(
        'Kafka has forgotten the seller',
        async () => !(await readTopic(world.kafka.bootstrap)).some(({ sellerId }) => sellerId === seller),
        120_000,
        2_000,
      ).catch((err: Error) => log(err.message));
      await patch(world, AS_BEFORE);
      return async () => {
        await away.process.restart();
        // No message can tell this projector of the erasure any more: whoever compares the view with the source must.
        const watch = await startWatch(world);
        try {
          await until('the view has forgotten the seller', async () => !(await shown()), 60_000, 100);
        } finally {
          await watch.stop();
        }
      };
    },
  },
];

async function startWatch(world: World) {
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

const patch = (world: World, changes: Readonly<Record<string, string | null>>): Promise<void> =>
  patchTopicConfigs(
    openKafka('faults', { brokers: [world.kafka.bootstrap] }, silentLog),
    SELLER_EVENTS.topic,
    changes,
  );
