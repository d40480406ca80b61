import { SYSTEM_CLOCK } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { Queryable } from '#platform/postgres.ts';
import {
  changeLayout,
  type PartitionLayout,
  readLayout,
} from '../top-clients/adapters/postgres/partition-layout.ts';
import { removeRun } from '../top-clients/adapters/postgres/republish-runs.ts';
import { beginRun, finishRun, inOneTransaction, type RunOptions } from './run.ts';

/*
 * A topic gets more partitions while sellers write, relays send and projectors apply. Keys then hash to other
 * partitions, and without care two things go wrong. Compaction does not remove what the old partition holds of a key:
 * the tombstone of a later erasure is in another partition than the names it should remove. And a view that is built
 * anew would show those names. So messages are not divided by the topic's number of partitions but by a row in the
 * source's database. It changes in four steps, each of which may be repeated and may be interrupted at any point:
 *
 * 1. **The topic grows.** Nobody uses the new partitions yet. Projectors find them and read nothing.
 * 2. **One transaction changes the layout**: `partitions` is the new count, `moved_from` the old one.
 * 3. **Each seller whose partition changes is published again**, under the lock of its row: its state, which goes where
 *    the layout says; the tombstone behind it if the seller is erased; and then a marker, which names the old
 *    partition. The progress commits with the messages.
 * 4. **After the last seller `moved_from` is cleared**, in the transaction of the last messages. A further growth
 *    begins only then, so there are never more than two layouts at a time.
 *
 * Why nothing is lost, and no name comes back:
 *
 * - **A marker is behind everything of its seller in the old partition.** The relay reads the layout in the same
 *   statement, and so in the same snapshot, as the rows. The marker's row commits after the layout did, so whoever sees
 *   the marker sees the new layout. What was sent by the old layout was read before, by the same leader, whose batches
 *   arrive in the order in which they were read. A batch in flight, or fetched ahead, is retried with the partitions it
 *   has, never with new ones.
 * - **Rows that were inserted before step 2 and are relayed after it** go to the new partition. That does no harm: the
 *   old partition holds only what *was sent* by the old layout.
 * - **No seller is missed.** A row that was sent by the old layout was visible to a statement that did not see the new
 *   layout. The seller lists of step 3 are read by later statements, which therefore see that seller's row. A seller
 *   that appears afterwards is in its new partition from the first message on.
 * - **A leader that was replaced (a zombie)** may have a request in flight. It stops writing 3 s after its last sign of
 *   life, and its sockets are reset (lease.ts). Step 3 begins 10 s after step 2 at the earliest, so the broker has
 *   appended what it had received long before the first marker. A request that arrives still later breaks the order on
 *   any topic, grown or not. It leaves an old version behind. No view that has the newer version takes it, and the
 *   comparison finds it before a view built anew is shown.
 * - **Across partitions there is no order, and none is needed**: versions decide. A projector may read the new
 *   partition first or last, or find it minutes later; a state at a version that the view already has changes nothing.
 * - **Compaction** keeps of the old partition the marker, and later nothing. Of the new one it keeps the newest state;
 *   of an erased seller it keeps the tombstone, and later nothing. Marker and tombstone expire `delete.retention.ms`
 *   after they were compacted: neither is needed once there is nothing before it. If step 3 stood still for longer than
 *   that, a tombstone could expire while the old partition still has names; an alert fires after 15 minutes.
 * - **Sellers who were erased before the growth** have a version and a row like all others: their empty state and a
 *   tombstone go to the new partition, the marker to the old one, whatever compaction has left there.
 * - **Sellers without a version** get only the marker: the source has nothing to publish of them, but it may have been
 *   restored to an earlier time, after it had published something.
 * - **Views that are built meanwhile** read all partitions, and find each seller's newest state in one or the other.
 * - **A relay of the previous release** divides by what the topic has. The topic must therefore not grow before every
 *   relay reads the layout; this refuses to begin while none has stored one, and the operator waits for the rollout.
 * - **A failover that loses step 2** returns to the old layout, and the growth begins again. Sellers that had already
 *   moved have an older state in their new partitions; the next state of step 3 comes behind it.
 *
 * The same markers repair a topic that was grown without these steps: `movedFrom` is the number of partitions it had.
 */

/** The topic to grow. */
export interface GrowingTopic {
  /** Null when it does not exist. */
  count(): Promise<number | null>;
  /** Null when somebody else gives the topic its partitions. */
  readonly grow: ((partitions: number) => Promise<void>) | null;
}

export interface GrowthOptions extends RunOptions {
  /** Among how many partitions messages should be divided. */
  readonly partitions: number;
  /** The topic had this many partitions and was grown by other means: leave markers in the old partitions. */
  readonly movedFrom?: number | undefined;
  /** The least time between the new layout and the first marker, in ms. */
  readonly settleMs?: number;
  /** How long to wait for a topic that others grow, in ms. */
  readonly topicPatienceMs?: number;
}

/** A request that cannot be carried out; the message says what to change. */
export class GrowthRefused extends Error {
  override name = 'GrowthRefused';
}

const SETTLE_MS = 10_000;
const TOPIC_PATIENCE_MS = 120_000;
const EVERYBODY = { first: 0, last: Number.MAX_SAFE_INTEGER };
const runOf = (from: number, to: number) => `growth-${from}-${to}`;

/**
 * Brings the layout to this many partitions, and first completes an earlier growth.
 * @param db a session of its own on the primary, which no other run uses
 * @returns the layout at the end
 * @throws GrowthRefused when it is not possible; else what database and Kafka throw: the growth can be resumed later
 */
export async function growPartitions(
  db: Queryable,
  topic: GrowingTopic,
  options: GrowthOptions,
  log: Log,
): Promise<PartitionLayout> {
  const { partitions, movedFrom, signal } = options;
  let cured = movedFrom === undefined;
  for (;;) {
    signal?.throwIfAborted();
    const layout = await readLayout(db);
    if (!layout) {
      throw new GrowthRefused(
        'no relay has stored yet by how many partitions messages are divided; start a relay of this version, and then this again',
      );
    }
    if (layout.movedFrom !== null) {
      await settle(layout, options);
      const done = await finishRun(db, runOf(layout.movedFrom, layout.partitions), options);
      log.info({ from: layout.movedFrom, to: layout.partitions, sellers: done }, 'all sellers have moved');
      continue;
    }
    if (!cured) {
      if (movedFrom! >= layout.partitions) {
        throw new GrowthRefused(
          `messages are divided among ${layout.partitions} partitions; the topic was grown from fewer, not from ${movedFrom}`,
        );
      }
      await begin(db, movedFrom!, layout.partitions);
      cured = true;
      continue;
    }
    if (partitions === layout.partitions) return layout;
    if (partitions < layout.partitions) {
      throw new GrowthRefused(
        `messages are divided among ${layout.partitions} partitions, and Kafka takes none away; ask for ${layout.partitions} or more instead of ${partitions}`,
      );
    }
    await growTo(topic, options, log);
    await begin(db, layout.partitions, partitions);
    log.info({ from: layout.partitions, to: partitions }, 'messages are divided among more partitions now');
  }
}

/** Step 2. */
const begin = (db: Queryable, from: number, to: number): Promise<void> =>
  inOneTransaction(db, async () => {
    await changeLayout(db, from, to);
    // An older run of this name was finished: the layout was restored, or the repair is repeated.
    await removeRun(db, runOf(from, to));
    await beginRun(db, { request: runOf(from, to), ...EVERYBODY }, from);
  });

/** Requests that a former leader had in flight have arrived by then, or never will. */
async function settle(
  { ageMs }: PartitionLayout,
  { settleMs = SETTLE_MS, clock = SYSTEM_CLOCK, signal }: GrowthOptions,
): Promise<void> {
  if (ageMs < settleMs) await clock.pause(settleMs - ageMs, signal);
}

/** Step 1. */
async function growTo(
  topic: GrowingTopic,
  { partitions, topicPatienceMs = TOPIC_PATIENCE_MS, clock = SYSTEM_CLOCK, signal }: GrowthOptions,
  log: Log,
): Promise<void> {
  const until = clock.monotonic() + topicPatienceMs;
  for (let asked = false; ; ) {
    signal?.throwIfAborted();
    const count = await topic.count();
    if (count !== null && count >= partitions) return;
    if (count !== null && topic.grow && !asked) {
      await topic.grow(partitions);
      asked = true;
      log.info({ from: count, to: partitions }, 'the topic has more partitions now');
    } else if (clock.monotonic() >= until) {
      throw new GrowthRefused(
        count === null
          ? 'the topic does not exist; create it with migrate --target topics'
          : `the topic has ${count} partitions; give it ${partitions}, and start this again`,
      );
    }
    await clock.pause(500, signal);
  }
}
