import { pause } from './lifecycle.ts';

/** A part's source of time; a simulation gives it another one. */
export interface Clock {
  /** Milliseconds since 1970, as the machine's clock says: it may jump either way. */
  now(): number;
  /** Milliseconds since some moment of this process: it only goes forward. */
  monotonic(): number;
  /** Resolves after `ms`, or at once when the signal aborts; never rejects. */
  pause(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The time of this process. */
export const SYSTEM_CLOCK: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  pause,
};
