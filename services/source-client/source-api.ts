import { z } from 'zod';
import { Erasures, type ErasuresConfirmed, SellerClients } from '#contracts/api.ts';
import type { ClientPatch, NewClient } from '#contracts/client.ts';
import { NotTheContract, type SourceAnswer } from './answer.ts';
import type { Call, Headers, SourceRequest, Transport } from './transport.ts';

/** What goes along with a write. The key makes a repetition harmless; the version protects a newer list. */
export interface WriteTerms {
  /** The seller's token. */
  readonly token: string;
  /** The version that the write was made for. */
  readonly ifMatch?: number | undefined;
  readonly idempotencyKey?: string | undefined;
}

/** `id` is the client's, where the call answers one. */
export interface Written {
  readonly version: number;
  readonly id: string | null;
}

/** Reads and writes of sellers' lists, each answer held against the contract. Reads come from the primary. */
export interface SourceApi {
  list(sellerId: number, call: Call): Promise<SourceAnswer<SellerClients>>;
  add(sellerId: number, client: Addition, terms: WriteTerms, call: Call): Promise<SourceAnswer<Written>>;
  update(
    sellerId: number,
    clientId: string,
    patch: ClientPatch,
    terms: WriteTerms,
    call: Call,
  ): Promise<SourceAnswer<Written>>;
  remove(sellerId: number, clientId: string, terms: WriteTerms, call: Call): Promise<SourceAnswer<Written>>;
  reorder(
    sellerId: number,
    clientIds: readonly string[],
    terms: WriteTerms,
    call: Call,
  ): Promise<SourceAnswer<Written>>;
  /** A page of the erasures committed at or after an instant, oldest first; `next` is the instant of the next page. */
  erasures(since: string, call: Call): Promise<SourceAnswer<Erasures>>;
  /** Reports that the caller keeps nothing from before these erasures, 500 at most. */
  confirmErasures(erasures: ErasuresConfirmed['erasures'], call: Call): Promise<SourceAnswer<undefined>>;
}

/** All but the name may be left out. */
type Addition = Pick<NewClient, 'name'> & Partial<NewClient>;

const fits =
  <T>(schema: z.ZodType<T>) =>
  (body: unknown): T => {
    const read = schema.safeParse(body);
    if (read.success) return read.data;
    throw new NotTheContract(z.prettifyError(read.error));
  };

const Identified = z.object({ id: z.string() });

function written(body: unknown, headers: Headers): Written {
  const version = /^(?:W\/)?"(\d+)"$/.exec(String(headers['etag']))?.[1];
  if (version === undefined) throw new NotTheContract('a write was answered without a version (ETag)');
  return { version: Number(version), id: Identified.safeParse(body).data?.id ?? null };
}

function headersOf({ token, ifMatch, idempotencyKey }: WriteTerms): Record<string, string> {
  return {
    authorization: `Bearer ${token}`,
    ...(ifMatch === undefined ? {} : { 'if-match': `"${ifMatch}"` }),
    ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
  };
}

export function openSourceApi({ ask }: Pick<Transport, 'ask'>): SourceApi {
  const write = (
    method: SourceRequest<Written>['method'],
    path: string,
    terms: WriteTerms,
    call: Call,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ) =>
    ask(
      {
        method,
        path,
        headers: { ...headersOf(terms), ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        read: written,
      },
      call,
    );
  const listOf = (sellerId: number) => {
    const fitting = fits(SellerClients);
    return (body: unknown): SellerClients => {
      const list = fitting(body);
      if (list.sellerId !== sellerId) throw new NotTheContract('the list is that of another seller');
      return list;
    };
  };
  return {
    list: (sellerId, call) =>
      ask({ method: 'GET', path: `/sellers/${sellerId}/top-clients`, read: listOf(sellerId) }, call),
    add: (sellerId, client, terms, call) =>
      write('POST', `/sellers/${sellerId}/clients`, terms, call, client),
    update: (sellerId, clientId, patch, terms, call) =>
      write('PATCH', `/sellers/${sellerId}/clients/${clientId}`, terms, call, patch, {
        'content-type': 'application/merge-patch+json',
      }),
    remove: (sellerId, clientId, terms, call) =>
      write('DELETE', `/sellers/${sellerId}/clients/${clientId}`, terms, call),
    reorder: (sellerId, clientIds, terms, call) =>
      write('PUT', `/sellers/${sellerId}/clients/order`, terms, call, { clientIds }),
    erasures: (since, call) =>
      ask(
        { method: 'GET', path: `/erasures?since=${encodeURIComponent(since)}`, read: fits(Erasures) },
        call,
      ),
    confirmErasures: (erasures, call) =>
      ask(
        {
          method: 'POST',
          path: '/erasures',
          body: JSON.stringify({ erasures }),
          read: () => undefined,
        },
        call,
      ),
  };
}
