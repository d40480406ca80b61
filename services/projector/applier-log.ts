import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { ApplierObserver } from './applier.ts';

/** Parked messages that are logged in a minute; a foreign producer on the topic must not fill the log. */
const NAMED_IN_A_MINUTE = 60;

/** Logs what a person may have to look at: parked messages, the first unversioned tombstone, muted notifications. */
export function loggedApplier(
  observer: ApplierObserver,
  log: Log,
  clock: Clock = SYSTEM_CLOCK,
): ApplierObserver {
  let saidUnversioned = false;
  let minute = Number.NEGATIVE_INFINITY;
  let named = 0;
  return {
    ...observer,
    skipped(result, count) {
      observer.skipped(result, count);
      if (result !== 'unversioned' || saidUnversioned) return;
      saidUnversioned = true;
      log.warn('a tombstone does not tell which version it is of, and changes nothing; said once');
    },
    parked(message) {
      observer.parked(message);
      const now = Math.floor(clock.monotonic() / 60_000);
      if (now !== minute) named = 0;
      minute = now;
      named += 1;
      const { partition, sellerId, reason } = message;
      if (named <= NAMED_IN_A_MINUTE) {
        log.warn({ partition, offset: message.message.offset, sellerId, reason }, 'parked a message');
      }
      if (named === NAMED_IN_A_MINUTE) log.warn('names no more parked messages for a minute');
    },
    muted(isMuted) {
      observer.muted(isMuted);
      if (isMuted) {
        log.warn(
          'the queue of notifications of the database is full: writes without telling page servers until it has room; see which session listens and does not read',
        );
      } else log.info('notifies page servers of changes again');
    },
  };
}
