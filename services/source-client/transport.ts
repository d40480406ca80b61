import {
  BrokenCircuitError,
  BulkheadRejectedError,
  bulkhead,
  CircuitState,
  CountBreaker,
  circuitBreaker,
  handleAll,
} from 'cockatiel';
import { Problem } from '#contracts/problems.ts';
import { SPAN } from '#contracts/traces.ts';
import { openClientPool } from '#platform/client-pool.ts';
import type { Log } from '#platform/log.ts';
import { NO_SPAN, type Span } from '#platform/span.ts';
import { NotTheContract, type Refused, type SourceAnswer, type SourceOutcome } from './answer.ts';
import type { CallerIdentity } from './caller-identity.ts';

/** What one call brings along. */
export interface Call {
  /** For all of it, in ms: waiting for a slot, connecting, the headers of the answer and its body. */
  readonly deadlineMs: number;
  /** Ends it before that. */
  readonly signal?: AbortSignal | undefined;
  /** For the logs of both sides. */
  readonly requestId?: string | undefined;
  /** Span of the work that asks: the call becomes a part of it. */
  readonly span?: Span | undefined;
}

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** One operation of the contract, with the reading of its answer. */
export interface SourceRequest<T> {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  /** Below `/v1`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON text. */
  readonly body?: string;
  /** Whether a refusal counts as a failure of the source. A seller's refused change does not. */
  readonly mustBeAnswered?: boolean;
  /** Whether it changes nothing, so that it may arrive twice. A GET is. */
  readonly isRead?: boolean;
  /**
   * Reads the body of a 2xx; null where there is none.
   * @throws NotTheContract
   */
  readonly read: (body: unknown, headers: Headers) => T;
}

/** The one way to the source of truth. A call never throws, and never outlives its deadline. */
export interface Transport {
  ask<T>(request: SourceRequest<T>, call: Call): Promise<SourceAnswer<T>>;
  close(): Promise<void>;
}

export interface TransportSettings {
  /** Base address of the source of truth, without `/v1`. */
  readonly url: string;
  /** Calls in flight; as many again may wait. */
  readonly concurrency: number;
  /** How long the open circuit breaker keeps calls away before it lets one try, in ms. */
  readonly breakMs: number;
  /** How the caller says who it is. */
  readonly identity: CallerIdentity;
}

/** What the caller counts. */
export interface Observer {
  ended(outcome: SourceOutcome, tookMs: number): void;
  /** A read was sent once more, on another connection. */
  resent(): void;
  circuitOpened(): void;
  circuitClosed(): void;
}
export const UNOBSERVED: Observer = { ended() {}, resent() {}, circuitOpened() {}, circuitClosed() {} };

// 48 sellers with 20 clients of 800 bytes each; more than that is not an answer of the source.
const LARGEST_ANSWER = 4 * 1024 * 1024;

/** Errors of a connection that never came about. */
const NOT_CONNECTED = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const isNotConnected = (err: unknown): boolean =>
  (err instanceof AggregateError && err.errors.length > 0 && err.errors.every(isNotConnected)) ||
  NOT_CONNECTED.has(String((err as { code?: unknown } | null)?.code));

/** Errors of a connection that the other side closed. */
const CLOSED = new Set<unknown>(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

/** An answer came, and it neither brings what was asked for nor says by the contract why not. */
class NotAnAnswer extends Error {
  override name = 'NotAnAnswer';
}

/** Nobody waits for the answer any more. */
class GivenUp extends Error {
  override name = 'GivenUp';
}

/** Thrown inside, where the breaker counts it. */
class RefusedInstead extends Error {
  override name = 'RefusedInstead';
  readonly answer: Refused;

  constructor(answer: Refused) {
    super(answer.problem.title);
    this.answer = answer;
  }
}

/** How far a call came. */
interface Progress {
  isSent: boolean;
  status: number | null;
}

export function openTransport(
  settings: TransportSettings,
  log: Log,
  observer: Observer = UNOBSERVED,
): Transport {
  const origin = new URL(settings.url);
  const prefix = `${origin.pathname.replace(/\/+$/, '')}/v1`;
  const peer = {
    [SPAN.host]: origin.hostname,
    [SPAN.port]: Number(origin.port || (origin.protocol === 'https:' ? 443 : 80)),
  };
  const common = { accept: 'application/json', ...settings.identity.headers };
  const pool = openClientPool(origin.origin, {
    connections: settings.concurrency,
    pipelining: 1,
    connect: { timeout: 1_000 },
    // A call is ended by its deadline; these timeouts end what is left when a signal was missed.
    headersTimeout: 5_000,
    bodyTimeout: 5_000,
    maxResponseSize: LARGEST_ANSWER,
  });
  const slots = bulkhead(settings.concurrency, settings.concurrency);
  const breaker = circuitBreaker(handleAll, {
    halfOpenAfter: settings.breakMs,
    breaker: new CountBreaker({ threshold: 0.5, size: 20, minimumNumberOfCalls: 5 }),
  });
  breaker.onBreak(() => {
    observer.circuitOpened();
    log.warn(
      { breakMs: settings.breakMs },
      'the source of truth keeps failing: the circuit breaker is open, and it is not asked for now',
    );
  });
  breaker.onReset(() => {
    observer.circuitClosed();
    log.info('the source of truth answers again: the circuit breaker is closed');
  });

  async function exchange<T>(
    request: SourceRequest<T>,
    { requestId }: Call,
    traceparent: string | null,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<SourceAnswer<T>> {
    progress.isSent = true;
    const answer = await pool.request({
      method: request.method,
      path: prefix + request.path,
      headers: {
        ...common,
        ...(requestId === undefined ? {} : { 'x-request-id': requestId }),
        ...(traceparent === null ? {} : { traceparent }),
        ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...request.headers,
      },
      body: request.body ?? null,
      signal,
    });
    const { statusCode: status, headers } = answer;
    settings.identity.heard(headers);
    progress.status = status;
    const text = await answer.body.text();
    if (status >= 200 && status < 300) {
      return { outcome: 'ok', value: request.read(text === '' ? null : parsed(text), headers) };
    }
    const problem = problemIn(text);
    if (problem === null || status < 400 || status >= 500) {
      const why = problem === null ? '' : `: ${problem.detail}`;
      throw new NotAnAnswer(`${request.path} answered ${status}${why}`);
    }
    const retryAfter = String(headers['retry-after']);
    const retryAfterSeconds = /^\d+$/.test(retryAfter) ? Number(retryAfter) : null;
    const refused: Refused = { outcome: 'refused', problem, retryAfterSeconds };
    if (request.mustBeAnswered) throw new RefusedInstead(refused);
    return refused;
  }

  /**
   * A kept connection may be closed by the source while a request is on its way: every client that keeps connections
   * sends what is safe to send twice on another one (RFC 9110, 9.2.2).
   */
  async function exchangeOrResend<T>(
    request: SourceRequest<T>,
    call: Call,
    traceparent: string | null,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<SourceAnswer<T>> {
    try {
      return await exchange(request, call, traceparent, progress, signal);
    } catch (err) {
      const isRead = request.isRead ?? request.method === 'GET';
      const wasClosed = CLOSED.has((err as { code?: unknown }).code) && progress.status === null;
      if (!isRead || !wasClosed || signal.aborted) throw err;
      observer.resent();
      return exchange(request, call, traceparent, progress, signal);
    }
  }

  function ask<T>(request: SourceRequest<T>, call: Call): Promise<SourceAnswer<T>> {
    const began = performance.now();
    const span = (call.span ?? NO_SPAN).begin('client', request.method);
    return new Promise((resolve) => {
      const progress: Progress = { isSent: false, status: null };
      const abort = new AbortController();
      let hasEnded = false;
      let timer: NodeJS.Timeout | undefined;
      const end = (answer: SourceAnswer<T>) => {
        if (hasEnded) return;
        hasEnded = true;
        clearTimeout(timer);
        call.signal?.removeEventListener('abort', cancel);
        observer.ended(answer.outcome, performance.now() - began);
        if (span.isRecorded) {
          span.end({
            attributes: {
              ...peer,
              [SPAN.method]: request.method,
              [SPAN.url]: origin.origin + prefix + request.path,
              ...(progress.status === null ? {} : { [SPAN.status]: progress.status }),
            },
            error: errorIn(answer),
          });
        }
        if ('mayHaveArrived' in answer && answer.mayHaveArrived) {
          const { outcome, cause: err } = answer;
          log.debug({ requestId: call.requestId, outcome, err }, 'no answer of the source of truth');
        }
        resolve(answer);
      };
      const giveUp = (when: string) => {
        abort.abort();
        end({
          outcome: 'timeout',
          mayHaveArrived: progress.isSent,
          cause: new GivenUp(`${request.path} was not answered ${when}`),
        });
      };
      const cancel = () => giveUp('before the caller gave up');
      // A call without time is not sent: its certain failure would be held against the source.
      if (call.deadlineMs <= 0) return giveUp('because there was no time left for it');
      if (call.signal?.aborted) return cancel();
      call.signal?.addEventListener('abort', cancel, { once: true });
      timer = setTimeout(() => giveUp(`within ${Math.round(call.deadlineMs)} ms`), call.deadlineMs);
      slots
        .execute(() => {
          // One call tries a half-open circuit. The others fail at once; the library would let them wait.
          if (breaker.state === CircuitState.HalfOpen) throw new BrokenCircuitError();
          return breaker.execute(() =>
            exchangeOrResend(request, call, span.traceparent, progress, abort.signal),
          );
        }, abort.signal)
        .then(end, (err: Error) => {
          if (err instanceof RefusedInstead) end(err.answer);
          else if (err instanceof BrokenCircuitError) {
            end({ outcome: 'open', mayHaveArrived: false, cause: err });
          } else if (err instanceof BulkheadRejectedError) {
            end({ outcome: 'rejected', mayHaveArrived: false, cause: err });
          } else if (isNotConnected(err)) end({ outcome: 'unreachable', mayHaveArrived: false, cause: err });
          else end({ outcome: 'unknown', mayHaveArrived: true, cause: err });
        });
    });
  }

  return { ask, close: () => pool.destroy() };
}

/** @throws NotTheContract without the text in its message: it may be a seller's */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new NotTheContract('the answer is no JSON');
  }
}

function problemIn(text: string): Problem | null {
  try {
    return Problem.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

function errorIn(answer: SourceAnswer<unknown>): string | undefined {
  if (answer.outcome === 'ok') return undefined;
  return answer.outcome === 'refused' ? String(answer.problem.status) : answer.outcome;
}
