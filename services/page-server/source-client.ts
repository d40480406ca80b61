import {
  BrokenCircuitError,
  BulkheadRejectedError,
  bulkhead,
  CircuitState,
  CountBreaker,
  circuitBreaker,
  handleAll,
} from 'cockatiel';
import { Pool } from 'undici';
import { LIMITS } from '#contracts/client.ts';
import { SPAN } from '#contracts/traces.ts';
import type { CallerIdentity } from '#pages/caller-identity.ts';
import type { ClientList, PageClient } from '#pages/page.ts';
import type { Log } from '#platform/log.ts';
import { type Metrics, seriesFromZero } from '#platform/metrics.ts';
import type { Span } from '#platform/span.ts';

/** Why there is no answer: `rejected` by the limit on concurrent calls, `open` by the circuit breaker. */
export type NoAnswer = 'error' | 'timeout' | 'rejected' | 'open';
export type SourceAnswer<T> = { readonly result: 'ok'; readonly value: T } | { readonly result: NoAnswer };

/** One request of a page: how long it may take in all, in ms, its id for the logs of both sides, and its span. */
export interface Call {
  readonly deadlineMs: number;
  readonly requestId: string;
  readonly span: Span;
}

/** The source of truth as a page asks it. Nothing here throws or outlives its deadline. */
export interface Source {
  /** The whole list of one seller. */
  list(sellerId: number, call: Call): Promise<SourceAnswer<ClientList>>;
  /** Some clients of one seller, those that still exist. */
  clients(sellerId: number, ids: readonly string[], call: Call): Promise<SourceAnswer<ClientList>>;
  /** The lists of many sellers, at most 100; those that come too late are missing. */
  lists(sellerIds: readonly number[], call: Call): Promise<SourceAnswer<ReadonlyMap<number, ClientList>>>;
  close(): Promise<void>;
}

export interface SourceSettings {
  /** Base address of the source of truth, without `/v1`. */
  readonly url: string;
  /** Calls at the same time; as many again may wait. */
  readonly concurrency: number;
  /** How long the breaker keeps calls away before it lets one try, in ms. */
  readonly breakMs: number;
  /** By what the page says who it is. */
  readonly identity: CallerIdentity;
}

// 48 sellers with 20 clients of 800 bytes each; more than that is not an answer of ours.
const LARGEST_ANSWER = 4 * 1024 * 1024;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === 'string';
const isTextOrNothing = (value: unknown) => value === null || value === undefined || isText(value);

const isClient = (value: unknown): value is PageClient =>
  isRecord(value) &&
  isText(value['id']) &&
  isText(value['name']) &&
  isTextOrNothing(value['industry']) &&
  isTextOrNothing(value['description']) &&
  isTextOrNothing(value['logo']) &&
  isTextOrNothing(value['from']) &&
  isTextOrNothing(value['to']);

/**
 * Reads one list of an answer. Looks at exactly what a template will touch, which is all that has to hold for the
 * page to render; the schema of the contract would cost more than the render.
 * @returns null when it does not fit
 */
export function readList(value: unknown): (ClientList & { readonly sellerId: number }) | null {
  if (!isRecord(value)) return null;
  const { sellerId, version, clients, updatedAt } = value;
  if (!Number.isSafeInteger(sellerId) || !Number.isSafeInteger(version) || (version as number) < 0)
    return null;
  if (!Array.isArray(clients) || clients.length > LIMITS.clientsPerSeller || !clients.every(isClient)) {
    return null;
  }
  const committedAt = isText(updatedAt) ? Date.parse(updatedAt) : Number.NaN;
  return {
    sellerId: sellerId as number,
    version: version as number,
    committedAt: Number.isNaN(committedAt) ? null : committedAt,
    clients: clients.map((client) => ({ ...client, logo: client.logo ?? null })),
    total: clients.length,
  };
}

/** The answer is for one seller, and for the one we asked about. */
const listOf = (sellerId: number) => (body: unknown) => {
  const list = readList(body);
  return list?.sellerId === sellerId ? list : null;
};

function listsOf(sellerIds: readonly number[]) {
  return (body: unknown): ReadonlyMap<number, ClientList> | null => {
    const entries = isRecord(body) ? body['sellers'] : null;
    if (!Array.isArray(entries)) return null;
    const lists = new Map<number, ClientList>();
    for (const entry of entries) {
      const list = readList(entry);
      if (list === null) return null;
      lists.set(list.sellerId, list);
    }
    const { remaining: named } = body as Record<string, unknown>;
    const remaining = new Set(Array.isArray(named) ? named : []);
    const isWhole = sellerIds.every((sellerId) => lists.has(sellerId) || remaining.has(sellerId));
    return isWhole && lists.size > 0 ? lists : null;
  };
}

/** Thrown inside, where the breaker counts it: an answer came, and it is not one we can show. */
class NotAnAnswer extends Error {
  override name = 'NotAnAnswer';
}

export function openSource(
  settings: SourceSettings,
  page: string,
  deps: { readonly log: Log; readonly metrics: Metrics },
): Source {
  const origin = new URL(settings.url);
  const prefix = `${origin.pathname.replace(/\/+$/, '')}/v1`;
  const peer = {
    [SPAN.host]: origin.hostname,
    [SPAN.port]: Number(origin.port || (origin.protocol === 'https:' ? 443 : 80)),
  };
  const pool = new Pool(origin.origin, {
    connections: settings.concurrency,
    pipelining: 1,
    connect: { timeout: 1_000 },
    // The signal of a call ends it; these end what is left when a signal was missed.
    headersTimeout: 5_000,
    bodyTimeout: 5_000,
    maxResponseSize: LARGEST_ANSWER,
  });
  const limit = bulkhead(settings.concurrency, settings.concurrency);
  const breaker = circuitBreaker(handleAll, {
    halfOpenAfter: settings.breakMs,
    breaker: new CountBreaker({ threshold: 0.5, size: 20, minimumNumberOfCalls: 5 }),
  });

  const requests = deps.metrics.counter('topclients_page_source_requests_total');
  const counted = {
    ok: requests.labels({ page, result: 'ok' }),
    error: requests.labels({ page, result: 'error' }),
    timeout: requests.labels({ page, result: 'timeout' }),
    rejected: requests.labels({ page, result: 'rejected' }),
    open: requests.labels({ page, result: 'open' }),
  };
  for (const counter of Object.values(counted)) counter.inc(0);
  const duration = seriesFromZero(deps.metrics.histogram('topclients_page_source_request_duration_seconds'), {
    page,
  });
  const open = deps.metrics.gauge('topclients_page_breaker_open');
  open.set({ page }, 0);
  breaker.onBreak(() => {
    open.set({ page }, 1);
    deps.log.warn(
      { page, breakMs: settings.breakMs },
      'the source of truth keeps failing: not asking it for now',
    );
  });
  breaker.onReset(() => {
    open.set({ page }, 0);
    deps.log.info({ page }, 'the source of truth answers again');
  });

  async function exchange<T>(
    request: { path: string; body?: string },
    read: (body: unknown) => T | null,
    requestId: string,
    traceparent: string | null,
    signal: AbortSignal,
  ): Promise<T> {
    const answer = await pool.request({
      method: request.body === undefined ? 'GET' : 'POST',
      path: prefix + request.path,
      headers: {
        accept: 'application/json',
        'x-request-id': requestId,
        ...settings.identity.headers,
        ...(traceparent === null ? {} : { traceparent }),
        ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: request.body ?? null,
      signal,
    });
    settings.identity.heard(answer.headers);
    if (answer.statusCode !== 200) {
      await answer.body.dump();
      throw new NotAnAnswer(`${request.path} answered ${answer.statusCode}`);
    }
    const value = read(await answer.body.json());
    if (value === null) throw new NotAnAnswer(`${request.path} answered what does not fit the contract`);
    return value;
  }

  function ask<T>(
    request: { path: string; body?: string },
    read: (body: unknown) => T | null,
    call: Call,
  ): Promise<SourceAnswer<T>> {
    const began = performance.now();
    const method = request.body === undefined ? 'GET' : 'POST';
    const span = call.span.begin('client', method);
    return new Promise((resolve) => {
      let settled = false;
      const end = (answer: SourceAnswer<T>, err?: unknown) => {
        if (settled) return;
        settled = true;
        clearTimeout(timer);
        counted[answer.result].inc();
        if (span.isRecorded) {
          span.end({
            attributes: { ...peer, [SPAN.method]: method, [SPAN.url]: origin.origin + prefix + request.path },
            error: answer.result === 'ok' ? undefined : answer.result,
          });
        }
        if (answer.result !== 'open' && answer.result !== 'rejected') {
          duration.observe((performance.now() - began) / 1_000);
        }
        if (err !== undefined) {
          deps.log.debug(
            { page, requestId: call.requestId, result: answer.result, err },
            'no answer of the source of truth',
          );
        }
        resolve(answer);
      };
      const abort = new AbortController();
      // Covers waiting for a slot, connecting, the answer and its body.
      const timer = setTimeout(
        () => {
          abort.abort();
          end({ result: 'timeout' });
        },
        Math.max(0, call.deadlineMs),
      );
      limit
        .execute(() => {
          // One call tries an open circuit; the library would let the others wait for what becomes of it.
          if (breaker.state === CircuitState.HalfOpen) throw new BrokenCircuitError();
          return breaker.execute(() =>
            exchange(request, read, call.requestId, span.traceparent, abort.signal),
          );
        }, abort.signal)
        .then(
          (value) => end({ result: 'ok', value }),
          (err: unknown) => {
            if (err instanceof BrokenCircuitError) end({ result: 'open' });
            else if (err instanceof BulkheadRejectedError) end({ result: 'rejected' });
            else end({ result: abort.signal.aborted ? 'timeout' : 'error' }, err);
          },
        );
    });
  }

  return {
    list: (sellerId, call) => ask({ path: `/sellers/${sellerId}/top-clients` }, listOf(sellerId), call),
    clients: (sellerId, ids, call) =>
      ask(
        { path: `/sellers/${sellerId}/clients?ids=${ids.map(encodeURIComponent).join(',')}` },
        listOf(sellerId),
        call,
      ),
    async lists(sellerIds, call) {
      const until = performance.now() + call.deadlineMs;
      const lists = new Map<number, ClientList>();
      // The source leaves out what would make its answer too large; each answer has some.
      for (let asked = [...new Set(sellerIds)]; asked.length > 0; ) {
        const request = { path: '/top-clients/batch-get', body: JSON.stringify({ sellerIds: asked }) };
        const answer = await ask(request, listsOf(asked), { ...call, deadlineMs: until - performance.now() });
        if (answer.result !== 'ok') return lists.size > 0 ? { result: 'ok', value: lists } : answer;
        for (const [sellerId, list] of answer.value) lists.set(sellerId, list);
        asked = asked.filter((sellerId) => !lists.has(sellerId));
      }
      return { result: 'ok', value: lists };
    },
    close: () => pool.destroy(),
  };
}
