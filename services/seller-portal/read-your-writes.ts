import type { Counter } from 'prom-client';
import type { SellerClients } from '#contracts/api.ts';
import type { Log } from '#platform/log.ts';
import type { SourceAnswer } from '../source-client/answer.ts';
import type { SourceApi } from '../source-client/source-api.ts';
import type { Call } from '../source-client/transport.ts';
import type { ChangeLog } from './change-log.ts';

export interface ReadYourWrites {
  /**
   * The seller's list, never older than a write acknowledged before the call. A stale answer is counted, and asked
   * for once more; if that is stale too, there is no answer.
   */
  list(sellerId: number, call: () => Call): Promise<SourceAnswer<SellerClients>>;
}

/** The source answered with a version older than one it had acknowledged. */
export class OlderThanAcknowledged extends Error {
  override name = 'OlderThanAcknowledged';
}

/** Compares every read with the newest acknowledged version: this measures the promise of the self-view. */
export function openReadYourWrites(
  source: Pick<SourceApi, 'list'>,
  changes: ChangeLog,
  violations: Counter,
  log: Log,
): ReadYourWrites {
  return {
    async list(sellerId, call) {
      // Known before the read is sent: a write acknowledged in the meantime may rightly be missing from it.
      const minVersion = await changes.acknowledgedVersion(sellerId).catch((err: unknown) => {
        log.warn({ err }, 'reads are not held against acknowledged writes: the database is out of reach');
        return 0;
      });
      let answer = await source.list(sellerId, call());
      for (let attempt = 1; answer.outcome === 'ok' && answer.value.version < minVersion; attempt += 1) {
        const { version } = answer.value;
        violations.inc();
        log.error({ sellerId, version, minVersion, attempt }, 'the source answered with a stale list');
        if (attempt === 2) {
          const cause = new OlderThanAcknowledged(
            `version ${version} was read after ${minVersion} was acknowledged`,
          );
          return { outcome: 'unknown', mayHaveArrived: true, cause };
        }
        answer = await source.list(sellerId, call());
      }
      return answer;
    },
  };
}
