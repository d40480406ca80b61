/** The source of truth as sellers use it, for the writes of a trial. Every call has a deadline. */
import { randomUUID } from 'node:crypto';
import type { NewClient } from '#contracts/client.ts';
import { pause } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import { judgeAnswer } from '../../../services/smoke/marketplace.ts';
import type { SourceAnswer } from '../../../services/source-client/answer.ts';
import { plainIdentity } from '../../../services/source-client/caller-identity.ts';
import { type ListForPage, openPageReads } from '../../../services/source-client/page-reads.ts';
import { openSourceApi } from '../../../services/source-client/source-api.ts';
import { openTransport } from '../../../services/source-client/transport.ts';

/** The source or the issuer does not do what the trial needs; the message says what to change. */
export class MarketUnusable extends Error {
  override name = 'MarketUnusable';
}

export type Addition = Pick<NewClient, 'name'> & Partial<NewClient>;

export interface Market {
  lists(sellerIds: readonly number[]): Promise<ReadonlyMap<number, ListForPage>>;
  add(sellerId: number, client: Addition): Promise<{ readonly id: string; readonly version: number }>;
  rename(sellerId: number, clientId: string, name: string): Promise<{ readonly version: number }>;
  /** A client that is gone already is no error. */
  remove(sellerId: number, clientId: string): Promise<void>;
  /** @throws MarketUnusable where tokens have no scope for it */
  erase(sellerId: number): Promise<void>;
  close(): Promise<void>;
}

const CALL_MS = 5_000;
/** For a call that may succeed in a moment. */
const PATIENCE_MS = 10_000;
const ERASE = 'top-clients:erase';

/** @param tokenUrl answers `?seller=1` with a token of that seller, as the demo's issuer does */
export function openMarket({ source, tokenUrl }: { source: string; tokenUrl: string }): Market {
  const transport = openTransport(
    // No circuit breaker: an open one would only hide why the last call failed.
    { url: source, concurrency: 8, breakMs: 0, identity: plainIdentity(null) },
    silentLog,
  );
  const api = openSourceApi(transport);
  const reads = openPageReads(transport);
  const call = () => ({ deadlineMs: CALL_MS });
  const tokens = new Map<string, Promise<string>>();

  const tokenOf = (sellerId: number, scope?: string): Promise<string> => {
    const query = `seller=${sellerId}${scope === undefined ? '' : `&scope=${scope}`}`;
    const known = tokens.get(query);
    if (known !== undefined) return known;
    const asked = askToken(`${tokenUrl}?${query}`);
    tokens.set(query, asked);
    asked.catch(() => tokens.delete(query));
    return asked;
  };

  async function insist<T>(what: string, ask: () => Promise<SourceAnswer<T>>): Promise<T> {
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      const answer = judgeAnswer(source, await ask());
      if (answer.kind === 'answer') return answer.value;
      if (answer.kind === 'refused' || performance.now() >= until) {
        throw new MarketUnusable(`${what}: ${answer.because}`);
      }
      await pause(250);
    }
  }

  return {
    lists: (sellerIds) => insist('sellers cannot be read', () => reads.lists(sellerIds, call())),
    async add(sellerId, client) {
      const terms = { token: await tokenOf(sellerId), idempotencyKey: randomUUID() };
      const { id, version } = await insist(`seller ${sellerId} cannot be given a client`, () =>
        api.add(sellerId, client, terms, call()),
      );
      if (id === null) throw new MarketUnusable(`${source} did not say the id of what was added`);
      return { id, version };
    },
    async rename(sellerId, clientId, name) {
      const terms = { token: await tokenOf(sellerId), idempotencyKey: randomUUID() };
      return insist(`a client of seller ${sellerId} cannot be renamed`, () =>
        api.update(sellerId, clientId, { name }, terms, call()),
      );
    },
    async remove(sellerId, clientId) {
      const token = await tokenOf(sellerId);
      await insist(
        `a client of seller ${sellerId} cannot be removed`,
        async (): Promise<SourceAnswer<unknown>> => {
          const gone = await api.remove(sellerId, clientId, { token }, call());
          return gone.outcome === 'refused' && gone.problem.status === 404
            ? { outcome: 'ok', value: null }
            : gone;
        },
      );
    },
    async erase(sellerId) {
      const token = await tokenOf(sellerId, ERASE);
      await insist(`seller ${sellerId} cannot be erased, which takes a token with the scope ${ERASE}`, () =>
        transport.ask(
          {
            ...{ method: 'DELETE', path: `/sellers/${sellerId}`, read: () => null },
            headers: { authorization: `Bearer ${token}`, 'idempotency-key': randomUUID() },
          },
          call(),
        ),
      );
    },
    close: transport.close,
  };
}

async function askToken(url: string): Promise<string> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(CALL_MS) });
    const body = (await answer.json()) as { access_token?: unknown };
    if (typeof body.access_token === 'string') return body.access_token;
    throw new Error(`it answered ${answer.status} without an access_token`);
  } catch (err) {
    const { message, cause } = err as Error;
    throw new MarketUnusable(`${url} gave no token: ${cause instanceof Error ? cause.message : message}`);
  }
}
