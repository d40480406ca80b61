import { z } from 'zod';
import { SellerClients } from '#contracts/api.ts';
import { CALLER_HEADER } from '#contracts/callers.ts';
import { Client } from '#contracts/client.ts';
import { TopClientsView } from '#contracts/delivery.ts';
import { Problem } from '#contracts/problems.ts';

/** `not yet` may be different in a moment; `refused` stays so until somebody changes something. */
export type Answered<T> =
  | { readonly kind: 'answer'; readonly value: T }
  | { readonly kind: 'not yet' | 'refused'; readonly because: string; readonly status?: number };

export interface ShownClient {
  readonly id: string;
  readonly name: string;
}

/** What a page answered: null where its delivery is off, so that it has no top clients to show. */
export interface ShownPage {
  readonly topClients: {
    readonly outcome: 'full' | 'missing' | 'stale';
    readonly clients: readonly { readonly id: string }[];
  } | null;
}

/** The running system as one seller and one buyer meet it. Nothing here throws, and every call has a deadline. */
export interface Marketplace {
  readonly mayWrite: boolean;
  readonly hasPage: boolean;
  list(): Promise<Answered<{ readonly version: number; readonly clients: readonly ShownClient[] }>>;
  add(name: string): Promise<Answered<ShownClient>>;
  /** Gone already is fine. */
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
  /** By what the test tells the source who it is; null is a stranger. */
  readonly sourceCredential: string | null;
  /** Of each call, in ms. */
  readonly callDeadlineMs: number;
}

const Token = z.object({ access_token: z.string() });
const PageAnswer = z.object({ topClients: TopClientsView.optional() });

export function openMarketplace(to: Addresses): Marketplace {
  const identity: Readonly<Record<string, string>> =
    to.sourceCredential === null ? {} : { [CALLER_HEADER]: to.sourceCredential };
  const seller = `${to.sourceUrl.replace(/\/+$/, '')}/v1/sellers/${to.sellerId}`;

  async function call<T>(
    url: string,
    schema: z.ZodType<T> | null,
    init: RequestInit = {},
  ): Promise<Answered<T>> {
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
    if (!answer.ok) return judgeStatus(url, answer.status, text);
    if (schema === null) return { kind: 'answer', value: null as T };
    const read = schema.safeParse(json(text));
    if (read.success) return { kind: 'answer', value: read.data };
    return {
      kind: 'refused',
      because: `${url} answered what does not fit the contract: ${z.prettifyError(read.error)}`,
    };
  }

  async function signedIn<T>(send: (authorization: string) => Promise<Answered<T>>): Promise<Answered<T>> {
    if (to.token !== undefined) return send(`Bearer ${to.token}`);
    const token = await call(`${to.tokenUrl}?seller=${to.sellerId}`, Token);
    return token.kind === 'answer' ? send(`Bearer ${token.value.access_token}`) : token;
  }

  return {
    mayWrite: to.token !== undefined || to.tokenUrl !== undefined,
    hasPage: to.pageUrl !== undefined,
    list: () => call(`${seller}/top-clients`, SellerClients, { headers: identity }),
    add: (name) =>
      signedIn((authorization) =>
        call(`${seller}/clients`, Client, {
          method: 'POST',
          headers: {
            ...identity,
            authorization,
            'content-type': 'application/json',
            // The name is new in every run, so a repeated try is the same write.
            'idempotency-key': name.replaceAll(' ', '-'),
          },
          body: JSON.stringify({ name, description: 'Written by a test, gone in a moment' }),
        }),
      ),
    remove: (clientId) =>
      signedIn(async (authorization) => {
        const gone = await call<null>(`${seller}/clients/${clientId}`, null, {
          method: 'DELETE',
          headers: { ...identity, authorization },
        });
        return gone.kind !== 'answer' && gone.status === 404 ? { kind: 'answer', value: null } : gone;
      }),
    async page() {
      const answer = await call(to.pageUrl!, PageAnswer, { headers: { accept: 'application/json' } });
      return answer.kind === 'answer'
        ? { kind: 'answer', value: { topClients: answer.value.topClients ?? null } }
        : answer;
    },
  };
}

/** What an answer that is no success means for trying again; a problem document says why. */
export function judgeStatus(
  url: string,
  status: number,
  text: string,
): Exclude<Answered<never>, { kind: 'answer' }> {
  const problem = Problem.safeParse(json(text));
  const because = `${url} answered ${status}${problem.success ? `: ${problem.data.detail.replace(/\.$/, '')}` : ''}`;
  // Overload, and what is not up yet; everything else is about what was asked.
  if (status >= 500 || status === 429) return { kind: 'not yet', status, because };
  if (status === 404) {
    return {
      // The data of a demonstration comes after the page itself.
      kind: 'not yet',
      status,
      because: `${because}. The test needs a seller and a gig that are there: see test.sellerId and test.gigId`,
    };
  }
  return { kind: 'refused', status, because };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
