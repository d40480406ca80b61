import kafkajs, { type Admin, type Kafka } from 'kafkajs';
import { type Clock, SYSTEM_CLOCK } from '../clock.ts';
import type { Log } from '../log.ts';
import { patchTopicConfigs } from './alter-configs.ts';

// kafkajs is CommonJS, and not all of its exports are found by name.
const { ConfigResourceTypes } = kafkajs;

export interface WantedTopic {
  readonly topic: string;
  readonly partitions: number;
  readonly replication: number;
  /** All settings that it is created with, except `min.insync.replicas`. */
  readonly settings: Readonly<Record<string, string>>;
  /** Those of the settings that an existing topic is brought back to. Absent: an existing one is left as it is. */
  readonly owned?: readonly string[];
}

const MIN_INSYNC = 'min.insync.replicas';
/** With three copies one broker may be away, and what was acknowledged is still on two. */
const enoughInSync = (replication: number): number | null => (replication >= 3 ? 2 : null);

/**
 * Creates a topic unless it exists, and patches the owned settings of an existing one. Safe to repeat and to run
 * concurrently. What an administrator set is kept: every setting that is not owned, and a `min.insync.replicas` that is
 * at least what our promises need. Replicas are left alone, and so are partitions: see {@link growTopic}.
 * @returns what was changed of an existing topic: before and after, by name
 * @throws CannotPatchConfigs when something has to be patched and the broker cannot
 */
export async function ensureTopic(
  kafka: Kafka,
  wanted: WantedTopic,
  log?: Log,
): Promise<Readonly<Record<string, { readonly before: string | null; readonly after: string }>>> {
  const { topic, partitions, replication, settings, owned = [] } = wanted;
  return withAdmin(kafka, async (admin) => {
    const enough = enoughInSync(replication);
    const initial = { ...settings, ...(enough === null ? {} : { [MIN_INSYNC]: String(enough) }) };
    const created = await admin.createTopics({
      waitForLeaders: true,
      topics: [
        {
          topic,
          numPartitions: partitions,
          replicationFactor: replication,
          configEntries: Object.entries(initial).map(([name, value]) => ({ name, value })),
        },
      ],
    });
    if (created) {
      log?.info({ topic, partitions, replication, settings: initial }, 'created the topic');
      return {};
    }
    if (owned.length === 0) return {};
    const changes = differences(
      await describe(admin, topic, [...owned, MIN_INSYNC]),
      Object.fromEntries(owned.map((name) => [name, settings[name]!])),
      enoughInSync(await copiesOf(admin, topic)),
    );
    const after = Object.fromEntries(Object.entries(changes).map(([name, change]) => [name, change.after]));
    await patchTopicConfigs(kafka, topic, after);
    if (Object.keys(changes).length > 0) log?.info({ topic, changes }, 'patched the settings of the topic');
    return changes;
  });
}

interface Found {
  readonly value: string | null;
  /** Set on the topic itself, not the default of its broker. */
  readonly own: boolean;
}

function differences(
  found: ReadonlyMap<string, Found>,
  wanted: Readonly<Record<string, string>>,
  atLeastInSync: number | null,
): Record<string, { before: string | null; after: string }> {
  const changes: Record<string, { before: string | null; after: string }> = {};
  for (const [name, after] of Object.entries(wanted)) {
    const now = found.get(name);
    // A setting that equals the broker's default is set all the same: the default may change tomorrow.
    if (now?.own && now.value === after) continue;
    changes[name] = { before: now?.value ?? null, after };
  }
  const inSync = found.get(MIN_INSYNC)?.value ?? null;
  if (atLeastInSync !== null && Number(inSync ?? 0) < atLeastInSync) {
    changes[MIN_INSYNC] = { before: inSync, after: String(atLeastInSync) };
  }
  return changes;
}

const SET_ON_TOPIC = 1;

async function describe(
  admin: Admin,
  topic: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, Found>> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: [...names] }],
  });
  const entries = resources[0]?.configEntries ?? [];
  return new Map(
    entries.map(({ configName, configValue, configSource }) => [
      configName,
      // kafkajs' types call the source a text; it is a number.
      { value: configValue, own: (configSource as unknown) === SET_ON_TOPIC },
    ]),
  );
}

/** The number of copies of the partition that has the fewest. */
async function copiesOf(admin: Admin, topic: string): Promise<number> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  return Math.min(...topics.flatMap(({ partitions }) => partitions.map(({ replicas }) => replicas.length)));
}

/**
 * How many partitions a topic has; null when there is none of that name. Asks for all topics, since asking for one by
 * name may create it.
 */
export const countPartitions = (kafka: Kafka, topic: string): Promise<number | null> =>
  withAdmin(kafka, async (admin) => {
    const { topics } = await admin.fetchTopicMetadata();
    return topics.find(({ name }) => name === topic)?.partitions.length ?? null;
  });

/**
 * Adds partitions until the topic has `partitions`; never takes any away. Safe to repeat and to run concurrently.
 * **Keys hash to other partitions afterwards**: the caller takes care of the messages in the old ones.
 * @returns how many there were and how many there are; resolves once every new one has a leader
 * @throws Error when they have none after `timeoutMs`, or when the broker refuses
 */
export async function growTopic(
  kafka: Kafka,
  { topic, partitions }: { readonly topic: string; readonly partitions: number },
  { timeoutMs = 30_000, clock = SYSTEM_CLOCK }: { timeoutMs?: number; clock?: Clock } = {},
): Promise<{ readonly before: number; readonly now: number }> {
  return withAdmin(kafka, async (admin) => {
    const count = async () => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      const all = topics[0]?.partitions ?? [];
      return { all: all.length, led: all.filter(({ leader }) => leader >= 0).length };
    };
    const before = (await count()).all;
    if (before < partitions) {
      try {
        await admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] });
      } catch (err) {
        // The controller has as many already: another process was quicker, and the brokers do not show it yet.
        if ((err as { type?: unknown }).type !== 'INVALID_PARTITIONS') throw err;
      }
    }
    const deadline = clock.monotonic() + timeoutMs;
    for (;;) {
      const { all, led } = await count();
      if (all >= partitions && led === all) return { before, now: all };
      if (clock.monotonic() > deadline) {
        throw new Error(
          `${topic} has ${all} partitions of ${partitions} wanted, ${led} with a leader, after ${timeoutMs} ms`,
        );
      }
      await clock.pause(100);
    }
  });
}

async function withAdmin<T>(kafka: Kafka, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}
