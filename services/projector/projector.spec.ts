/** What a projector does when the bus and the database behave as they like, on a clock that is forty times as fast. */
import { afterEach, expect, test } from '@jest/globals';
import { projectionsOf } from '#pages/projections.ts';
import type { Clock } from '#platform/clock.ts';
import { pause } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import { NO_TRACING } from '#platform/span.ts';
import { openMetrics } from '#role/metrics.ts';
import { until } from '../local-stack/until.ts';
import type { Bus, BusMessage, BusReader, PartitionEnds } from './bus.ts';
import { openProjectorMetrics } from './metrics.ts';
import { Projector } from './projector.ts';
import { OwnershipLost, type ViewStore } from './view-store.ts';

const FASTER = 40;
const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now() * FASTER,
  pause: (ms, signal) => pause(ms / FASTER, signal),
};

const projectors: Projector[] = [];
afterEach(async () => {
  await Promise.all(projectors.splice(0).map((one) => one.stop()));
});

/** A page's database in memory: sessions, their locks, checkpoints. */
class Database {
  readonly checkpoints = new Map<number, number>();
  topicId: string | null = null;
  readonly members = new Set<number>();
  readonly owners = new Map<number, number>();
  /** Who has a row. */
  readonly sellers = new Set<number>();
  readonly #sessions = new Map<number, AbortController>();
  /** Statements that write wait for this. */
  locked: Promise<unknown> = Promise.resolve();
  /** Statements that write fail with this. */
  refuses: Error | null = null;
  opened = 0;
  /** How long storing checkpoints takes, by the clock of the specs. */
  checkpointMs = 0;
  stored = 0;
  /** What each statement gave up. */
  readonly disowned: Array<readonly number[]> = [];
  ownershipAsked = 0;

  readonly open = async (): Promise<ViewStore> => {
    const me = ++this.opened;
    const lost = new AbortController();
    this.#sessions.set(me, lost);
    const ask = async () => {
      await pause(0);
      if (lost.signal.aborted) throw new Error('Connection terminated');
    };
    const write = async () => {
      await this.locked;
      await ask();
      if (this.refuses) throw this.refuses;
    };
    const store = {
      lost: lost.signal,
      isCopying: () => false,
      upsert: async (rows: readonly unknown[]) => {
        await write();
        for (const row of rows) database.sellers.add((row as { sellerId: number }).sellerId);
        return rows.length;
      },
      join: async () => ask().then(() => void this.members.add(me)),
      ownership: async () => {
        await ask();
        this.ownershipAsked += 1;
        return { me, members: [...database.members], owners: new Map(database.owners) };
      },
      tryOwn: async (partitions: readonly number[]) => {
        await ask();
        const got = partitions.filter((one) => (this.owners.get(one) ?? me) === me);
        for (const one of got) this.owners.set(one, me);
        return got;
      },
      disown: async (partitions: readonly number[]) => {
        await ask();
        this.disowned.push(partitions);
        for (const one of partitions) if (this.owners.get(one) === me) this.owners.delete(one);
      },
      adoptTopic: async (id: string) => {
        await ask();
        const wasAnother = this.topicId !== null && this.topicId !== id;
        this.topicId = id;
        if (wasAnother) for (const one of this.checkpoints.keys()) this.checkpoints.set(one, 0);
        return wasAnother;
      },
      loadCheckpoints: async (partitions: readonly number[]) => {
        await ask();
        return new Map(partitions.map((one) => [one, this.checkpoints.get(one) ?? 0]));
      },
      resetCheckpoint: async (partition: number, next: number) => {
        await ask();
        this.checkpoints.set(partition, next);
      },
      checkpoint: async (progress: ReadonlyArray<{ partition: number; known: number; next: number }>) => {
        await write();
        this.stored += 1;
        await clock.pause(this.checkpointMs);
        const lost = progress.filter(({ partition }) => this.owners.get(partition) !== me);
        if (lost.length > 0) throw new OwnershipLost(lost.map(({ partition }) => partition));
        const before = new Map(
          progress.map(({ partition }) => [partition, this.checkpoints.get(partition) ?? 0]),
        );
        for (const { partition, next } of progress) this.checkpoints.set(partition, next);
        return before;
      },
      countAtVersion: async () => 0,
      parkedSellers: async () => ask().then(() => []),
      noteTraces: ask,
      park: write,
      supersede: write,
      replace: async () => write().then(() => true),
      ping: ask,
      close: async () => this.endSession(me),
    };
    const database = this;
    return store as unknown as ViewStore;
  };

  endSession(session: number): void {
    this.members.delete(session);
    for (const [partition, owner] of this.owners) if (owner === session) this.owners.delete(partition);
    this.#sessions.get(session)?.abort(new Error('Connection terminated'));
  }

  crash(): void {
    for (const session of this.#sessions.keys()) this.endSession(session);
  }
}

/** A topic in memory. */
class Topic implements Bus {
  id = 'the first';
  readonly partitions: BusMessage[][];
  /** Partitions that are never answered for. */
  readonly mute = new Set<number>();
  isAway = false;
  readonly leaderless = new Set<number>();
  /** Held back by an open transaction. */
  held = new Map<number, number>();
  first = new Map<number, number>();
  refusals = 0;
  /** Whoever asks how far the topic goes waits for this. */
  answers: Promise<unknown> = Promise.resolve();
  asked = 0;
  commits = 0;
  damaged = new Set<number>();
  committed: ReadonlyMap<number, number> = new Map();

  constructor(count: number) {
    this.partitions = Array.from({ length: count }, () => []);
  }

  write(partition: number, sellerId = partition + 1): void {
    const of = this.partitions[partition]!;
    const version = of.length + 1;
    const event = {
      ...{ sellerId, version, committedAt: '2026-11-24T00:00:00.000Z' },
      ...{ change: { type: 'clients-reordered', clientIds: [] }, clients: [] },
    };
    of.push({
      offset: String(of.length),
      timestamp: String(Date.now()),
      key: Buffer.from(String(sellerId)),
      value: Buffer.from(JSON.stringify(event)),
      headers: { ce_type: 'dev.topclients.seller.clients-reordered.v1', ce_id: `${sellerId}/${version}` },
    });
  }

  async read(reader: BusReader, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const [partition, from] of reader.positions()) {
        const of = this.partitions[partition];
        const isSilent = this.isAway || this.mute.has(partition) || this.leaderless.has(partition);
        if (isSilent || of === undefined) continue;
        if (this.damaged.has(partition)) {
          reader.unreadable(partition, new Error('the batch cannot be read'));
          continue;
        }
        if (from > of.length || from < (this.first.get(partition) ?? 0)) {
          this.refusals += 1;
          reader.outOfRange(partition, from);
          continue;
        }
        const stable = of.length - (this.held.get(partition) ?? 0);
        const messages = of.slice(from, Math.min(stable, from + 50));
        if (messages.length > 0)
          reader.deliver({ partition, from, next: from + messages.length, end: of.length, messages });
      }
      await pause(1, signal);
    }
  }

  async ends(): Promise<ReadonlyMap<number, PartitionEnds | null>> {
    this.asked += 1;
    if (this.isAway) throw new Error('Kafka is away');
    await this.answers;
    return new Map(
      [...this.partitions.entries()].map(([partition, { length }]) => [
        partition,
        this.leaderless.has(partition)
          ? null
          : {
              first: this.first.get(partition) ?? 0,
              next: length - (this.held.get(partition) ?? 0),
              end: length,
            },
      ]),
    );
  }

  async topicId(): Promise<string> {
    return this.id;
  }

  async commit(positions: ReadonlyMap<number, number>): Promise<void> {
    this.commits += 1;
    this.committed = positions;
  }

  async close(): Promise<void> {}
}

function start(
  topic: Topic,
  database: Database,
  sessionTimeoutMs = 6_000,
  itsClock = clock,
  random = Math.random,
) {
  const failures: unknown[] = [];
  const metrics = openMetrics({ processMetrics: false });
  const projector = new Projector(
    topic,
    {
      page: 'gig',
      delivery: 'asynchronous',
      projection: projectionsOf('gig').asynchronous,
      tracing: NO_TRACING,
      openStore: database.open,
      sessionTimeoutMs,
      clock: itsClock,
      random,
    },
    (read) => openProjectorMetrics(metrics, { page: 'gig', view: 'asynchronous-v1' }, read),
    silentLog,
    (err) => failures.push(err),
  );
  projectors.push(projector);
  projector.start();
  const metric = async (name: string, labels = '') =>
    (await metrics.registry.metrics())
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`) && line.includes(labels))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  return { projector, failures, metric, isReady: () => projector.notReadyBecause() === null };
}

const isCaughtUp = (topic: Topic, database: Database) => () =>
  topic.partitions.every(({ length }, partition) => (database.checkpoints.get(partition) ?? 0) === length);

const writeEverywhere = (topic: Topic) => {
  for (let partition = 0; partition < topic.partitions.length; partition++) topic.write(partition);
};

test('one takes everything; two share; and what one had that is killed the other has', async () => {
  const [topic, database] = [new Topic(6), new Database()];
  const one = start(topic, database);
  writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
  const other = start(topic, database);
  await until('both have a half', () => {
    const sizes = [...Map.groupBy(database.owners, ([, owner]) => owner).values()].map(
      (owned) => owned.length,
    );
    return sizes.join() === '3,3';
  });
  writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
  expect(await one.metric('topclients_projector_partitions', 'running')).toBe(3);
  expect(await other.metric('topclients_projector_topic_partitions')).toBe(6);
  await one.projector.stop();
  writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
});

test('what it gives up it gives up together', async () => {
  const [topic, database] = [new Topic(12), new Database()];
  start(topic, database);
  for (let i = 0; i < 5; i++) writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
  start(topic, database);
  await until('there are two owners', () => new Set(database.owners.values()).size === 2);
  expect(database.disowned.map((partitions) => partitions.length)).toEqual([6]);
});

test('it takes its partitions at the moment when it first sees the topic', async () => {
  const [topic, database] = [new Topic(3), new Database()];
  const answered = Promise.withResolvers<void>();
  topic.answers = answered.promise;
  // No pause ends by itself.
  const stopped: Clock = {
    ...clock,
    pause: (_, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) resolve();
        else signal?.addEventListener('abort', () => resolve(), { once: true });
      }),
  };
  start(topic, database, 6_000, stopped);
  await until('it has looked in vain', () => database.ownershipAsked === 1);
  answered.resolve();
  await until('it has them', () => database.owners.size === 3);
});

test('while nothing comes it looks and commits less often', async () => {
  const [topic, database] = [new Topic(2), new Database()];
  const { isReady } = start(topic, database);
  writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
  await until('it is ready', isReady);
  await until('others are told', () => topic.committed.get(0) === 1 && topic.committed.get(1) === 1);
  const before = { asked: topic.asked, commits: topic.commits };
  await clock.pause(40_000);
  // One look each 4 s, a quarter less with jitter, and the one that finds it quiet.
  expect(topic.asked - before.asked).toBeLessThanOrEqual(15);
  expect(topic.commits - before.commits).toBeLessThanOrEqual(2);
});

test('while nothing comes it rests between checkpoints, until the next message', async () => {
  const [topic, database] = [new Topic(2), new Database()];
  const LONGEST_MS = 5_000;
  const seen = { rested: 0, cutShort: 0 };
  const watched: Clock = {
    ...clock,
    async pause(ms, signal) {
      if (ms === LONGEST_MS) seen.rested += 1;
      await clock.pause(ms, signal);
      if (ms === LONGEST_MS && signal?.aborted) seen.cutShort += 1;
    },
  };
  start(topic, database, 6_000, watched, () => 0.5);
  writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
  await until('it rests', () => seen.rested > 0);
  topic.write(0);
  await until('the rest is cut short', () => seen.cutShort === 1);
  await until('everything is applied', isCaughtUp(topic, database));
});

test('a database that blocks and then fails while others join leaves no partition behind', async () => {
  const [topic, database] = [new Topic(24), new Database()];
  const first = start(topic, database);
  writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
  const unlocked = Promise.withResolvers<void>();
  database.locked = unlocked.promise;
  for (let i = 0; i < 40; i++) writeEverywhere(topic);
  const others = [1, 2, 3].map(() => start(topic, database));
  await until('they have joined', () => database.members.size === 4);
  // The statement timeout, in the middle of giving partitions up.
  database.refuses = Object.assign(new Error('canceling statement due to statement timeout'), {
    code: '57014',
  });
  unlocked.resolve();
  await until('that shows', () => first.projector.notReadyBecause()?.includes('statement timeout') === true);
  database.refuses = null;
  await until('every partition has moved to its end', isCaughtUp(topic, database));
  await until('all are ready', () => [first, ...others].every(({ isReady }) => isReady()));
  expect([first, ...others].flatMap(({ failures }) => failures)).toEqual([]);
});

test('a database that dies again and again is found again, and goes on from the checkpoints', async () => {
  const [topic, database] = [new Topic(4), new Database()];
  const { isReady } = start(topic, database);
  for (let i = 0; i < 5; i++) {
    writeEverywhere(topic);
    await until('everything is applied', isCaughtUp(topic, database));
    database.crash();
  }
  writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
  await until('it is ready', isReady);
});

test('a partition that could be read and stands still makes it unready and ends it, named with its lag', async () => {
  const [topic, database] = [new Topic(3), new Database()];
  topic.mute.add(1);
  const { projector, failures, metric } = start(topic, database);
  for (let i = 0; i < 7; i++) writeEverywhere(topic);
  await until('it gives up', () => failures.length > 0);
  expect(String(failures[0])).toContain('partition 1 has stood still for');
  expect(projector.notReadyBecause()).toMatch(/partition 1 .* 7 messages/);
  expect(await metric('topclients_projector_stalled_total')).toBe(1);
  await projector.stop();
  expect(database.owners.size).toBe(0);
});

test('a statement that takes as long as one may is no stall, however short the session', async () => {
  const [topic, database] = [new Topic(3), new Database()];
  const { failures } = start(topic, database, 1_500);
  writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
  database.locked = clock.pause(10_000);
  for (let i = 0; i < 7; i++) writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
  expect(failures).toEqual([]);
});

test('a partition whose next batch cannot be read is told, ends nothing, and goes on when it can', async () => {
  const [topic, database] = [new Topic(3), new Database()];
  const { projector, failures, isReady } = start(topic, database);
  writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
  topic.damaged.add(1);
  writeEverywhere(topic);
  await until('it says so', () => projector.notReadyBecause()?.includes('partition 1: the batch') === true);
  await until('the others go on', () => [0, 2].every((one) => database.checkpoints.get(one) === 2));
  // Far longer than a partition may stand still.
  await clock.pause(40_000);
  expect(failures).toEqual([]);
  topic.damaged.clear();
  await until('everything is applied', isCaughtUp(topic, database));
  await until('it is ready', isReady);
});

test('a batch that cannot be read and was deleted since is not spoken of any more', async () => {
  const [topic, database] = [new Topic(2), new Database()];
  const { projector, isReady } = start(topic, database);
  topic.damaged.add(1);
  writeEverywhere(topic);
  await until('it says so', () => projector.notReadyBecause()?.includes('partition 1: the batch') === true);
  // kafka-delete-records.sh: nothing stands behind it, and nothing may come for hours.
  topic.damaged.clear();
  topic.first.set(1, 1);
  await until('the partition goes on', () => database.checkpoints.get(1) === 1);
  await until('it is ready', isReady);
});

test('what took the place of lost messages is read, also where the offset is there again by then', async () => {
  const [topic, database] = [new Topic(3), new Database()];
  const { failures, isReady } = start(topic, database);
  for (let i = 0; i < 3; i++) writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
  const answered = Promise.withResolvers<void>();
  topic.answers = answered.promise;
  topic.partitions[1]!.length = 1;
  await until('the offset is refused', () => topic.refusals > 0);
  for (const seller of [51, 52, 53]) topic.write(1, seller);
  answered.resolve();
  await until('all of them are applied', () => [51, 52, 53].every((one) => database.sellers.has(one)));
  await until('everything is applied', isCaughtUp(topic, database));
  await until('it is ready', isReady);
  expect(failures).toEqual([]);
});

test.each(['running', 'stopped'])(
  'a topic made anew is read from its beginning, by a projector that was %s meanwhile',
  async (meanwhile) => {
    const [topic, database] = [new Topic(2), new Database()];
    const before = start(topic, database);
    for (let i = 0; i < 3; i++) writeEverywhere(topic);
    await until('everything is applied', isCaughtUp(topic, database));
    if (meanwhile === 'stopped') await before.projector.stop();
    topic.id = 'the second';
    // More than the checkpoints say, so that no offset is out of range.
    topic.partitions.forEach((messages, partition) => {
      messages.length = 0;
      for (let i = 0; i < 5; i++) topic.write(partition, 100 + 10 * partition + i);
    });
    const { failures, isReady } = meanwhile === 'stopped' ? start(topic, database) : before;
    await until('everything is applied', () =>
      [100, 101, 102, 103, 104, 110, 111, 112, 113, 114].every((one) => database.sellers.has(one)),
    );
    await until('it is ready', () => isReady() && isCaughtUp(topic, database)());
    expect(failures).toEqual([]);
  },
);

test("Kafka's absence is told as such, and stalls nothing", async () => {
  const [topic, database] = [new Topic(3), new Database()];
  const { projector, failures, isReady } = start(topic, database);
  writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
  writeEverywhere(topic);
  topic.isAway = true;
  await until('it says so', () => projector.notReadyBecause()?.startsWith('Kafka:') === true);
  // Others may see what it cannot.
  await until('it gives everything up', () => database.owners.size === 0 && database.members.size === 0);
  await clock.pause(40_000);
  expect(failures).toEqual([]);
  topic.isAway = false;
  await until('everything is applied', isCaughtUp(topic, database));
  await until('it is ready', isReady);
});

test('a partition without a leader is told, ends nothing, and goes on when it has one', async () => {
  const [topic, database] = [new Topic(3), new Database()];
  const { projector, failures, isReady } = start(topic, database);
  writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
  topic.leaderless.add(1);
  await until('it says so', () => projector.notReadyBecause() === 'Kafka: partitions 1 cannot be seen');
  writeEverywhere(topic);
  await until(
    'the others go on',
    () => database.checkpoints.get(0) === 2 && database.checkpoints.get(2) === 2,
  );
  await clock.pause(40_000);
  expect(failures).toEqual([]);
  topic.leaderless.clear();
  await until('everything is applied', isCaughtUp(topic, database));
  await until('it is ready', isReady);
});

test('a partition that loses its leader while it has lag is given up, and does not end the process', async () => {
  const [topic, database] = [new Topic(3), new Database()];
  topic.mute.add(1);
  const { projector, failures, isReady, metric } = start(topic, database);
  writeEverywhere(topic);
  await until('the lag is known', async () => (await metric('topclients_projector_lag_records')) === 1);
  topic.leaderless.add(1);
  topic.mute.clear();
  await until('it says so', () => projector.notReadyBecause() === 'Kafka: partitions 1 cannot be seen');
  // Whoever sees it may have it.
  await until('it is given up', () => !database.owners.has(1));
  // Far longer than a partition may stand still.
  await clock.pause(40_000);
  expect(failures).toEqual([]);
  topic.leaderless.clear();
  await until('everything is applied', isCaughtUp(topic, database));
  await until('it is ready', isReady);
});

test('a partition without a leader at the start is told, and counts as one that nobody keeps up', async () => {
  const [topic, database] = [new Topic(3), new Database()];
  topic.leaderless.add(1);
  writeEverywhere(topic);
  const { projector, metric, isReady } = start(topic, database);
  await until('it says so', () => projector.notReadyBecause() === 'Kafka: partitions 1 cannot be seen');
  expect(await metric('topclients_projector_topic_partitions')).toBe(3);
  expect(await metric('topclients_projector_partitions')).toBe(2);
  topic.leaderless.clear();
  await until('everything is applied', isCaughtUp(topic, database));
  await until('it is ready', isReady);
});

test('what an open transaction holds back counts as lag, is told apart, and is no stall', async () => {
  const [topic, database] = [new Topic(2), new Database()];
  topic.held.set(1, 2);
  const { failures, metric } = start(topic, database);
  for (let i = 0; i < 3; i++) writeEverywhere(topic);
  await until(
    'the lag says so',
    async () => (await metric('topclients_projector_lag_unstable_records', '"1"')) === 2,
  );
  await until('the rest is applied', async () => (await metric('topclients_projector_lag_records')) === 2);
  await clock.pause(40_000);
  expect(failures).toEqual([]);
  topic.held.clear();
  await until('everything is applied', isCaughtUp(topic, database));
});

test('a checkpoint behind what the topic still holds, and one beyond its end, begin with the oldest there is', async () => {
  const [topic, database] = [new Topic(2), new Database()];
  for (let i = 0; i < 10; i++) writeEverywhere(topic);
  database.checkpoints.set(0, 90);
  database.checkpoints.set(1, 2);
  topic.first.set(1, 5);
  const { metric } = start(topic, database);
  await until('everything is applied', isCaughtUp(topic, database));
  expect(await metric('topclients_projector_events_total', 'applied')).toBe(2);
  expect(await metric('topclients_projector_events_total', 'stale')).toBe(9 + 4);
});

test('a lock that the session holds and the process does not know of is given up, and got again', async () => {
  const [topic, database] = [new Topic(2), new Database()];
  // The first session of this database.
  database.owners.set(1, 1);
  start(topic, database);
  writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
});

test('a partition that is added is taken and read', async () => {
  const [topic, database] = [new Topic(1), new Database()];
  start(topic, database);
  writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
  topic.partitions.push([]);
  topic.write(1);
  await until('everything is applied', isCaughtUp(topic, database));
});

test('partitions that a topic does not have any more are given up and not spoken of', async () => {
  const [topic, database] = [new Topic(3), new Database()];
  const { metric, failures, isReady } = start(topic, database);
  for (let i = 0; i < 5; i++) writeEverywhere(topic);
  await until('everything is applied', isCaughtUp(topic, database));
  // Deleted, and made anew with fewer.
  topic.partitions.splice(0, 3, [], []);
  await until('it is given up', () => !database.owners.has(2));
  await clock.pause(40_000);
  expect([failures, isReady()]).toEqual([[], true]);
  expect(await metric('topclients_projector_topic_partitions')).toBe(2);
  topic.write(0);
  await until('it goes on', () => database.checkpoints.get(0) === 1);
});

test('checkpoints that take long are stored more seldom', async () => {
  const [topic, database] = [new Topic(2), new Database()];
  database.checkpointMs = 200;
  start(topic, database);
  const writing = setInterval(() => writeEverywhere(topic), 5);
  try {
    await until('the first is stored', () => database.stored > 0);
    await clock.pause(40_000);
  } finally {
    clearInterval(writing);
  }
  // One in 4 s, not in 700 ms, with jitter and a machine that is busy.
  expect(database.stored).toBeGreaterThan(4);
  expect(database.stored).toBeLessThan(25);
  await until('everything is applied', isCaughtUp(topic, database));
});

test('others are told how far it is, also when nothing comes', async () => {
  const [topic, database] = [new Topic(2), new Database()];
  start(topic, database);
  topic.write(0);
  await until('they are told', () => topic.committed.get(0) === 1 && topic.committed.get(1) === 0);
  topic.committed = new Map();
  await until('they are told again', () => topic.committed.size === 2);
});
