import type { Counter } from 'prom-client';
import type { Log } from '#platform/log.ts';
import type { Span } from '#platform/span.ts';
import type { ChangeLog } from './change-log.ts';
import type { Answer, SellerList, SourceOfTruth } from './source-of-truth.ts';

export interface TruthReader {
  /**
   * The seller's list, never older than a write acknowledged before the call. An older answer is counted, and asked
   * for once more; if it is still older, the list is `unreachable` rather than shown stale.
   */
  read(sellerId: number, signal: AbortSignal, span?: Span): Promise<Answer<SellerList>>;
}

/** The source answered with a version older than one it had acknowledged. */
export class OlderThanAcknowledged extends Error {
  override name = 'OlderThanAcknowledged';
}

/** Holds every read against what was acknowledged: the promise of self-view, measured where it is given. */
export function openTruthReader(
  source: SourceOfTruth,
  changes: ChangeLog,
  violations: Counter,
  log: Log,
): TruthReader {
  return {
    async read(sellerId, signal, span) {
      // Known before the read is sent: a write acknowledged in the meantime may rightly be missing from it.
      const floor = await changes.acknowledgedVersion(sellerId).catch((err: unknown) => {
        log.warn({ err }, 'reads are not held against acknowledged writes: the database is out of reach');
        return 0;
      });
      let answer = await source.read(sellerId, signal, span);
      for (let attempt = 1; answer.outcome === 'done' && answer.value.version < floor; attempt += 1) {
        const { version } = answer.value;
        violations.inc();
        log.error(
          { sellerId, version, acknowledged: floor, attempt },
          'the source answered with an old list',
        );
        if (attempt === 2) {
          const cause = new OlderThanAcknowledged(
            `version ${version} was read after ${floor} was acknowledged`,
          );
          return { outcome: 'unreachable', cause };
        }
        answer = await source.read(sellerId, signal, span);
      }
      return answer;
    },
  };
}
