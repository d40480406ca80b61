import type { ServerResponse } from 'node:http';
import { LIMITS } from '#contracts/client.ts';
import { PROBLEM_MEDIA_TYPE, PROBLEMS, problem } from '#contracts/problems.ts';
import type { Decided, WriteResult } from '../../app/ports.ts';
import { Unavailable } from '../../app/ports.ts';
import type { Rejection } from '../../domain/seller.ts';
import { observedOf } from './observation.ts';
import { etagOf } from './preconditions.ts';
import { Refusal, unavailable } from './refusal.ts';

/** An answer with its body as text. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: string;
}

/** Text of this many characters is encoded before it is sent: only bytes show how much a client has not read. */
const LARGE = 16_384;

export function send(res: ServerResponse, answer: HttpAnswer): void {
  const { json } = answer;
  const body = json !== undefined && json.length >= LARGE ? Buffer.from(json) : json;
  res.writeHead(answer.status, {
    'Cache-Control': 'no-store',
    ...(body === undefined
      ? {}
      : { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': Buffer.byteLength(body) }),
    ...answer.headers,
  });
  res.end(body);
}

/** The one place that turns an error into a problem document. */
export function sendProblem(res: ServerResponse, err: unknown): void {
  const observed = observedOf(res);
  const refusal = refusalOf(err);
  const { status } = PROBLEMS[refusal.type];
  if (status >= 500) observed.failure = refusal.more.cause ?? err;
  if (res.headersSent) {
    // The head is already sent. Cutting the body short tells the caller that the answer is incomplete.
    res.destroy();
    return;
  }
  const { errors, headers } = refusal.more;
  const body = JSON.stringify(
    problem(refusal.type, refusal.message, { instance: observed.requestId, ...(errors ? { errors } : {}) }),
  );
  res.writeHead(status, {
    'Content-Type': PROBLEM_MEDIA_TYPE,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    ...headers,
  });
  res.end(body);
}

function refusalOf(err: unknown): Refusal {
  if (err instanceof Refusal) return err;
  if (err instanceof Unavailable) {
    return unavailable(
      'the store cannot be reached or is too busy; try again. A change may have been stored all the same: ' +
        'sent again with the same Idempotency-Key it is done once',
      err,
    );
  }
  // Express throws this for a percent-encoding in the path that is not UTF-8.
  if (err instanceof URIError) {
    return new Refusal('invalid-request', 'the address has a percent-encoding that is not UTF-8', {
      errors: [{ at: 'path', message: 'is not UTF-8 when decoded' }],
    });
  }
  return new Refusal('internal', 'the request was not at fault; its id finds what happened in our logs', {
    cause: err,
  });
}

/** Turns the result of a command into its answer; `success` builds the answer of a command that was done. */
export function answerOf<T>(result: WriteResult<T>, success: (answer: T) => HttpAnswer): HttpAnswer {
  switch (result.kind) {
    case 'version-mismatch':
      throw new Refusal(
        'precondition-failed',
        `the list is at version ${result.version}; read it again and send If-Match: ${etagOf(result.version)}`,
        { headers: { ETag: etagOf(result.version) } },
      );
    case 'version-excluded':
      throw new Refusal(
        'precondition-failed',
        `the list is at version ${result.version}, and If-None-Match rules that out; leave it out, or send ` +
          `If-Match: ${etagOf(result.version)} to change that very version`,
        { headers: { ETag: etagOf(result.version) } },
      );
    case 'key-erased':
      throw new Refusal(
        'erased',
        'nothing was done: the seller was erased after this Idempotency-Key came first, and what it did went with it; ' +
          'send a new key if you want it done all the same',
      );
    case 'too-many-keys':
      throw new Refusal(
        'too-many-requests',
        `this seller has used ${LIMITS.idempotencyKeysPerSeller} idempotency keys within a day, and each is kept for a day; wait, or ` +
          'send the change without a key',
        { headers: { 'Retry-After': '3600' } },
      );
    case 'key-reused':
      throw new Refusal(
        'idempotency-key-reused',
        'this Idempotency-Key came with another method, address or body before; send a new key',
      );
    case 'replayed':
      return decidedAnswer(result.decided, success, { 'Idempotency-Replayed': 'true' });
    case 'committed':
    case 'unchanged':
      return decidedAnswer(result.decided, success, {});
  }
}

function decidedAnswer<T>(
  decided: Decided<T>,
  success: (answer: T) => HttpAnswer,
  replayed: Readonly<Record<string, string>>,
): HttpAnswer {
  if (decided.kind === 'rejected') throw refusalOfRejection(decided.rejection, replayed);
  const answer = success(decided.answer);
  return { ...answer, headers: { ETag: etagOf(decided.version), ...answer.headers, ...replayed } };
}

function refusalOfRejection(rejection: Rejection, headers: Readonly<Record<string, string>>): Refusal {
  switch (rejection.reason) {
    case 'too-many-clients':
      return new Refusal('too-many-clients', `a list holds ${rejection.limit} clients; remove one first`, {
        headers,
      });
    case 'duplicate-client':
      return new Refusal(
        'duplicate-client',
        `the client ${rejection.existingId} has this name; change that one or choose another name`,
        {
          headers,
          errors: [{ at: 'body.name', message: `is the name of the client ${rejection.existingId}` }],
        },
      );
    case 'unknown-client':
      return new Refusal('not-found', `the list has no client ${rejection.clientId}; read the list again`, {
        headers,
      });
    case 'period-reversed': {
      const message = `is ${rejection.to}, which is before from, ${rejection.from}`;
      return new Refusal('period-reversed', `change body.to or body.from: to ${message}`, {
        headers,
        errors: [{ at: 'body.to', message }],
      });
    }
    case 'order-mismatch': {
      const { missing, unknown, repeated } = rejection;
      const errors = [
        ...missing.map((id) => ({ at: 'body.clientIds', message: `leaves out ${id}` })),
        ...unknown.map((id) => ({ at: 'body.clientIds', message: `names ${id}, which is not in the list` })),
        ...repeated.map((id) => ({ at: 'body.clientIds', message: `names ${id} more than once` })),
      ];
      return new Refusal('order-mismatch', 'name each client of the list exactly once; read the list again', {
        headers,
        // A repeated request is refused without the ids: they were not stored.
        ...(errors.length > 0 ? { errors } : {}),
      });
    }
  }
}
