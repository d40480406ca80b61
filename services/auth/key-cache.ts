import type { JWTVerifyGetKey } from 'jose';
import { JWKSNoMatchingKey } from 'jose/errors';
import { Backoff } from '#platform/backoff.ts';
import type { Clock } from '#platform/clock.ts';
import { within } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { Metrics } from '#role/metrics.ts';
import { fetchKeys, type PublishedKeys } from './fetch-keys.ts';
import type { IdentityConfig } from './settings.ts';

/** A token with an unknown key causes a fetch, but not more often than this, however many such tokens come. */
const COOLDOWN_MS = 10_000;
/** Between failed fetches. */
const BACKOFF = { firstMs: 1_000, longestMs: 5_000 };
/** How long a token waits for a fetch of keys. Less than a page's deadline, whatever the fetch may take. */
const MOST_WAIT_MS = 500;
/** How many tokens wait at once: a client that makes up unknown keys must not hold all the requests that are served. */
const MOST_WAITING = 32;
const REPEAT_LOG_MS = 60_000;

/** No keys are trusted; or none is the token's, and it is not known whether there is a newer one. */
export class KeysUnavailable extends Error {
  override name = 'KeysUnavailable';
}

/**
 * The keys of the identity provider. They are fetched again at regular intervals, and at once when a token names an
 * unknown one. A key that the provider no longer publishes is not trusted any more. While the provider does not answer,
 * its last keys stay in use until they are `jwksMaxAgeMs` old: then nobody is let in.
 */
export interface KeyCache {
  /** For `jwtVerify`. @throws KeysUnavailable; errors of jose when no key fits the token */
  readonly find: JWTVerifyGetKey;
  /** A sentence when no keys are trusted; null otherwise. */
  missingBecause(): string | null;
  close(): Promise<void>;
}

export function openKeyCache(
  config: Pick<
    IdentityConfig,
    'jwksUrl' | 'jwksTimeoutMs' | 'jwksRefreshMs' | 'jwksMaxAgeMs' | 'jwtAlgorithms'
  >,
  { log, metrics, clock }: { log: Log; metrics: Metrics; clock: Clock },
): KeyCache {
  const fetches = metrics.counter('topclients_identity_key_fetches_total');
  for (const result of ['ok', 'failed'] as const) fetches.inc({ result }, 0);
  const fetchedAt = metrics.gauge('topclients_identity_keys_fetched_timestamp_seconds');
  fetchedAt.set(0);

  const closing = new AbortController();
  let newest: { readonly keys: PublishedKeys; readonly askedAt: number } | null = null;
  const backoff = new Backoff(BACKOFF);
  let isFailing = false;
  let failure = new KeysUnavailable('no keys have been fetched yet');
  let failureLoggedAt = Number.NEGATIVE_INFINITY;
  let hasExpired = false;
  /** Until then no token causes another fetch. */
  let restUntil = Number.NEGATIVE_INFINITY;
  let fetching: Promise<void> | null = null;
  let waiting = 0;
  let retrySooner = new AbortController();

  const trusted = (): PublishedKeys | null =>
    newest !== null && clock.monotonic() - newest.askedAt <= config.jwksMaxAgeMs ? newest.keys : null;

  const succeeded = (keys: PublishedKeys, askedAt: number) => {
    const before = newest?.keys.ids.join(' ');
    if (isFailing || before !== keys.ids.join(' '))
      log.info({ keys: keys.ids }, 'fetched the keys of tokens');
    newest = { keys, askedAt };
    isFailing = false;
    backoff.reset();
    hasExpired = false;
    failureLoggedAt = Number.NEGATIVE_INFINITY;
    restUntil = clock.monotonic() + COOLDOWN_MS;
    fetches.inc({ result: 'ok' });
    fetchedAt.set(clock.now() / 1_000);
  };

  const failed = (err: unknown) => {
    if (closing.signal.aborted) return;
    isFailing = true;
    failure = new KeysUnavailable((err as Error).message, { cause: err });
    restUntil = clock.monotonic() + backoff.next();
    fetches.inc({ result: 'failed' });
    tellOfFailure(err);
    retrySooner.abort();
  };

  const tellOfFailure = (err: unknown) => {
    const now = clock.monotonic();
    const expired = trusted() === null;
    if (now < failureLoggedAt + REPEAT_LOG_MS && expired === hasExpired) return;
    failureLoggedAt = now;
    hasExpired = expired;
    const trustedForMs = newest === null ? 0 : Math.max(0, newest.askedAt + config.jwksMaxAgeMs - now);
    if (expired)
      log.error({ err }, 'the keys of tokens cannot be fetched: nobody who needs a token is let in');
    else
      log.warn(
        { err, trustedForMs },
        'the keys of tokens cannot be fetched; those known stay in use for a time',
      );
  };

  /** One request at a time, however many want one. Never rejects. */
  const fetchOnce = (): Promise<void> => {
    const askedAt = clock.monotonic();
    fetching ??= fetchKeys(config.jwksUrl, config.jwtAlgorithms, config.jwksTimeoutMs, closing.signal)
      .then((keys) => succeeded(keys, askedAt), failed)
      .finally(() => {
        fetching = null;
      });
    return fetching;
  };

  /** Waits for keys that may be newer than those known. @throws KeysUnavailable when there are none in time */
  const lookAgain = async (): Promise<PublishedKeys> => {
    if (fetching !== null || clock.monotonic() >= restUntil) {
      if (waiting >= MOST_WAITING) throw new KeysUnavailable('too many tokens wait for the keys');
      waiting += 1;
      try {
        await within(MOST_WAIT_MS, 'fetching the keys of tokens', fetchOnce(), clock);
      } catch (cause) {
        throw new KeysUnavailable((cause as Error).message, { cause });
      } finally {
        waiting -= 1;
      }
    }
    const keys = trusted();
    // While the provider does not answer, an unknown key may be its newest.
    if (keys === null || isFailing) throw failure;
    return keys;
  };

  const keepFresh = async () => {
    while (!closing.signal.aborted) {
      const due = isFailing
        ? restUntil
        : (newest?.askedAt ?? Number.NEGATIVE_INFINITY) + config.jwksRefreshMs;
      const now = clock.monotonic();
      if (now >= due) await fetchOnce();
      else {
        // If a fetch for a token fails, the next fetch comes sooner.
        retrySooner = new AbortController();
        await clock.pause(due - now, AbortSignal.any([closing.signal, retrySooner.signal]));
      }
    }
  };
  const fresh = keepFresh();

  return {
    async find(header, token) {
      const known = trusted();
      if (known !== null) {
        try {
          return await known.find(header, token);
        } catch (err) {
          if (!(err instanceof JWKSNoMatchingKey)) throw err;
        }
      }
      return (await lookAgain()).find(header, token);
    },
    missingBecause: () =>
      trusted() === null ? `the keys that tokens are judged by cannot be had: ${failure.message}` : null,
    async close() {
      closing.abort();
      await fresh;
    },
  };
}
