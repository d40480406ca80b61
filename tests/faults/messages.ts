/** Messages that arrive again, late or broken; and a view that loses its place on the topic. */
import { runToEnd } from '../../services/local-stack/process.ts';
import { until } from '../../services/local-stack/until.ts';
import { produceByHand, readTopic, type TopicMessage } from '../support/topic.ts';
import { FOR_FAULTS } from './clients.ts';
import type { Fault } from './fault.ts';
import { type FaultWorld, PAGES_UNDER_FAULT } from './world.ts';

/** Marks what a fault produced, so that the relay is not blamed for it. */
export const BY_HAND = 'x-by-hand';

type ByHand = Pick<TopicMessage, 'value'> & {
  readonly sellerId: number;
  readonly partition?: number;
  readonly headers: Readonly<Record<string, string>>;
};

const produce = (world: FaultWorld, messages: readonly ByHand[]) =>
  produceByHand(
    world.kafka.bootstrap,
    messages.map(({ sellerId, partition, value, headers }) => ({
      key: String(sellerId),
      value,
      headers: { ...headers, [BY_HAND]: '1' },
      ...(partition === undefined ? {} : { partition }),
    })),
  );

export const messages: readonly Fault[] = [
  {
    name: 'duplicates',
    about: 'messages of all times arrive again, in another order, those of erased sellers among them',
    touches: 'topic',
    pages: 'answer',
    async inject({ world, random, log }) {
      // Without copies from `poison`: an unreadable copy would park its seller again, until the next good event.
      const all = (await readTopic(world.kafka.bootstrap)).filter(
        ({ value, version }) => value !== null && version !== null,
      );
      const again = Array.from({ length: Math.min(400, all.length) }, () => random.pick(all));
      await produce(world, again);
      log(`${again.length} messages produced again`);
      return async () => {};
    },
  },
  {
    name: 'offsets-reset',
    about: 'the checkpoints of every view set to zero under traffic',
    touches: 'checkpoints',
    pages: 'answer',
    async inject({ world }) {
      for (const page of PAGES_UNDER_FAULT) {
        await insist(() => world.views[page].query('update checkpoint set next_offset = 0'));
      }
      return async () => {};
    },
  },
  {
    name: 'poison',
    about: 'events that cannot be read, and a row that the database of a page refuses',
    touches: 'poison',
    pages: 'answer',
    seconds: [7, 9],
    signal: { anyOf: ['TopClientsSellersParked'], afterSeconds: 6 },
    async inject({ world, clients, random }) {
      const unreadable = random.integer(FOR_FAULTS.first, FOR_FAULTS.last - 1);
      const refused = unreadable + 1;
      await insist(() =>
        world.views.gig.query(
          `alter table top_clients drop constraint if exists poison,
            add constraint poison check (seller_id <> ${refused}) not valid`,
        ),
      );
      const add = (seller: number, word: string) =>
        until('the source takes a write', async () => {
          const outcome = await clients.once(seller, { kind: 'add', name: `${word} ${random.uuid()}` });
          return outcome.event === 'ok';
        });
      await add(refused, 'Refused');
      await produce(world, [
        { sellerId: unreadable, value: '{"sellerId":', headers: {} },
        { sellerId: unreadable, value: 'null', headers: {} },
        {
          sellerId: unreadable,
          value: '{}',
          headers: { ce_type: 'dev.topclients.seller.client-added.v999' },
        },
      ]);
      return async () => {
        await insist(() => world.views.gig.query('alter table top_clients drop constraint if exists poison'));
        // The next good event cures the one, and redrive the other.
        await add(unreadable, 'Good');
        await insist(() => redrive(world));
      };
    },
  },
];

/** Repeats, because in a combination another fault may kill the server at this moment. */
const insist = (attempt: () => Promise<unknown>) =>
  until('it is done', async () => {
    await attempt();
    return true;
  });

async function redrive(world: FaultWorld): Promise<void> {
  await runToEnd(process.execPath, [world.main, 'redrive'], {
    env: {
      NODE_OPTIONS: undefined,
      TC_HEALTH_PORT: '0',
      TC_PAGE: 'gig',
      TC_DATABASE_URL: world.postgres.pages.url('gig'),
    },
  });
}
