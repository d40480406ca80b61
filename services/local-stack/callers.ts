import type { Caller } from '#contracts/callers.ts';
import { credentialOf } from '../auth/caller-credential.ts';

/** The key of a source that tests start; its pages' credentials are made from it. */
export const CALLER_KEY = 'only-for-tests-and-measurements-0123456789';
export const credential = (caller: Caller): string => credentialOf(CALLER_KEY, caller);
