import { type Client, LIMITS } from '#contracts/client.ts';
import { NotTheContract, type SourceAnswer } from './answer.ts';
import type { Call, Transport } from './transport.ts';

/** A seller's list with the members that a template uses; only these were checked. */
export interface ListForPage {
  readonly sellerId: number;
  readonly version: number;
  /** Unix milliseconds; null for version 0. */
  readonly committedAt: number | null;
  readonly clients: readonly (Pick<Client, 'id' | 'name' | 'logo'> & Partial<Client>)[];
  readonly total: number;
}

/** The source of truth as a page for buyers asks it. */
export interface PageReads {
  /** The whole list of one seller. */
  list(sellerId: number, call: Call): Promise<SourceAnswer<ListForPage>>;
  /** Some clients of one seller, those that still exist. */
  clients(sellerId: number, ids: readonly string[], call: Call): Promise<SourceAnswer<ListForPage>>;
  /** The lists of many sellers, at most 100; those that come too late are missing. */
  lists(sellerIds: readonly number[], call: Call): Promise<SourceAnswer<ReadonlyMap<number, ListForPage>>>;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === 'string';
const isTextOrNothing = (value: unknown) => value === null || value === undefined || isText(value);

const isClient = (value: unknown): value is ListForPage['clients'][number] =>
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
function readList(value: unknown): ListForPage | null {
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

const unfit = () => new NotTheContract('a list lacks what a page shows of it');

/** Reads an answer that is for one seller, and for the one we asked about. */
const listOf =
  (sellerId: number) =>
  (body: unknown): ListForPage => {
    const list = readList(body);
    if (list?.sellerId !== sellerId) throw unfit();
    return list;
  };

const listsOf =
  (sellerIds: readonly number[]) =>
  (body: unknown): ReadonlyMap<number, ListForPage> => {
    const entries = isRecord(body) ? body['sellers'] : null;
    if (!Array.isArray(entries)) throw unfit();
    const lists = new Map<number, ListForPage>();
    for (const entry of entries) {
      const list = readList(entry);
      if (list === null) throw unfit();
      lists.set(list.sellerId, list);
    }
    const { remaining: named } = body as Record<string, unknown>;
    const remaining = new Set(Array.isArray(named) ? named : []);
    const isWhole = sellerIds.every((sellerId) => lists.has(sellerId) || remaining.has(sellerId));
    if (!isWhole || lists.size === 0) throw unfit();
    return lists;
  };

/** The reads of a page for buyers. Only what a template uses is checked, because the check takes time from the page. */
export function openPageReads({ ask }: Pick<Transport, 'ask'>): PageReads {
  // Everybody may read what a page asks for: a refusal is overload or a fault, and the breaker has to count it.
  const read = { method: 'GET', mustBeAnswered: true } as const;
  return {
    list: (sellerId, call) =>
      ask({ ...read, path: `/sellers/${sellerId}/top-clients`, read: listOf(sellerId) }, call),
    clients: (sellerId, ids, call) =>
      ask(
        {
          ...read,
          path: `/sellers/${sellerId}/clients?ids=${ids.map(encodeURIComponent).join(',')}`,
          read: listOf(sellerId),
        },
        call,
      ),
    async lists(sellerIds, call) {
      const until = performance.now() + call.deadlineMs;
      const lists = new Map<number, ListForPage>();
      // The source leaves out sellers that would make its answer too large; each answer has some of them.
      for (let asked = [...new Set(sellerIds)]; asked.length > 0; ) {
        const answer = await ask(
          {
            method: 'POST',
            mustBeAnswered: true,
            isRead: true,
            path: '/top-clients/batch-get',
            body: JSON.stringify({ sellerIds: asked }),
            read: listsOf(asked),
          },
          { ...call, deadlineMs: until - performance.now() },
        );
        if (answer.outcome !== 'ok') return lists.size > 0 ? { outcome: 'ok', value: lists } : answer;
        for (const [sellerId, list] of answer.value) lists.set(sellerId, list);
        asked = asked.filter((sellerId) => !lists.has(sellerId));
      }
      return { outcome: 'ok', value: lists };
    },
  };
}
