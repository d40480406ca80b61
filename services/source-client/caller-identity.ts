import { CALLER_HEADER, UNKNOWN_CALLER } from '#contracts/callers.ts';
import type { Log } from '#platform/log.ts';
import type { Metrics } from '#role/metrics.ts';

/** How a page tells the source of truth who it is, and whether the source knows it. */
export interface CallerIdentity {
  /** Sent with every call, beside a seller's token if there is one. */
  readonly headers: Readonly<Record<string, string>>;
  /** Takes the headers of an answer; logs it once when the source begins or ceases to know the page. */
  heard(answer: Readonly<Record<string, string | string[] | undefined>>): void;
}

const FIELD = CALLER_HEADER.toLowerCase();

/**
 * @param credential null for a page that has none: the source then limits it as a stranger
 * @param setting where it is given, for messages
 */
export function openCallerIdentity(
  credential: string | null,
  page: string,
  {
    log,
    metrics,
    setting = 'TC_SOURCE_CREDENTIAL',
  }: { readonly log: Log; readonly metrics: Metrics; readonly setting?: string },
): CallerIdentity {
  const gauge = metrics.gauge('topclients_page_known_to_source').labels({ page });
  let isKnown = credential !== null;
  gauge.set(isKnown ? 1 : 0);
  if (credential === null) {
    log.warn(
      { page },
      `${setting} is not set: the source of truth takes this page for a stranger, and limits it as one`,
    );
  }
  return {
    headers: credential === null ? {} : { [FIELD]: credential },
    heard(answer) {
      const who = answer[FIELD];
      // A proxy's own answer, or one of a source before this version, says nothing.
      if (credential === null || who === undefined) return;
      const was = isKnown;
      isKnown = who !== UNKNOWN_CALLER;
      gauge.set(isKnown ? 1 : 0);
      if (was && !isKnown) {
        log.warn(
          { page },
          'the source of truth does not know the credential of this page, and limits it as a stranger: TC_SOURCE_CREDENTIAL was not made from a key that the source accepts',
        );
      } else if (!was && isKnown) log.info({ page }, 'the source of truth knows the credential of this page');
    },
  };
}

/** An identity that counts nothing: for a test, or a demonstration. */
export const plainIdentity = (credential: string | null): CallerIdentity => ({
  headers: credential === null ? {} : { [FIELD]: credential },
  heard() {},
});
