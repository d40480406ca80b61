import type { RequestHandler } from 'express';
import RateLimiterMemory from 'rate-limiter-flexible/lib/RateLimiterMemory.js';
import RateLimiterRes from 'rate-limiter-flexible/lib/RateLimiterRes.js';
import { CALLER_HEADER, type Caller, isOwnCaller, UNKNOWN_CALLER } from '#contracts/callers.ts';
import { LABELS } from '#contracts/metrics.ts';
import { clientAt } from '#platform/client-address.ts';
import { type Log, seldom } from '#platform/log.ts';
import { openHiddenProxies } from '#platform/trusted-proxies.ts';
import type { Metrics } from '#role/metrics.ts';
import type { TokenVerifier } from '../../../auth/verifier.ts';
import { verdictOf } from './authentication.ts';
import { CALLER_FIELD, type Callers } from './callers.ts';
import { Refusal } from './refusal.ts';

export interface LimitSettings {
  /** Writes a minute for one seller; 0 for no limit. */
  readonly writesPerMinute: number;
  /** Requests a minute for a stranger's address, and for a signed-in seller; 0 for no limit. */
  readonly requestsPerMinute: number;
  /** Requests a minute for a page that identified itself, over all its servers; 0 for no limit. */
  readonly pageRequestsPerMinute: number;
}

/** Who sends a request, as limits distinguish it. */
export type Sender =
  | { readonly kind: 'page'; readonly caller: Caller }
  | { readonly kind: 'signed-in'; readonly sellerId: number }
  | { readonly kind: 'address'; readonly address: string };

/** What is limited: see `topclients_rate_limited_total`. */
export type Limited = 'seller' | Sender['kind'];

/** Counts in this process's memory: with n replicas behind a balancer a caller may send up to n times as much. */
export interface Limits {
  /** @throws Refusal 429 */
  request(sender: Sender): Promise<void>;
  /** @throws Refusal 429 */
  write(sellerId: number): Promise<void>;
}

/** @param onLimited called with the limit that refused a request */
export function openLimits(settings: LimitSettings, onLimited: (limit: Limited) => void): Limits {
  const limiter = (limit: Limited, points: number, what: string) => {
    if (points === 0) return async () => {};
    const memory = new RateLimiterMemory({ points, duration: WINDOW_MS / 1_000, keyPrefix: limit });
    const countedAs = bounded();
    return async (key: string | number) => {
      try {
        await memory.consume(countedAs(key));
      } catch (err) {
        if (!(err instanceof RateLimiterRes)) throw err;
        onLimited(limit);
        const seconds = Math.max(1, Math.ceil(err.msBeforeNext / 1_000));
        throw new Refusal('too-many-requests', `${what}: at most ${points} a minute; wait ${seconds} s`, {
          headers: { 'Retry-After': String(seconds) },
        });
      }
    };
  };
  const { writesPerMinute, requestsPerMinute, pageRequestsPerMinute } = settings;
  const perPage = limiter('page', pageRequestsPerMinute, 'this page sends too many requests');
  const perSignedIn = limiter('signed-in', requestsPerMinute, 'this seller sends too many requests');
  const perAddress = limiter('address', requestsPerMinute, 'this address sends too many requests');
  return {
    request(sender) {
      switch (sender.kind) {
        case 'page':
          return perPage(sender.caller);
        case 'signed-in':
          return perSignedIn(sender.sellerId);
        case 'address':
          return perAddress(clientAt(sender.address));
      }
    },
    write: limiter('seller', writesPerMinute, 'this seller sends too many changes'),
  };
}

const WINDOW_MS = 60_000;
/** Senders of one kind counted separately in a minute. That many counters take 9 MB, for two minutes at most. */
const MOST_SENDERS = 20_000;

/** The key under which a sender is counted. Beyond `MOST_SENDERS` in a minute, further senders share one limit. */
function bounded(): (key: string | number) => string | number {
  let known = new Set<string | number>();
  let since = performance.now();
  return (key) => {
    if (performance.now() >= since + WINDOW_MS) {
      known = new Set();
      since = performance.now();
    }
    if (known.has(key)) return key;
    if (known.size >= MOST_SENDERS) return 'all others';
    known.add(key);
    return key;
  };
}

/**
 * Limits a request by its sender: a page by its credential, a seller by a token, everybody else by the address
 * that the trusted proxies report. An address alone never identifies a page of ours.
 */
export function limitSenders(ports: {
  readonly callers: Callers;
  readonly verifier: TokenVerifier;
  readonly limits: Limits;
  readonly metrics: Metrics;
  readonly log: Log;
}): RequestHandler {
  const { callers, verifier, limits, log } = ports;
  const counter = ports.metrics.counter('topclients_source_senders_total');
  const counted = Object.fromEntries(
    LABELS.sender.values!.map((sender) => [sender, counter.labels({ sender })]),
  );
  for (const one of Object.values(counted)) one.inc(0);
  const warnUnknown = seldom(() =>
    log.warn(
      'a caller sent a credential that no key of ours made, and is limited as a stranger; see TC_CALLER_KEY, and TC_SOURCE_CREDENTIAL of pages',
    ),
  );
  const isHidden = openHiddenProxies(log);

  return async (req, res, next) => {
    const caller = callers.identify(req.headers[CALLER_FIELD]);
    if (caller !== null) res.setHeader(CALLER_HEADER, caller);
    if (caller !== null && caller !== UNKNOWN_CALLER) {
      counted[isOwnCaller(caller) ? caller : 'external']!.inc();
      await limits.request({ kind: 'page', caller });
      return next();
    }
    if (caller === UNKNOWN_CALLER) warnUnknown();
    // Here a token that cannot be verified counts as none; endpoints that need one report why.
    const verdict = await verdictOf(verifier, req)?.catch(() => null);
    const sellerId = verdict?.kind === 'caller' ? verdict.caller.sellerId : null;
    if (sellerId !== null) {
      counted['signed-in']!.inc();
      await limits.request({ kind: 'signed-in', sellerId });
      return next();
    }
    counted[caller === UNKNOWN_CALLER ? UNKNOWN_CALLER : isHidden(req) ? 'proxy' : 'stranger']!.inc();
    await limits.request({ kind: 'address', address: req.ip ?? '' });
    next();
  };
}
