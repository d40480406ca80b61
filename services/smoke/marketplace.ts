import { z } from 'zod';
import { TopClientsView } from '#contracts/delivery.ts';
import { Problem } from '#contracts/problems.ts';
import { silentLog } from '#platform/log.ts';
import { NotTheContract, type SourceAnswer } from '../source-client/answer.ts';
import { plainIdentity } from '../source-client/caller-identity.ts';
import { openSourceApi } from '../source-client/source-api.ts';
import { openTransport } from '../source-client/transport.ts';

/** `not yet` may change in a moment; `refused` stays until somebody changes something. */
export type Answered<T> =
  | { readonly kind: 'answer'; readonly value: T }
  | { readonly kind: 'not yet' | 'refused'; readonly because: string };

export interface ShownClient {
  readonly id: string;
  readonly name: string;
}

/** What a page answered: null when its delivery is off, so that it has no top clients to show. */
export interface ShownPage {
  readonly topClients: {
    readonly outcome: 'full' | 'missing' | 'stale';
    readonly clients: readonly { readonly id: string }[];
  } | null;
}

/** The running system as one seller and one buyer see it. Nothing here throws, and every call has a deadline. */
export interface Marketplace {
  readonly mayWrite: boolean;
  readonly hasPage: boolean;
  list(): Promise<Answered<{ readonly version: number; readonly clients: readonly ShownClient[] }>>;
  add(name: string): Promise<Answered<ShownClient>>;
  /** A client that is already gone is no error. */
  remove(clientId: string): Promise<Answered<null>>;
  page(): Promise<Answered<ShownPage>>;
}

export interface Addresses {
  /** Base address of the source of truth, without /v1. */
  readonly sourceUrl: string;
  readonly sellerId: number;
  /** A page of that seller's; undefined when none is deployed. */
  readonly pageUrl?: string | undefined;
  /** The demo issuer's /token; asked when no token is given. */
  readonly tokenUrl?: string | undefined;
  readonly token?: string | undefined;
  /** The credential by which the source recognises this test; null for a stranger. */
  readonly sourceCredential: string | null;
  /** Deadline of each call, in ms. */
  readonly callDeadlineMs: number;
}

const Token = z.object({ access_token: z.string() });
const PageAnswer = z.object({ topClients: TopClientsView.optional() });

export function openMarketplace(to: Addresses): Marketplace & { close(): Promise<void> } {
  const identity = plainIdentity(to.sourceCredential);
  // One call at a time, and no circuit breaker: an open one would only hide why the last call failed.
  const settings = { url: to.sourceUrl, concurrency: 1, breakMs: 0, identity };
  const transport = openTransport(settings, silentLog);
  const source = openSourceApi(transport);
  const call = { deadlineMs: to.callDeadlineMs };

  /** Asks something other than the source: a page, or the issuer. */
  async function get<T>(url: string, schema: z.ZodType<T>, init: RequestInit = {}): Promise<Answered<T>> {
    let answer: Response;
    let text: string;
    try {
      answer = await fetch(url, { ...init, signal: AbortSignal.timeout(to.callDeadlineMs) });
      text = await answer.text();
    } catch (err) {
      const { message, cause } = err as Error;
      const because = cause instanceof Error ? `${message} (${cause.message})` : message;
      return { kind: 'not yet', because: `${url} cannot be reached: ${because}` };
    }
    if (!answer.ok) return judgeStatus(url, answer.status, Problem.safeParse(json(text)).data?.detail);
    const read = schema.safeParse(json(text));
    if (read.success) return { kind: 'answer', value: read.data };
    return {
      kind: 'refused',
      because: `${url} answered what does not fit the contract: ${z.prettifyError(read.error)}`,
    };
  }

  async function signedIn<T>(send: (token: string) => Promise<Answered<T>>): Promise<Answered<T>> {
    if (to.token !== undefined) return send(to.token);
    const token = await get(`${to.tokenUrl}?seller=${to.sellerId}`, Token);
    return token.kind === 'answer' ? send(token.value.access_token) : token;
  }

  return {
    mayWrite: to.token !== undefined || to.tokenUrl !== undefined,
    hasPage: to.pageUrl !== undefined,
    list: async () => judgeAnswer(to.sourceUrl, await source.list(to.sellerId, call)),
    add: (name) =>
      signedIn(async (token) => {
        const client = { name, description: 'Written by a test, gone in a moment' };
        // The name is new in every run and is the idempotency key, so a retry is the same write.
        const terms = { token, idempotencyKey: name.replaceAll(' ', '-') };
        const added = judgeAnswer(to.sourceUrl, await source.add(to.sellerId, client, terms, call));
        if (added.kind !== 'answer') return added;
        const { id } = added.value;
        return id === null
          ? { kind: 'refused', because: `${to.sourceUrl} did not say the id of what was added` }
          : { kind: 'answer', value: { id, name } };
      }),
    remove: (clientId) =>
      signedIn(async (token) => {
        const gone = await source.remove(to.sellerId, clientId, { token }, call);
        const isGone = gone.outcome === 'ok' || (gone.outcome === 'refused' && gone.problem.status === 404);
        return isGone ? { kind: 'answer', value: null } : judgeAnswer(to.sourceUrl, gone);
      }),
    close: transport.close,
    async page() {
      const answer = await get(to.pageUrl!, PageAnswer, { headers: { accept: 'application/json' } });
      return answer.kind === 'answer'
        ? { kind: 'answer', value: { topClients: answer.value.topClients ?? null } }
        : answer;
    },
  };
}

/** What the source's answer means for a retry. */
export function judgeAnswer<T>(url: string, answer: SourceAnswer<T>): Answered<T> {
  switch (answer.outcome) {
    case 'ok':
      return { kind: 'answer', value: answer.value };
    case 'refused':
      return judgeStatus(url, answer.problem.status, answer.problem.detail);
    case 'timeout':
    case 'unreachable':
    case 'unknown':
    case 'rejected':
    case 'open': {
      const { message, code } = answer.cause as Error & { code?: unknown };
      const why = `${answer.outcome}, ${message || String(code)}`;
      // An answer that does not fit the contract will not fit it in a moment either.
      return answer.cause instanceof NotTheContract
        ? { kind: 'refused', because: `${url} answered what does not fit the contract: ${message}` }
        : { kind: 'not yet', because: `${url} gave no answer: ${why}` };
    }
  }
}

/** What an unsuccessful answer means for a retry. @param detail of its problem document */
export function judgeStatus(
  url: string,
  status: number,
  detail: string | undefined,
): Exclude<Answered<never>, { kind: 'answer' }> {
  const because = `${url} answered ${status}${detail === undefined ? '' : `: ${detail.replace(/\.$/, '')}`}`;
  // Overloaded or not up yet; every other status is about the request itself.
  if (status >= 500 || status === 429) return { kind: 'not yet', because };
  if (status === 404) {
    return {
      // In a demo the data comes after the page itself.
      kind: 'not yet',
      because: `${because}. The test needs a seller and a gig that are there: see test.sellerId and test.gigId`,
    };
  }
  return { kind: 'refused', because };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
