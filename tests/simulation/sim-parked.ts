import { decodeEvent } from '#contracts/event-codec.ts';
import type { FullListRow } from '../../services/pages/views/full-list.ts';
import { fullList } from '../../services/pages/views/full-list.ts';
import type { ParkedMessage, Place, Retried, Superseding } from '../../services/projector/parked.ts';
import { isRowsFault } from '../../services/projector/row-fault.ts';
import type { Scheduler } from './scheduler.ts';
import type { Witness } from './witness.ts';

interface Parked extends ParkedMessage {
  attempts: number;
  nextTryAt: number;
}

/** Sooner than in services/projector/parked.ts, where the first retry comes after a minute, because a run is short. */
const FIRST_RETRY_MS = 5_000;
const LONGEST_MS = 20_000;
const RETRIES_AT_A_TIME = 100;

const placeOf = ({ partition, offset }: Place): string => `${partition}/${offset}`;

/** What the statements need of the view itself. */
interface ParkedView {
  readonly rows: ReadonlyMap<number, FullListRow>;
  readonly isNotifyQueueFull: boolean;
  upsert(rows: readonly FullListRow[], isMuted: boolean): number;
}

/** The table of parked messages, and the effect of the statements of services/projector/parked.ts. */
export class SimParked {
  readonly #database: ParkedView;
  readonly #scheduler: Scheduler;
  readonly #witness: Witness;
  readonly #messages = new Map<string, Parked>();

  constructor(database: ParkedView, scheduler: Scheduler, witness: Witness) {
    this.#database = database;
    this.#scheduler = scheduler;
    this.#witness = witness;
  }

  all(): readonly ParkedMessage[] {
    return [...this.#messages.values()];
  }

  /** Keeps a seller's newest message and the latest without a version, unless the view is past it. @returns the kept */
  park(messages: readonly ParkedMessage[]): Place[] {
    const parked = this.all();
    const kept = messages.filter(
      ({ sellerId, version, value, isReadable }) =>
        sellerId === null ||
        version === null ||
        ((this.#database.rows.get(sellerId)?.version ?? 0) < version &&
          !parked.some(
            (other) =>
              other.sellerId === sellerId &&
              ((other.version ?? 0) > version ||
                (!isReadable && other.version === version && other.value !== value)),
          )),
    );
    for (const message of kept) {
      this.#forget(
        (one) => one.sellerId === message.sellerId && one.sellerId !== null && isOlder(one, message),
      );
      this.#messages.set(placeOf(message), {
        ...message,
        attempts: 0,
        nextTryAt: this.#scheduler.now + FIRST_RETRY_MS,
      });
      this.#note('parks', message, message.reason);
    }
    return kept.map(({ partition, offset }) => ({ partition, offset }));
  }

  /** Compares by version, or by offset when a version is unknown. */
  supersede(applied: readonly Superseding[]): void {
    for (const { sellerId, version, partition, offset, isFinal } of applied) {
      this.#forget((one) => {
        if (one.sellerId !== sellerId) return false;
        if (isFinal && one.partition === partition && one.offset < offset) return true;
        if (one.version !== null && version !== null) return one.version <= version;
        return one.partition === partition ? one.offset < offset : isFinal;
      });
    }
  }

  sellers(): Array<number | null> {
    const sellers = this.all().map(({ sellerId }) => sellerId);
    return [...new Set(sellers.filter((one) => one !== null)), ...sellers.filter((one) => one === null)];
  }

  makeDue(partitions: readonly number[]): void {
    for (const one of this.#messages.values()) {
      if (partitions.includes(one.partition)) one.nextTryAt = Math.min(one.nextTryAt, this.#scheduler.now);
    }
  }

  due(partitions: readonly number[]): Place[] {
    return [...this.#messages.values()]
      .filter(
        ({ partition, nextTryAt }) => partitions.includes(partition) && nextTryAt <= this.#scheduler.now,
      )
      .slice(0, RETRIES_AT_A_TIME);
  }

  /** @returns null when somebody else was faster @throws when the database fails for another reason than the row */
  retry(place: Place, lost: AbortSignal): Retried | null {
    const one = this.#messages.get(placeOf(place));
    if (one === undefined || one.nextTryAt > this.#scheduler.now) return null;
    const done = (result: Retried['result'], reason: string | null = null): Retried => {
      if (result === 'remains') {
        one.attempts += 1;
        one.nextTryAt = this.#scheduler.now + Math.min(LONGEST_MS, FIRST_RETRY_MS * 2 ** one.attempts);
      } else this.#messages.delete(placeOf(place));
      this.#note(`a retry, ${result}:`, one, reason ?? '');
      return { partition: one.partition, offset: one.offset, sellerId: one.sellerId, result, reason };
    };
    const held = one.sellerId === null ? undefined : this.#database.rows.get(one.sellerId);
    const decoded = decodeEvent(one);
    if (held && one.version !== null && held.version >= one.version) return done('superseded');
    if (decoded.kind === 'unreadable') return done('remains', decoded.reason);
    if (decoded.kind !== 'event') return done('superseded');
    try {
      const changed = this.#database.upsert(
        [fullList.toRow(decoded.event) as FullListRow],
        // When the notification queue is full, the retry writes without a notification.
        this.#database.isNotifyQueueFull,
      );
      return done(changed > 0 ? 'applied' : 'superseded');
    } catch (err) {
      if (!isRowsFault(err, lost)) throw err;
      return done('remains', `the view refuses it: ${(err as Error).message}`);
    }
  }

  #forget(which: (one: Parked) => boolean): void {
    for (const [place, one] of this.#messages) {
      if (!which(one)) continue;
      this.#messages.delete(place);
      this.#note('forgets the parked', one, '');
    }
  }

  #note(what: string, { partition, offset, sellerId }: ParkedMessage, more: string): void {
    this.#witness.note('view', () => `${what} ${partition}@${offset} ${more}`, {
      partition,
      ...(sellerId === null ? {} : { seller: sellerId }),
    });
  }
}

const isOlder = (parked: ParkedMessage, than: ParkedMessage): boolean => {
  if (parked.version !== null && than.version !== null && parked.version !== than.version) {
    return parked.version < than.version;
  }
  if (than.version === null && parked.version !== null) return false;
  if (parked.partition === than.partition) return parked.offset < than.offset;
  return parked.version !== null && parked.version === than.version;
};
