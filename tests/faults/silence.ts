/** I10, after healing: whether everything moves again, checked where an operator would look. */
import { MOVED_TYPE } from '#contracts/events.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { pause } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import { seriesIn } from '../../services/local-stack/exposition.ts';
import { produceByHand } from '../support/topic.ts';
import type { Stillness } from './findings.ts';
import { BY_HAND } from './messages.ts';
import { type FaultWorld, PAGES_UNDER_FAULT, type PageUnderFault, ROLE_NAMES } from './world.ts';

/** How long everything may take to move again once the views equal the source. */
export const MOVES_WITHIN_MS = 10_000;
const EVERY_MS = 250;
/** A seller that does not exist. */
const NOBODY = 1_000_000_001;

/**
 * Puts a message on every partition that every projector skips: the marker of a moved seller.
 * @returns the offset after it, by partition
 */
export async function probe(world: FaultWorld): Promise<ReadonlyMap<number, number>> {
  const admin = openKafka('faults', { brokers: [world.kafka.bootstrap] }, silentLog).admin();
  await admin.connect();
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [SELLER_EVENTS.topic] });
    const partitions = topics[0]!.partitions.map(({ partitionId }) => partitionId);
    await produceByHand(
      world.kafka.bootstrap,
      partitions.map((partition) => ({
        key: String(NOBODY),
        value: null,
        partition,
        headers: { ce_id: `${NOBODY}/1/moved`, ce_type: MOVED_TYPE, [BY_HAND]: '1' },
      })),
    );
    const ends = await admin.fetchTopicOffsets(SELLER_EVENTS.topic);
    return new Map(ends.map(({ partition, high }) => [partition, Number(high)]));
  } finally {
    await admin.disconnect();
  }
}

/** What has not been seen yet. */
interface Wanted {
  readonly ends: ReadonlyMap<number, number>;
  /** By page: partitions whose checkpoint has not reached the probe, with the checkpoint. */
  readonly standing: Map<PageUnderFault, Map<number, number>>;
  /** By page: partitions that are in no projector's metrics. */
  readonly unowned: Map<PageUnderFault, Set<number>>;
  /** By page: partitions without a lag of 0 after the probe, with the lag. */
  readonly lagging: Map<PageUnderFault, Map<number, number>>;
}

/** Looks until everything moves, or the time is over. @returns what then still stands still */
export async function stillness(world: FaultWorld, withinMs = MOVES_WITHIN_MS): Promise<Stillness> {
  const deadline = performance.now() + withinMs;
  const ends = await probe(world);
  const { rows: newest } = await world.source.query<{ id: number | null }>(
    'select max(id) as id from outbox',
  );
  const all = <T>(make: () => T) => new Map(PAGES_UNDER_FAULT.map((page) => [page, make()] as const));
  const wanted: Wanted = {
    ends,
    standing: all(() => new Map([...ends.keys()].map((partition) => [partition, -1]))),
    unowned: all(() => new Set(ends.keys())),
    lagging: all(() => new Map([...ends.keys()].map((partition) => [partition, Number.NaN]))),
  };
  for (;;) {
    const [unready, unsent, parked] = await Promise.all([
      unreadyRoles(world),
      unsentUpTo(world, newest[0]!.id ?? 0),
      parkedRows(world),
      ...PAGES_UNDER_FAULT.map((page) => look(world, page, wanted)),
    ] as const);
    const found: Stillness = {
      unready,
      unsent,
      parked,
      standing: [...wanted.standing].flatMap(([page, at]) =>
        [...at].map(([partition, next]) => ({ page, partition, next, end: ends.get(partition)! })),
      ),
      unowned: [...wanted.unowned].flatMap(([page, of]) => [...of].map((partition) => ({ page, partition }))),
      lagging: [...wanted.lagging].flatMap(([page, of]) =>
        [...of].map(([partition, records]) => ({ page, partition, records })),
      ),
    };
    if (isQuiet(found) || performance.now() > deadline) return found;
    await pause(EVERY_MS);
  }
}

const isQuiet = ({ unready, unsent, parked, standing, unowned, lagging }: Stillness) =>
  unsent === 0 && [unready, parked, standing, unowned, lagging].every(({ length }) => length === 0);

async function look(world: FaultWorld, page: PageUnderFault, wanted: Wanted): Promise<void> {
  const standing = wanted.standing.get(page)!;
  const { rows } = await world.views[page].query<{ partition: number; next_offset: number }>(
    'select partition, next_offset from checkpoint',
  );
  for (const { partition, next_offset: next } of rows) {
    if (!standing.has(partition)) continue;
    if (next >= wanted.ends.get(partition)!) standing.delete(partition);
    else standing.set(partition, next);
  }
  const projectors = ROLE_NAMES.filter((name) => name.startsWith(`projector-${page}`));
  for (const name of projectors) {
    for (const { labels, value } of seriesIn(
      await world.role(name).metrics(),
      'topclients_projector_lag_records',
    )) {
      const partition = Number(/partition="(\d+)"/.exec(labels)?.[1]);
      wanted.unowned.get(page)!.delete(partition);
      const lagging = wanted.lagging.get(page)!;
      if (!lagging.has(partition)) continue;
      if (value === 0 && !standing.has(partition)) lagging.delete(partition);
      else lagging.set(partition, value);
    }
  }
}

async function unreadyRoles(world: FaultWorld): Promise<Stillness['unready']> {
  const all = await Promise.all(
    ROLE_NAMES.map(async (name) => ({ name, because: await world.role(name).notReadyBecause() })),
  );
  return all.flatMap(({ name, because }) => (because === null ? [] : [{ name, because }]));
}

/** Rows that waited when the check began, and still wait. */
async function unsentUpTo(world: FaultWorld, id: number): Promise<number> {
  const { rows } = await world.source.query<{ count: number }>('select count(*) from outbox where id <= $1', [
    id,
  ]);
  return rows[0]!.count;
}

async function parkedRows(world: FaultWorld): Promise<Stillness['parked']> {
  const all = await Promise.all(
    PAGES_UNDER_FAULT.map(async (page) => {
      const { rows } = await world.views[page].query<{ seller_id: number | null; reason: string }>(
        'select seller_id, reason from parked order by parked_at',
      );
      return rows.map(({ seller_id: seller, reason }) => ({ page, seller, reason }));
    }),
  );
  return all.flat();
}
