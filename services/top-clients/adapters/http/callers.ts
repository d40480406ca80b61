import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { LRUCache } from 'lru-cache';
import { CALLER_HEADER, CALLERS, Caller, UNKNOWN_CALLER } from '#contracts/callers.ts';
import { credentialOf } from '../../../auth/caller-credential.ts';

export const CALLER_FIELD = CALLER_HEADER.toLowerCase();

/** Recognises our own callers, and pages of others, by the credential they send. */
export interface Callers {
  /** @param given the header's value; undefined when it was not sent */
  identify(given: string | string[] | undefined): Caller | typeof UNKNOWN_CALLER | null;
}

/** The caller that sent a request; null for everybody else, also for an unknown credential. */
export function pageOf(callers: Callers, { headers }: IncomingMessage): Caller | null {
  const caller = callers.identify(headers[CALLER_FIELD]);
  return caller === UNKNOWN_CALLER ? null : caller;
}

/** Pages of others whose credentials are not computed anew for each request. */
const MOST_EXTERNAL_PAGES = 1_000;

/**
 * Credentials are computed once, so a request costs only comparisons, which take the same time whatever was sent. Those
 * of pages of others are computed when one is first right: nobody has to tell the source their names.
 * @param keys each of them is accepted: during a rotation our servers have different keys
 */
export function openCallers(keys: readonly string[]): Callers {
  const credentialsOf = (caller: Caller) => keys.map((key) => Buffer.from(credentialOf(key, caller)));
  const ours = new Map<Caller, readonly Buffer[]>(CALLERS.map((caller) => [caller, credentialsOf(caller)]));
  const external = new LRUCache<Caller, readonly Buffer[]>({ max: MOST_EXTERNAL_PAGES });
  return {
    identify(given) {
      if (given === undefined) return null;
      if (typeof given !== 'string') return UNKNOWN_CALLER;
      const caller = given.slice(0, given.indexOf('.'));
      const known = ours.get(caller) ?? external.get(caller);
      const credentials = known ?? (Caller.safeParse(caller).success ? credentialsOf(caller) : []);
      const bytes = Buffer.from(given);
      let isKnown = false;
      for (const credential of credentials) {
        const isSame = credential.length === bytes.length && timingSafeEqual(credential, bytes);
        isKnown = isSame || isKnown;
      }
      if (!isKnown) return UNKNOWN_CALLER;
      if (known === undefined) external.set(caller, credentials);
      return caller;
    },
  };
}
