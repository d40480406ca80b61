import {
  BrokenCircuitError,
  BulkheadRejectedError,
  bulkhead,
  ConsecutiveBreaker,
  circuitBreaker,
  handleAll,
  wrap,
} from 'cockatiel';
import { Agent, request } from 'undici';
import { z } from 'zod';
import { Erasures, type ErasuresConfirmed } from '#contracts/api.ts';
import { Client, type NewClient } from '#contracts/client.ts';
import { PROBLEM_MEDIA_TYPE, Problem } from '#contracts/problems.ts';
import { SPAN } from '#contracts/traces.ts';
import { NO_SPAN, type Span } from '#platform/span.ts';
import type { CallerIdentity } from '../source-client/caller-identity.ts';

/** The list as the source of truth has it. */
const SellerList = z.object({
  version: z.int().min(0),
  clients: z.array(Client),
  updatedAt: z.string().nullish(),
});
export type SellerList = z.infer<typeof SellerList>;

/**
 * What became of a call. `refused`: the source said no, and why. `unreachable`: it was not asked, nothing has
 * changed. `unknown`: no answer came in time, so a write may have been done or not.
 */
export type Answer<T> =
  | { readonly outcome: 'done'; readonly value: T }
  | { readonly outcome: 'refused'; readonly problem: Problem; readonly retryAfterSeconds: number | null }
  | { readonly outcome: 'unreachable' | 'unknown'; readonly cause: Error };

/** `id` is the client's, where the call answers one. */
export interface Written {
  readonly version: number;
  readonly id: string | null;
}

/** What makes a write safe to send: who, on top of which version, and under which key a repetition is known. */
export interface WriteTerms {
  readonly token: string;
  readonly ifMatch: number;
  readonly idempotencyKey: string;
  /** The end of the page's own deadline. */
  readonly signal: AbortSignal;
  /** Of the page's request: the call becomes a part of it. */
  readonly span?: Span | undefined;
}

/** Reads and writes of one seller's list. Reads come from the primary: the contract of the source says so. */
export interface SourceOfTruth {
  read(sellerId: number, signal: AbortSignal, span?: Span): Promise<Answer<SellerList>>;
  add(sellerId: number, client: NewClient, terms: WriteTerms): Promise<Answer<Written>>;
  update(sellerId: number, clientId: string, client: NewClient, terms: WriteTerms): Promise<Answer<Written>>;
  remove(sellerId: number, clientId: string, terms: WriteTerms): Promise<Answer<Written>>;
  reorder(sellerId: number, clientIds: readonly string[], terms: WriteTerms): Promise<Answer<Written>>;
  /** A page of the erasures committed at or after an instant, oldest first; `next` is the instant of the next page. */
  erasures(since: string, signal: AbortSignal): Promise<Answer<Erasures>>;
  /** Reports that nothing from before these erasures, 500 at most, is left in the record of changes. */
  confirmErasures(erasures: ErasuresConfirmed['erasures'], signal: AbortSignal): Promise<Answer<undefined>>;
  close(): Promise<void>;
}

/** Calls at once, and calls that wait for one of them to end; more are refused before they are sent. */
const AT_ONCE = 32;
const WAITING = 64;
/** After so many failures in a row nothing is sent for a while, and the page answers at once. */
const FAILURES = 5;
const REST_MS = 1_000;

const NOT_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** An answer that is none: a failure of the source, not a refusal. */
class SourceFailed extends Error {
  override name = 'SourceFailed';
}

const wasNotSent = (err: unknown): boolean =>
  err instanceof BrokenCircuitError ||
  err instanceof BulkheadRejectedError ||
  (err instanceof AggregateError && err.errors.every(wasNotSent)) ||
  NOT_SENT.has(String((err as { code?: unknown }).code));

interface Call {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'PUT';
  readonly path: string;
  readonly body?: unknown;
  readonly mediaType?: string;
  readonly terms?: WriteTerms;
  readonly signal: AbortSignal;
  readonly span?: Span | undefined;
}

interface Response {
  readonly status: number;
  readonly version: number | null;
  readonly retryAfterSeconds: number | null;
  readonly body: unknown;
}

const versionOf = (etag: string | string[] | undefined): number | null => {
  const found = /^(?:W\/)?"(\d+)"$/.exec(String(etag));
  return found ? Number(found[1]) : null;
};

/**
 * Calls the source of truth over HTTP. Every call ends with the caller's signal; no more than 32 are under way; after
 * five failures in a row none is sent for a second.
 * @param baseUrl of the source, without `/v1`
 * @param identity by what the page says who it is, beside the seller's token
 */
export function openSourceOfTruth(baseUrl: string, identity: CallerIdentity): SourceOfTruth {
  const agent = new Agent({ connections: AT_ONCE, connect: { timeout: 1_000 } });
  const guard = wrap(
    bulkhead(AT_ONCE, WAITING),
    circuitBreaker(handleAll, { breaker: new ConsecutiveBreaker(FAILURES), halfOpenAfter: REST_MS }),
  );
  const base = `${baseUrl.replace(/\/+$/, '')}/v1`;
  const { hostname, port, protocol } = new URL(baseUrl);
  const peer = { [SPAN.host]: hostname, [SPAN.port]: Number(port || (protocol === 'https:' ? 443 : 80)) };

  const send = async (
    { method, path, body, mediaType, terms, signal }: Call,
    traceparent: string | null,
  ): Promise<Response> => {
    const response = await request(`${base}${path}`, {
      method,
      dispatcher: agent,
      signal,
      headers: {
        accept: 'application/json',
        ...identity.headers,
        ...(traceparent === null ? {} : { traceparent }),
        ...(body === undefined ? {} : { 'content-type': mediaType ?? 'application/json' }),
        ...(terms
          ? {
              authorization: `Bearer ${terms.token}`,
              'if-match': `"${terms.ifMatch}"`,
              'idempotency-key': terms.idempotencyKey,
            }
          : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const { statusCode: status, headers } = response;
    identity.heard(headers);
    const text = await response.body.text();
    if (status >= 500) throw new SourceFailed(`the source of truth answered ${status}`);
    const isJson = /^application\/(problem\+)?json\b/.test(String(headers['content-type']));
    return {
      status,
      version: versionOf(headers['etag']),
      retryAfterSeconds: /^\d+$/.test(String(headers['retry-after'])) ? Number(headers['retry-after']) : null,
      body: isJson ? JSON.parse(text) : null,
    };
  };

  const call = async <T>(what: Call, read: (response: Response) => T): Promise<Answer<T>> => {
    const span = (what.span ?? NO_SPAN).begin('client', what.method);
    let status: number | undefined;
    let failure: Error | undefined;
    try {
      const response = await guard.execute(() => send(what, span.traceparent));
      status = response.status;
      if (response.status < 400) return { outcome: 'done', value: read(response) };
      const problem = Problem.safeParse(response.body);
      if (!problem.success) {
        throw new SourceFailed(`a ${response.status} without ${PROBLEM_MEDIA_TYPE} came from ${base}`);
      }
      return {
        outcome: 'refused',
        problem: problem.data,
        retryAfterSeconds: response.retryAfterSeconds,
      };
    } catch (err) {
      failure = err as Error;
      return { outcome: wasNotSent(err) ? 'unreachable' : 'unknown', cause: failure };
    } finally {
      if (span.isRecorded) {
        span.end({
          attributes: {
            ...peer,
            [SPAN.method]: what.method,
            [SPAN.url]: base + what.path,
            ...(status === undefined ? {} : { [SPAN.status]: status }),
          },
          error: failure?.name,
        });
      }
    }
  };

  const write = (what: Omit<Call, 'signal' | 'terms' | 'span'>, terms: WriteTerms) =>
    call({ ...what, terms, signal: terms.signal, span: terms.span }, ({ version, body }): Written => {
      if (version === null) throw new SourceFailed('a write was answered without a version (ETag)');
      const id = z.object({ id: z.string() }).safeParse(body);
      return { version, id: id.success ? id.data.id : null };
    });

  return {
    read: (sellerId, signal, span) =>
      call({ method: 'GET', path: `/sellers/${sellerId}/top-clients`, signal, span }, ({ body }) =>
        SellerList.parse(body),
      ),
    add: (sellerId, client, terms) =>
      write({ method: 'POST', path: `/sellers/${sellerId}/clients`, body: client }, terms),
    update: (sellerId, clientId, client, terms) =>
      write(
        {
          method: 'PATCH',
          path: `/sellers/${sellerId}/clients/${clientId}`,
          body: client,
          mediaType: 'application/merge-patch+json',
        },
        terms,
      ),
    remove: (sellerId, clientId, terms) =>
      write({ method: 'DELETE', path: `/sellers/${sellerId}/clients/${clientId}` }, terms),
    reorder: (sellerId, clientIds, terms) =>
      write({ method: 'PUT', path: `/sellers/${sellerId}/clients/order`, body: { clientIds } }, terms),
    erasures: (since, signal) =>
      call({ method: 'GET', path: `/erasures?since=${encodeURIComponent(since)}`, signal }, ({ body }) =>
        Erasures.parse(body),
      ),
    confirmErasures: (erasures, signal) =>
      call({ method: 'POST', path: '/erasures', body: { erasures }, signal }, () => undefined),
    close: () => agent.destroy(),
  };
}
