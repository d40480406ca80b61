import type { ProblemType } from '#contracts/problems.ts';

/**
 * A refusal, thrown where a request is read and answered by `sendProblem`. `detail` tells the caller what to change.
 */
export class Refusal extends Error {
  override name = 'Refusal';
  readonly type: ProblemType;
  readonly more: RefusalMore;

  constructor(type: ProblemType, detail: string, more: RefusalMore = {}) {
    super(detail, more.cause === undefined ? undefined : { cause: more.cause });
    this.type = type;
    this.more = more;
  }
}

interface RefusalMore {
  /** The failing members of the request. */
  readonly errors?: Array<{ at: string; message: string }>;
  readonly headers?: Readonly<Record<string, string>>;
  /** For the log, never for the caller. */
  readonly cause?: unknown;
}

/** A dependency of this answer is down: the caller may try again after the given seconds. */
export const unavailable = (detail: string, cause?: unknown, retryAfterSeconds = 1): Refusal =>
  new Refusal('unavailable', detail, { headers: { 'Retry-After': String(retryAfterSeconds) }, cause });
