import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { CALLER_HEADER, CALLERS, type Caller, UNKNOWN_CALLER } from '#contracts/callers.ts';
import { credentialOf } from '../../../auth/caller-credential.ts';

export const CALLER_FIELD = CALLER_HEADER.toLowerCase();

/** Recognises our own callers by the credential they send. */
export interface Callers {
  /** @param given the header's value; undefined when it was not sent */
  identify(given: string | string[] | undefined): Caller | typeof UNKNOWN_CALLER | null;
}

/** The page of ours that sent a request; null for everybody else, also for an unknown credential. */
export function pageOf(callers: Callers, { headers }: IncomingMessage): Caller | null {
  const caller = callers.identify(headers[CALLER_FIELD]);
  return caller === UNKNOWN_CALLER ? null : caller;
}

/**
 * All credentials are computed once, so a request costs only comparisons, which take the same time whatever was sent.
 * @param keys each of them is accepted: during a rotation our servers have different keys
 */
export function openCallers(keys: readonly string[]): Callers {
  const accepted = new Map<string, { readonly caller: Caller; readonly credentials: readonly Buffer[] }>(
    CALLERS.map((caller) => [
      caller,
      { caller, credentials: keys.map((key) => Buffer.from(credentialOf(key, caller))) },
    ]),
  );
  return {
    identify(given) {
      if (given === undefined) return null;
      if (typeof given !== 'string') return UNKNOWN_CALLER;
      const known = accepted.get(given.slice(0, given.indexOf('.')));
      const bytes = Buffer.from(given);
      let isKnown = false;
      for (const credential of known?.credentials ?? []) {
        const isSame = credential.length === bytes.length && timingSafeEqual(credential, bytes);
        isKnown = isSame || isKnown;
      }
      return known && isKnown ? known.caller : UNKNOWN_CALLER;
    },
  };
}
