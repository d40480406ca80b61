import type { Problem } from '#contracts/problems.ts';

/**
 * Why the source of truth gave no answer:
 *
 * - `timeout`: the deadline passed, or the caller gave up.
 * - `unreachable`: no connection could be made. Nothing was sent.
 * - `unknown`: it was sent, and no answer came back: a broken connection, a 5xx, or what does not fit the contract.
 * - `rejected`: by the bulkhead, because too many calls are in flight and too many wait. Nothing was sent.
 * - `open`: the circuit breaker is open. Nothing was sent.
 */
export type NoAnswer = 'timeout' | 'unreachable' | 'unknown' | 'rejected' | 'open';

export interface Refused {
  readonly outcome: 'refused';
  readonly problem: Problem;
  readonly retryAfterSeconds: number | null;
}

export interface Unanswered {
  readonly outcome: NoAnswer;
  /** Whether the source may have got the request: then a write may have been done or not. */
  readonly mayHaveArrived: boolean;
  readonly cause: Error;
}

/** What became of a call to the source of truth. */
export type SourceAnswer<T> = { readonly outcome: 'ok'; readonly value: T } | Refused | Unanswered;
export type SourceOutcome = SourceAnswer<unknown>['outcome'];

/** Thrown by the reader of an answer that came in time and does not fit the contract. */
export class NotTheContract extends Error {
  override name = 'NotTheContract';
}
