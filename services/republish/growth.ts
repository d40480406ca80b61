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
 * A topic gets more partitions while sellers write, relays relay and projectors project. A key hashes elsewhere then,
 * and two things would go wrong by themselves: nothing tells compaction to remove what the old partition holds of the
 * key, so that the tombstone of a later erasure stands in another partition than the names it is to remove; and a view
 * that is built anew would show them. So the count that messages are divided by is not the topic's, it is a row in the
 * source's database, and it changes in four steps, each of which may be repeated and be cut short at any point:
 *
 * 1. **The topic grows.** Nobody uses the new partitions yet. Projectors find them and read nothing.
 * 2. **One transaction changes the layout**: `partitions` is the new count, `moved_from` the old one.
 * 3. **Each seller whose partition changes is published again**, under the lock of its row: its state, which goes
 *    where the layout says; the tombstone behind it where the seller is erased; and then a marker, which goes to the
 *    old partition by its number. The progress commits with the messages.
 * 4. **Behind the last seller `moved_from` is cleared**, in the transaction of the last messages. A further growth
 *    begins only then, so there are never more than two layouts to think of.
 *
 * Why nothing is lost, and no name comes back:
 *
 * - **A marker stands behind everything of its seller in the old partition.** The relay reads the layout in the same
 *   statement, thus the same snapshot, as the rows. The marker's row commits after the layout did; so whoever sees the
 *   marker sees the new layout, and what the old layout put on its way was read before, by the same leader, whose
 *   batches arrive in the order in which they were read. A batch in flight, or taken ahead, is sent again with the
 *   partitions it has, never with new ones.
 * - **Rows that were inserted before step 2 and are relayed after it** go to the new partition. That is as good: only
 *   what *was sent* by the old layout is in the old partition.
 * - **No seller is missed.** What the old layout could put into an old partition was visible to a statement that did
 *   not see the new layout. The seller lists of step 3 are read by later statements, which therefore see its row. A
 *   seller that appears afterwards is in its new partition from the first message on.
 * - **A leader that was replaced (a zombie)** may have a request on its way. It stops writing 3 s after its last sign
 *   of life and its sockets are reset (lease.ts); what the broker had received by then it has long appended when the
 *   first marker follows, because step 3 begins 10 s after step 2 at the earliest. A request that comes later still
 *   breaks an order on any topic, grown or not; what it would leave behind is an old version, which no view that has
 *   the newer one takes, and which the comparison finds before a view built anew is shown.
 * - **Across partitions there is no order, and none is needed**: versions decide. A projector may read the new
 *   partition first or last, or find it minutes later; a state at a version that the view has does nothing.
 * - **Compaction** keeps of the old partition the marker, and later nothing; of the new one the newest state, or of an
 *   erased seller the tombstone, and later nothing. Marker and tombstone expire `delete.retention.ms` after they were
 *   compacted, by themselves: neither is needed once there is nothing before it. Were step 3 to stand still for longer
 *   than that, a tombstone could expire while the old partition still has names; an alert comes after 15 minutes.
 * - **Sellers who were erased before the growth** have version and row like all others: their empty state and a
 *   tombstone go to the new partition, the marker to the old one, whatever compaction has left there.
 * - **Sellers without a version** get the marker alone: the source says nothing of them, but a source that was restored
 *   to an earlier time may have.
 * - **Views that are built meanwhile** read all partitions, and find each seller's newest state in the one or the other.
 * - **A relay of the previous release** divides by what the topic has. The topic must therefore not grow before every
 *   relay reads the layout; this refuses to begin while none has stored one, and the operator waits for the rollout.
 * - **A failover that loses step 2** returns to the old layout, and the growth begins again. Sellers that went to their
 *   new partitions meanwhile have an older state there, which the next state of step 3 stands behind.
 *
 * The same markers cure a topic that was grown without all this: `movedFrom` names the count it had before.
 */

/** What is grown. */
export interface GrowingTopic {
  /** Null when it does not exist. */
  count(): Promise<number | null>;
  /** Null where somebody else gives the topic its partitions. */
  readonly grow: ((partitions: number) => Promise<void>) | null;
}

export interface GrowthOptions extends RunOptions {
  /** How many partitions messages shall be divided by. */
  readonly partitions: number;
  /** The topic was grown from so many by other means: leave markers where keys were then. */
  readonly movedFrom?: number | undefined;
  /** Between the new layout and the first marker, in ms. */
  readonly settleMs?: number;
  /** How long to wait for a topic that others grow, in ms. */
  readonly topicPatienceMs?: number;
}

/** What cannot be done as it was asked for; the message says what to change. */
export class GrowthRefused extends Error {
  override name = 'GrowthRefused';
}

const SETTLE_MS = 10_000;
const TOPIC_PATIENCE_MS = 120_000;
const EVERYBODY = { first: 0, last: Number.MAX_SAFE_INTEGER };
const runOf = (from: number, to: number) => `growth-${from}-${to}`;

/**
 * Brings the layout to so many partitions, whatever an earlier growth has left undone.
 * @param db a session of its own on the primary, which no other run uses
 * @returns the layout at the end
 * @throws GrowthRefused when it is not possible; else what database and Kafka throw: the growth can go on later
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
    // One of this name was finished if it is there: a layout that was restored, or a cure that is repeated.
    await removeRun(db, runOf(from, to));
    await beginRun(db, { request: runOf(from, to), ...EVERYBODY }, from);
  });

/** What a former leader had on its way has arrived by then, or never will. */
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
